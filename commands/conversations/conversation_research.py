"""Commands that note how far the research of a turn has come, and what it has `spent` until then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.bus import Done
from commands.conversations.conversation import OnConversation
from commands.ports import Unit
from domain.conversation import Conversation
from domain.research import Noted, note_research, plan_research, reflect_research


@dataclass(frozen=True, kw_only=True)
class NotePlan(OnConversation):
    """Note into which sub-questions that of a turn was taken apart."""

    turn: str
    questions: Sequence[str]
    fell_back: bool
    spent: Mapping[str, Any] | None = None


async def plan_noted(command: NotePlan, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    plan_research(conversation, command.turn, command.questions, fell_back=command.fell_back, spent=command.spent)
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class NoteFindings(OnConversation):
    """Note what was found out for a sub-question."""

    turn: str
    noted: Noted
    spent: Mapping[str, Any] | None = None


async def findings_noted(command: NoteFindings, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    note_research(conversation, command.turn, command.noted, spent=command.spent)
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class NoteReflection(OnConversation):
    """Note what was missing; no further questions: nothing."""

    turn: str
    questions: Sequence[str]
    fell_back: bool
    spent: Mapping[str, Any] | None = None


async def reflection_noted(command: NoteReflection, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    reflect_research(conversation, command.turn, command.questions, fell_back=command.fell_back, spent=command.spent)
    unit.save(conversation)
    return Done(aggregate=conversation)
