"""Actions that are answered from the record of a turn, so that nothing is done again."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from commands.agents.actions import ActionDone, Actions, AskAgent, Asker
from commands.models.model_calls import (
    ChatAnswer,
    ChatModels,
    ChatRequest,
    ModelCallFailed,
    NoModel,
    TextPiece,
    ToolCall,
)
from commands.runs.runs import Recording
from domain.agent import TOOLS
from domain.retrieval import Passage
from domain.scoring import canonical

UNAVAILABLE = "This is not available now: answer with what you know."
"""What a model is told of a call of which nothing is on record."""


@dataclass(kw_only=True)
class TurnRecord:
    """What was done in a turn, and how far it has been told again; `answers` says by what each call was answered."""

    actions: Sequence[Mapping[str, Any]]
    told: set[int] = field(default_factory=set)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def take(self, call: ToolCall) -> tuple[str, Mapping[str, Any] | None]:
        """Return by what a call is answered, and the action on record.

        `exact`: one of the function with the same arguments, told once more where it was told already. `closest`: the
        next one of the function that was not told yet. `unmatched`: none.
        """
        own = [number for number, each in enumerate(self.actions) if each["function"] == call.name]
        asked = canonical(call.arguments)
        same = [number for number in own if canonical(self.actions[number]["arguments"]) == asked]
        fresh = [number for number in same if number not in self.told]
        left = [number for number in own if number not in self.told]
        source, found = ("exact", fresh or same) if same else ("closest", left)
        if not found:
            return "unmatched", None
        self.told.add(found[0])
        return source, self.actions[found[0]]

    def note(self, call: ToolCall, source: str, outcome: str) -> None:
        """Note by what a call was answered."""
        told = {"function": call.name, "arguments": call.arguments, "outcome": outcome, "answered_by": source}
        self.answers.append(told)


class NothingToCompare(ModelCallFailed):
    """There is no chat model: quoting passages is no answer from the record."""

    code = "no_model"


@dataclass(frozen=True, kw_only=True)
class ModelsAlone:
    """Chat models whose absence ends a turn, instead of having its answer quoted from passages."""

    models: ChatModels

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        """Yield what a model says."""
        try:
            async with aclosing(self.models.stream(request)) as pieces:
                async for piece in pieces:
                    yield piece
        except NoModel:
            raise NothingToCompare from None

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Return what a model says."""
        try:
            return await self.models.complete(request)
        except NoModel:
            raise NothingToCompare from None


@dataclass(frozen=True, kw_only=True)
class RecordedActions(Actions):
    """Answers calls from the record. What is `live` is carried out, unless it changes something or needs a person."""

    record: TurnRecord
    live: bool

    async def carry_out(
        self,
        recording: Recording,
        action: Mapping[str, Any] | None,
        call: ToolCall,
        asker: Asker,
        given: list[Passage],
        citable: Collection[int],
        *,
        seconds: float,
        parent: int | None = None,
        ask: AskAgent | None = None,
        changes: bool = False,
    ) -> ActionDone:
        """Answer a call; handing the conversation over to another agent does nothing outside."""
        hands_over = action is not None and action.get("hand_off")
        if action is None or hands_over or (self.live and not changes and not await self._needs_a_person(action)):
            done = await super().carry_out(
                recording, action, call, asker, given, citable, seconds=seconds, parent=parent, ask=ask, changes=changes
            )
            self.record.note(call, "unmatched" if action is None else "live", done.outcome)
            return done
        source, found = self.record.take(call)
        outcome, told = ("unavailable", UNAVAILABLE) if found is None else (found["outcome"], found["result"])
        with recording.step("action", call.name, parent) as step:
            step.input, step.output = {"arguments": call.arguments}, {"result": told}
            step.note |= {"type": action["type"], "answered_by": source}
            step.outcome = outcome
        self.record.note(call, source, outcome)
        return ActionDone(call=call, type=str(action["type"]), outcome=outcome, duration_ms=0.0, told=told)

    async def _needs_a_person(self, action: Mapping[str, Any]) -> bool:
        if action.get("requires_confirmation"):
            return True
        facts = await self.tools.facts([action]) if action["type"] in TOOLS else {}
        return any(each.requires_confirmation for each in facts.values())
