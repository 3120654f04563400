"""The stream of a turn: what happened in it, numbered, for whoever joins at whatever place."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

TERMINAL = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.awaiting_confirmation"})


@dataclass(frozen=True, kw_only=True)
class TurnEvent:
    """One event: `sequence` counts from 1."""

    sequence: int
    type: str
    data: Mapping[str, Any]


class TurnJournal(Protocol):
    """Keeps the events of turns for other processes, for some time after their end; by the run that a turn is."""

    def note(self, run: UUID, subject: str, event: TurnEvent) -> None:
        """Take an event to be written with the next batch; the terminal one is written at once."""

    def follow(self, run: UUID, after: int, goes_on: Callable[[], Awaitable[bool]]) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they are written; end with the terminal one, or the turn."""

    async def ask_to_cancel(self, turn: UUID) -> None:
        """Tell the process that carries the turn out that it is to be cancelled."""


@dataclass
class TurnStream:
    """The stream of a turn that this process carries out; `subject` is whose data key seals it elsewhere."""

    run: UUID
    subject: str
    journal: TurnJournal
    events: list[TurnEvent] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Add an event, for those who listen here and for other processes."""
        event = TurnEvent(sequence=len(self.events) + 1, type=type, data=data)
        self.events.append(event)
        self.journal.note(self.run, self.subject, event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, after: int = 0) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they come, to the terminal one; nothing where that was told."""
        while True:
            changed = self._changed
            if after < len(self.events):
                for event in self.events[after:]:
                    after = event.sequence
                    yield event
            elif self.events and self.events[-1].type in TERMINAL:
                return
            else:
                await changed.wait()


def key_subject(conversation: UUID, subject: str | None) -> str:
    """Return whose data key seals what is said in a conversation: its subject's, else its own."""
    return subject or f"\0{conversation}"
