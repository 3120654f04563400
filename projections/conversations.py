"""The read model of conversations: one row each, without a word of what was said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.conversation import Conversation
from domain.conversation_events import Created
from domain.event_types import event_classes
from projections.recorded import Recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationBegin:
    """A conversation that began."""

    id: UUID
    position: int
    agent: str
    subject: str | None
    principal: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationChange:
    """What a batch does to a conversation: its newest version, and what differs (None: nothing)."""

    id: UUID
    version: int
    updated_at: datetime
    turns: int | None
    state: str | None
    closed: bool


class ConversationsWriter(Protocol):
    """The read model inside the present transaction."""

    async def begin(self, rows: Sequence[ConversationBegin]) -> None:
        """Insert conversations."""

    async def change(self, rows: Sequence[ConversationChange]) -> None:
        """Change conversations, each once."""


@dataclass(frozen=True, kw_only=True)
class ConversationsQuery:
    """What a list may ask for; `principal` is (type, id) of whoever began them, None: anybody.

    `since`: those in which something happened at that time or after it.
    """

    limit: int
    after: int | None = None
    newest_first: bool = True
    agent: UUID | None = None
    subject: str | None = None
    status: str | None = None
    state: str | None = None
    since: datetime | None = None
    principal: tuple[str, str] | None = None


class ConversationsView(Protocol):
    """The read model for queries."""

    async def page(self, query: ConversationsQuery) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Return (position, row) of at most `limit` conversations after a position, in the order asked for."""


OURS = frozenset(event_classes(Conversation).values())
STATES: Mapping[type[Any], str] = {
    Conversation.TurnStarted: "running",
    Conversation.ConfirmationRequested: "awaiting_confirmation",
    Conversation.TurnResumed: "running",
    Conversation.TurnCompleted: "completed",
    Conversation.TurnFailed: "failed",
    Conversation.TurnCancelled: "cancelled",
    Conversation.TurnInterrupted: "interrupted",
}
"""The state that an event leaves the newest turn in."""


class ConversationsProjection:
    """Keeps the rows."""

    name: ClassVar[str] = "conversations_v1"
    takes: ClassVar[tuple[type[Any], ...]] = tuple(OURS)
    independent: ClassVar[bool] = True

    async def apply(self, events: Sequence[Recorded], view: ConversationsWriter) -> None:
        """Insert what began, and change what went on."""
        ours = [entry for entry in events if type(entry.event) in OURS]
        begun = [begin_of(entry) for entry in ours if isinstance(entry.event, Conversation.Created)]
        changes: dict[UUID, ConversationChange] = {}
        for entry in ours:
            changes[entry.stream] = changed(changes.get(entry.stream), entry)
        if begun:
            await view.begin(begun)
        if changes:
            await view.change(list(changes.values()))


def begin_of(entry: Recorded) -> ConversationBegin:
    """Return the row of a conversation that began."""
    event: Created = entry.event
    return ConversationBegin(
        id=entry.stream,
        position=entry.position,
        agent=event.agent,
        subject=event.subject,
        principal=event.principal,
        created_at=entry.recorded_at,
    )


def changed(before: ConversationChange | None, entry: Recorded) -> ConversationChange:
    """Return what a batch does to a conversation, with one more event."""
    event = entry.event
    turns, state = (before.turns, before.state) if before else (None, None)
    if isinstance(event, Conversation.TurnStarted):
        turns = event.number
    elif isinstance(event, Conversation.HistoryCopied | Conversation.HistoryContinued) and event.turns:
        turns, state = event.turns[-1]["number"], event.turns[-1]["state"]
    return ConversationChange(
        id=entry.stream,
        version=entry.version,
        updated_at=entry.recorded_at,
        turns=turns,
        state=STATES.get(type(event), state),
        closed=isinstance(event, Conversation.Closed) or (before is not None and before.closed),
    )
