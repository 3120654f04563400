"""Guardrails at work: what is looked for, what was found, and what comes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from commands.agents.actions import ActionDone
from commands.models.model_calls import Attached, ModelCallFailed, SaidBefore
from commands.runs.runs import OpenStep, Recording
from domain.definition import parse
from domain.errors import DomainError
from domain.guardrails import BLOCKED, UNSEEN, WITHHELD, Stage

TOOLS = "injection"
"""The type that is looked for in what actions give, too."""

FILES = "files"
"""The type of the action by which a model searches a person's files."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that was found: what it is, and where (characters); no `end`: to the end of the text."""

    label: str
    start: int = 0
    end: int | None = None


class Guard(Protocol):
    """Looks for something."""

    config: type[BaseModel]

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return what is found in a text, or raise DomainError where that can't be said."""


Guards = Mapping[str, Guard]
"""Type of guardrail -> what looks for it."""


class GuardrailFailed(ModelCallFailed):
    """A guardrail could not be asked, and without it nothing goes on."""

    code = "guardrail_failed"


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """A guardrail found something; `findings` counts by label, `told` is what a person said after masking."""

    stage: Stage
    guardrail: str
    action: str
    findings: Mapping[str, int]
    told: str | None = None

    def document(self) -> dict[str, Any]:
        """Return its public form, without a word of the text."""
        return {
            "stage": self.stage,
            "guardrail": self.guardrail,
            "action": self.action,
            "findings": dict(self.findings),
        }


class Blocked(Exception):
    """Something is not answered, or not said: `words` are said instead."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(kw_only=True)
class Watch:
    """The guardrails of one agent's part in a turn, and what they found that was not told yet."""

    guards: Guards
    recording: Recording
    settings: Mapping[str, Any]
    parent: int | None
    found: list[Triggered] = field(default_factory=list)

    @property
    def output(self) -> Sequence[Mapping[str, Any]]:
        """The guardrails of what the agent says."""
        rails: Sequence[Mapping[str, Any]] = self.settings.get("output", ())
        return rails

    def taken(self) -> list[Triggered]:
        """Return what was found since this was asked last."""
        found, self.found = self.found, []
        return found

    async def admitted(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Return messages as a model may be told them, or raise Blocked. Those of earlier turns were looked at then."""
        rails: Sequence[Mapping[str, Any]] = self.settings.get("input", ())
        if not rails:
            return messages
        *before, last = messages
        return [*[await self._admitted(message, rails) for message in before], await self._admitted(last, rails, True)]

    async def heard(self, text: str) -> str:
        """Return what a person says besides their message as a model may be told it, or raise Blocked."""
        return await self.judged("input", self.settings.get("input", ()), text)

    async def _admitted(
        self, message: Mapping[str, Any], rails: Sequence[Mapping[str, Any]], last: bool = False
    ) -> Mapping[str, Any]:
        text = message.get("content")
        if isinstance(message, Attached) and isinstance(text, str):
            return Attached({**message, "content": await self.judged("file", rails, text)})
        if isinstance(message, SaidBefore) or not isinstance(text, str):
            return message
        if message["role"] == "user":
            return {**message, "content": await self.judged("input", rails, text, last)}
        if message["role"] in ("tool", "function"):
            return {**message, "content": await self._result(text, rails)}
        return message

    async def inspected(self, done: ActionDone) -> ActionDone:
        """Return what an action gave as the model may be told it; whatever that is, it is done and goes on record.

        What a person's files say is looked at as files are, also where the model searches them.
        """
        rails: Sequence[Mapping[str, Any]] = self.settings.get("input", ())
        told = await (self._seen("file", done.told, rails) if done.type == FILES else self._result(done.told, rails))
        if told == done.told:
            return done
        withheld = told in (WITHHELD, UNSEEN) and done.outcome == "completed"
        if withheld:
            return replace(done, told=told, said="", citable=(), outcome="withheld")
        return replace(done, told=told, said="")

    async def _result(self, text: str, rails: Sequence[Mapping[str, Any]]) -> str:
        return await self._seen("tool", text, [rail for rail in rails if rail["type"] == TOOLS])

    async def _seen(self, stage: Stage, text: str, rails: Sequence[Mapping[str, Any]]) -> str:
        try:
            return await self.judged(stage, rails, text)
        except Blocked:
            return WITHHELD
        except GuardrailFailed:
            return UNSEEN

    async def judged(
        self, stage: Stage, rails: Sequence[Mapping[str, Any]], text: str, is_message: bool = False
    ) -> str:
        """Return a text with what is masked, or raise Blocked; each guardrail is a step.

        Of a person's message it is kept how it is told from now on; of files that come with it, it is not.
        """
        for rail in rails:
            with self.recording.step("guardrail", rail["type"], self.parent) as step:
                findings = await self.looked_for(rail, text, step)
                masked = masked_in(text, findings) if rail["action"] == "mask" else text
                told = masked if is_message and rail["action"] == "mask" else None
                self.note(stage, rail, Counter(each.label for each in findings), step, told)
            if findings and rail["action"] == "block":
                raise Blocked(self.settings.get("blocked_message", BLOCKED))
            text = masked
        return text

    async def looked_for(self, rail: Mapping[str, Any], text: str, step: OpenStep | None) -> Sequence[Finding]:
        """Return what a guardrail finds; where it can't be asked, only one that flags lets the text pass."""
        guard = self.guards.get(rail["type"])
        try:
            if guard is None:
                raise GuardrailFailed(f"There is no guardrail '{rail['type']}' here any more.", code="no_guardrail")
            return await guard.check(text, parse(guard.config, rail["config"]), provider_of(rail))
        except DomainError as error:
            if rail["action"] != "flag":
                raise GuardrailFailed(f"The guardrail '{rail['type']}' could not be asked: {error}") from error
            if step is not None:
                step.outcome = error.error_code
            return ()

    def note(
        self, stage: Stage, rail: Mapping[str, Any], findings: Mapping[str, int], step: OpenStep, told: str | None
    ) -> None:
        """Note what a guardrail found in a text, in its step and for those who are told."""
        step.note |= {"stage": stage, "action": rail["action"], "findings": dict(findings)}
        if findings:
            self.found.append(
                Triggered(stage=stage, guardrail=rail["type"], action=rail["action"], findings=findings, told=told)
            )


def masked_in(text: str, findings: Sequence[Finding]) -> str:
    """Return a text with what was found replaced by what it is, such as [email]; what overlaps is one place."""
    parts: list[str] = []
    place = 0
    for each in sorted(findings, key=lambda found: (found.start, -(found.end or len(text)))):
        if each.start >= place:
            parts += [text[place : each.start], f"[{each.label}]"]
        place = max(place, len(text) if each.end is None else each.end)
    return "".join([*parts, text[place:]])


def provider_of(rail: Mapping[str, Any]) -> UUID | None:
    """Return the provider that a guardrail asks."""
    return None if rail.get("provider") is None else UUID(rail["provider"])
