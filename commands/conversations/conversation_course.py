"""Commands that note the course of a conversation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.bus import Done
from commands.conversations.conversation import OnConversation
from commands.ports import Unit
from domain.conversation import Conversation
from domain.conversation_course import hand_off, note_guardrail, note_topic, summarize
from domain.topics import TopicChoice
from domain.turn_effects import begin_action


@dataclass(frozen=True, kw_only=True)
class NoteTopic(OnConversation):
    """Note what a turn is about."""

    turn: str
    choice: TopicChoice


@dataclass(frozen=True, kw_only=True)
class NoteGuardrail(OnConversation):
    """Note what a guardrail found, {stage, guardrail, action, findings}, and what a model is told since."""

    turn: str
    found: Mapping[str, Any]
    told: str | None


async def guardrail_noted(command: NoteGuardrail, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    note_guardrail(conversation, command.turn, found=command.found, told=command.told)
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class NoteSummary(OnConversation):
    """Keep in short what was said up to a turn."""

    turn: str
    upto: str
    summary: str


async def summary_noted(command: NoteSummary, unit: Unit) -> Done:
    """Keep it."""
    conversation = await unit.load(Conversation, command.id)
    summarize(conversation, command.turn, upto=command.upto, summary=command.summary)
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class NoteBegun(OnConversation):
    """Note that the agent is about to change something."""

    turn: str
    call: str
    function: str
    type: str
    arguments: str


async def begun_noted(command: NoteBegun, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    begin_action(
        conversation,
        command.turn,
        call=command.call,
        function=command.function,
        type=command.type,
        arguments=command.arguments,
    )
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class HandOff(OnConversation):
    """Have another agent go on; `agent` as turns name theirs."""

    turn: str
    agent: Mapping[str, Any]


async def handed_off(command: HandOff, unit: Unit) -> Done:
    """Hand it over."""
    conversation = await unit.load(Conversation, command.id)
    hand_off(conversation, command.turn, command.agent)
    unit.save(conversation)
    return Done(aggregate=conversation)


async def topic_noted(command: NoteTopic, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    note_topic(conversation, command.turn, command.choice)
    unit.save(conversation)
    return Done(aggregate=conversation)
