"""Commands on messages that wait until a turn has ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from commands.bus import Done
from commands.conversations.conversation import OnConversation
from commands.conversations.conversation_jobs import turn_over
from commands.ports import Unit
from domain.conversation import Conversation
from domain.conversation_queue import withdraw


@dataclass(frozen=True, kw_only=True)
class RefuseMessage(OnConversation):
    """Note why a message that waits can't be answered."""

    turn: str
    error: Mapping[str, str]


async def refused(command: RefuseMessage, unit: Unit) -> Done:
    """Note why."""
    conversation = await unit.load(Conversation, command.id)
    withdraw(conversation, command.turn, error=command.error)
    turn_over(unit, conversation)
    unit.save(conversation)
    return Done(aggregate=conversation)
