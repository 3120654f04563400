"""Commands that note the course of a conversation."""

from dataclasses import dataclass

from commands.bus import Done
from commands.conversation import OnConversation
from commands.ports import Unit
from domain.conversation import Conversation
from domain.conversation_course import note_topic
from domain.topics import TopicChoice


@dataclass(frozen=True, kw_only=True)
class NoteTopic(OnConversation):
    """Note what a turn is about."""

    turn: str
    choice: TopicChoice


async def topic_noted(command: NoteTopic, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    note_topic(conversation, command.turn, command.choice)
    unit.save(conversation)
    return Done(aggregate=conversation)
