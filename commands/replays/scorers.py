"""Scorers: what answers are scored by, where they are asked for, and what becomes of one that can't score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from commands.ports import Things
from commands.runs.runs import Recording
from domain.definition import JSON, parse
from domain.errors import Busy, DomainError, Invalid, NotFound, Unavailable
from domain.model import Model


class ScorerFailed(DomainError):
    """A scorer could not say how good an answer is."""

    code = "scorer_failed"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is scored: the answer to a message, beside the one on record.

    Calls are `{function, arguments, outcome}`, their arguments as JSON text.
    """

    message: str
    expected: str
    answer: str
    expected_calls: Sequence[Mapping[str, Any]] = ()
    calls: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good an answer is, 0..1, and why in words; `method` and `model` say by what, where that may differ."""

    score: float
    reason: str = ""
    method: str | None = None
    model: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        told = {"reason": self.reason or None, "method": self.method, "model": self.model}
        return {"score": round(self.score, 4), **{name: value for name, value in told.items() if value is not None}}


class Scorer(Protocol):
    """Scores answers by one type of measure; `asks` is the kind of models that it may be given one of, if any."""

    @property
    def config(self) -> type[BaseModel]: ...

    @property
    def asks(self) -> str | None: ...

    async def score(
        self, recording: Recording, compared: Compared, config: BaseModel, *, model: UUID | None, parent: int
    ) -> Score:
        """Return how good an answer is, or raise DomainError where that can't be said."""


Scorers = Mapping[str, Scorer]
"""By their type."""


@dataclass(frozen=True, kw_only=True)
class ChosenScorer:
    """A scorer that is asked for: its type, what its scores are called, and how it is set."""

    type: str
    name: str
    model: UUID | None = None
    config: Mapping[str, JSON] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        model = None if self.model is None else str(self.model)
        return {"type": self.type, "name": self.name, "model": model, "config": dict(self.config)}


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Scores answers by what is asked for."""

    scorers: Scorers
    things: Things

    async def must_be_able(self, chosen: Sequence[ChosenScorer]) -> None:
        """Raise Invalid where there is no such scorer, it can't be set so, or two have one name."""
        names: set[str] = set()
        for number, each in enumerate(chosen):
            here = f"/scorers/{number}"
            if each.type not in self.scorers:
                there = ", ".join(sorted(self.scorers))
                raise Invalid(
                    f"There is no scorer of this type here; there are: {there}.",
                    code="no_scorer",
                    pointer=f"{here}/type",
                )
            if each.name in names:
                raise Invalid("Two scorers have the same name.", code="duplicate", pointer=f"{here}/name")
            names.add(each.name)
            scorer = self.scorers[each.type]
            parse(scorer.config, dict(each.config), f"{here}/config")
            if each.model is not None:
                await self._must_fit(each.model, scorer.asks, f"{here}/model")

    async def _must_fit(self, id: UUID, kind: str | None, pointer: str) -> None:
        if kind is None:
            raise Invalid("This scorer asks no model.", code="no_model_asked", pointer=pointer)
        try:
            model = await self.things.newest(Model, id)
        except NotFound:
            raise Invalid("There is no such model.", code="unknown_reference", pointer=pointer) from None
        if model.definition["kind"] != kind:
            raise Invalid(f"A model of kind {kind} is needed here.", code="wrong_model_kind", pointer=pointer)

    async def scores(
        self, recording: Recording, chosen: Sequence[ChosenScorer], compared: Compared, *, parent: int
    ) -> list[dict[str, Any]]:
        """Return `{name, type, score}` of each, with `error` {code, message} and no score where it could not say."""
        return [await self._score(recording, each, compared, parent) for each in chosen]

    async def _score(
        self, recording: Recording, chosen: ChosenScorer, compared: Compared, parent: int
    ) -> dict[str, Any]:
        named = {"name": chosen.name, "type": chosen.type}
        scorer = self.scorers[chosen.type]
        with recording.step("score", chosen.name, parent) as step:
            step.note["type"] = chosen.type
            try:
                config = parse(scorer.config, dict(chosen.config))
                score = await scorer.score(recording, compared, config, model=chosen.model, parent=step.number)
            except (Unavailable, Busy):
                raise
            except DomainError as error:
                step.outcome = error.error_code
                return {**named, "score": None, "error": {"code": error.error_code, "message": str(error)}}
            told = score.document()
            step.note["score"] = told["score"]
            step.output = told
        return {**named, **told}
