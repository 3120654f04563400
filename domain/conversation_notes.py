"""What is noted about a conversation besides its turns: its title, reviewers' notes, and which answers were of use."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.errors import NotFound
from domain.turn import answer_id

if TYPE_CHECKING:
    from domain.conversation import Conversation

TitledBy = Literal["person", "model", "beginning"]
"""Who gave a title: a person, a model, or, where there is no model, the beginning of what was said first."""
LONGEST_TITLE = 200


class Titled(Aggregate.Event):
    """It was given a title, or (null) none."""

    TOPIC = "conversation.titled"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"title"})
    subject: str | None
    title: str | None
    by: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.title = self.title
        aggregate.titled_by = None if self.title is None else self.by


class Noted(Aggregate.Event):
    """A reviewer noted something about it, or about one of its messages."""

    TOPIC = "conversation.noted"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"text"})
    note: str
    message: str | None
    subject: str | None
    author: dict[str, str]
    text: str

    def apply(self, aggregate: "Conversation") -> None:
        note = {
            "id": self.note,
            "message_id": self.message,
            "author": self.author,
            "text": self.text,
            "created_at": self.timestamp.isoformat(),
        }
        aggregate.notes = [*aggregate.notes, note]


class AnswerCopied(Aggregate.Event):
    """A person copied an answer: a mild sign that it was of use."""

    TOPIC = "conversation.answer_copied"
    message: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.copied = aggregate.copied | {self.message}


def set_title(conversation: "Conversation", title: str | None, *, by: TitledBy) -> None:
    """Give a conversation a title, or none; one that a person chose is changed by persons only."""
    if by != "person" and conversation.title is not None:
        return
    if title != conversation.title:
        conversation.trigger_event(conversation.Titled, subject=conversation.subject, title=title, by=by)


def note(conversation: "Conversation", text: str, *, id: UUID, message: str | None, author: Mapping[str, str]) -> None:
    """Note something about a conversation or a message of it, or raise NotFound; also of a closed one."""
    asked = {turn["message_id"] for turn in conversation.turns.values()}
    if message is not None and message not in asked and message not in answers(conversation):
        raise NotFound("There is no such message in this conversation.")
    conversation.trigger_event(
        conversation.Noted,
        note=str(id),
        message=message,
        subject=conversation.subject,
        author=dict(author),
        text=text,
    )


def note_copied(conversation: "Conversation", message: str) -> None:
    """Note that a person copied an answer, or raise NotFound; a second time is none."""
    if message not in answers(conversation):
        raise NotFound("There is no such answer in this conversation.")
    if message not in conversation.copied:
        conversation.trigger_event(conversation.AnswerCopied, message=message)


def answers(conversation: "Conversation") -> set[str]:
    """Return the ids of all that the agent said."""
    turns = conversation.turns.values()
    return {str(answer_id(UUID(turn["id"]))) for turn in turns if turn["reply"] is not None or turn["partial"]}


def beginning(conversation: "Conversation", longest: int = 60) -> str | None:
    """Return the first words that a person said, as a title; None where nothing was said."""
    first: dict[str, Any] | None = next(iter(conversation.turns.values()), None)
    words = [] if first is None else str(first["content"]).split()
    title = ""
    for word in words:
        if title and len(title) + 1 + len(word) > longest:
            return f"{title}…"
        title = f"{title} {word}" if title else word[:longest]
    return title or None
