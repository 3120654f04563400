"""Commands on messages that wait until a turn has ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from commands.bus import Done
from commands.conversations.conversation import ByOwner, OnConversation, own
from commands.conversations.conversation_jobs import turn_over
from commands.ports import Unit
from domain.conversation import Conversation
from domain.conversation_queue import withdraw


@dataclass(frozen=True, kw_only=True)
class WithdrawMessage(ByOwner):
    """Take back a message that waits; nothing happens where its turn has begun."""

    turn: str


@dataclass(frozen=True, kw_only=True)
class RefuseMessage(OnConversation):
    """Note why a message that waits can't be answered."""

    turn: str
    error: Mapping[str, str]


async def withdrawn(command: WithdrawMessage, unit: Unit) -> Done:
    """Take it back."""
    conversation = await own(unit, command)
    withdraw(conversation, command.turn)
    unit.save(conversation)
    return Done(aggregate=conversation)


async def refused(command: RefuseMessage, unit: Unit) -> Done:
    """Note why."""
    conversation = await unit.load(Conversation, command.id)
    withdraw(conversation, command.turn, error=command.error)
    turn_over(unit, conversation)
    unit.save(conversation)
    return Done(aggregate=conversation)
