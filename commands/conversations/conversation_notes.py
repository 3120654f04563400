"""Commands that note something about a conversation: its title, a reviewer's note, that an answer was copied."""

from dataclasses import dataclass
from uuid import uuid4

from commands.bus import Done
from commands.conversations.conversation import ByOwner, OnConversation, absent, own, owned
from commands.ports import Unit
from domain.conversation import Conversation
from domain.conversation_notes import TitledBy, note, note_copied, set_title


@dataclass(frozen=True, kw_only=True)
class TitleConversation(ByOwner):
    """Give a conversation a title, or none."""

    title: str | None


@dataclass(frozen=True, kw_only=True)
class SuggestTitle(OnConversation):
    """Give a conversation a title where it has none."""

    title: str | None
    by: TitledBy


@dataclass(frozen=True, kw_only=True)
class NoteReview(ByOwner):
    """Note something about a conversation or a message of it; `reads_all`: also about those of others."""

    reads_all: bool
    message: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class NoteCopied(ByOwner):
    """Note that an answer was copied."""

    message: str


async def titled(command: TitleConversation, unit: Unit) -> Done:
    """Give the title."""
    conversation = await own(unit, command)
    set_title(conversation, command.title, by="person")
    unit.save(conversation)
    return Done(aggregate=conversation)


async def title_suggested(command: SuggestTitle, unit: Unit) -> Done:
    """Give the title where there is none."""
    conversation = await unit.load(Conversation, command.id)
    set_title(conversation, command.title, by=command.by)
    unit.save(conversation)
    return Done(aggregate=conversation)


async def review_noted(command: NoteReview, unit: Unit) -> Done:
    """Take the note."""
    conversation = await reviewed(unit, command)
    id = uuid4()
    note(conversation, command.text, id=id, message=command.message, author=command.principal)
    unit.save(conversation)
    return Done(aggregate=conversation, shown={"note_id": str(id)})


async def copied(command: NoteCopied, unit: Unit) -> Done:
    """Note it."""
    conversation = await own(unit, command)
    note_copied(conversation, command.message)
    unit.save(conversation)
    return Done(aggregate=conversation)


async def reviewed(unit: Unit, command: NoteReview) -> Conversation:
    """Return the conversation for changing, or raise NotFound where its reviewer may not see it."""
    found = await unit.find(Conversation, command.id)
    if found is None:
        raise absent()
    conversation = found if command.reads_all else owned(found, command.principal)
    conversation.must_be_at(command.expected)
    return conversation
