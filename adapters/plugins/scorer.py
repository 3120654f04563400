"""Scorers of plugins: what their `score` says of an answer."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from adapters.openai.text import cleaned
from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import Plugin
from adapters.plugins.scored import Case
from adapters.plugins.scored import Score as Told
from commands.replays.scorers import Compared, Score, ScorerFailed
from commands.runs.runs import Recording

SCORE_SECONDS = 60.0
LONGEST_REASON = 2000


class PluginScorer:
    """Asks a plugin."""

    asks: str | None = None

    def __init__(self, plugin: Plugin) -> None:
        self.config = plugin.config
        self._name = plugin.name
        self._calls = BoundedCalls(plugin)

    async def score(
        self, recording: Recording, compared: Compared, config: BaseModel, *, model: UUID | None, parent: int
    ) -> Score:
        """Return what the plugin says; raise ScorerFailed with what went wrong."""
        case = Case(
            message=compared.message,
            expected=compared.expected,
            answer=compared.answer,
            expected_calls=[dict(each) for each in compared.expected_calls],
            calls=[dict(each) for each in compared.calls],
        )
        try:
            told = await self._calls.call("score", case, config, seconds=SCORE_SECONDS)
        except PluginFailed as error:
            raise ScorerFailed(str(error)) from None
        number, reason = (told.score, told.reason) if isinstance(told, Told) else (told, "")
        if not isinstance(reason, str):
            raise ScorerFailed(f"The plugin '{self._name}' gives a reason that is no text.")
        return Score(score=self._number(number), reason=cleaned(reason)[0][:LONGEST_REASON])

    def _number(self, told: Any) -> float:
        # What is no number is not compared with one: NaN neither.
        if not isinstance(told, int | float) or not 0 <= told <= 1:
            raise ScorerFailed(f"The plugin '{self._name}' gives what is no number from 0 to 1.")
        return float(told)
