"""Following turns, whichever process carries them out: from its memory, from the journal, and at last from the log."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from commands.ports import Things
from commands.turn_ends import told_as, turn_document
from commands.turn_streams import TERMINAL, TurnEvent, TurnJournal, TurnStream
from domain.conversation import Conversation
from domain.turn import OPEN_STATES

GRACE = 3.0
"""Seconds after a turn's end in which its process may still write the last events of its stream."""


class Places(Protocol):
    """Knows where events stand in the log."""

    async def position_of(self, id: UUID, version: int) -> int:
        """Return the position of one event of a stream, or raise NotFound."""


@dataclass
class Told:
    """What a follower has seen of a stream: its last number, and the text so far."""

    last: int = 0
    text: list[str] = field(default_factory=list)
    ended: bool = False

    def take(self, event: TurnEvent) -> None:
        """Note an event."""
        self.last = event.sequence
        self.ended = event.type in TERMINAL
        if event.type == "message.delta":
            self.text.append(str(event.data["text"]))


@dataclass(frozen=True, kw_only=True)
class TurnFollowing:
    """Follows turns; `here` gives the stream of one that this process carries out."""

    things: Things
    places: Places
    journal: TurnJournal
    here: Callable[[UUID], TurnStream | None]

    async def follow(self, conversation: UUID, turn: UUID, after: int = 0) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they come; the last one is terminal. Nothing where that was told."""
        stream = self.here(turn)
        if stream is not None:
            async with aclosing(stream.follow(after)) as events:
                async for event in events:
                    yield event
            return
        told = Told()
        # From the beginning, also where the rest is asked for: the text so far says what is missing in the end.
        async with aclosing(self.journal.follow(turn, 0, lambda: self._may_say_more(conversation, turn))) as events:
            async for event in events:
                told.take(event)
                if event.sequence > after:
                    yield event
        if not told.ended:
            for event in await self._rest(conversation, turn, told):
                if event.sequence > after:
                    yield event
            if told.last == 0 and event.sequence < after:  # the stream that was joined is no longer kept
                yield replace(event, sequence=after + 1)

    async def end(self, conversation: UUID, turn: UUID) -> TurnEvent:
        """Return the terminal event of a turn that has ended, or raise NotFound."""
        found = (await self.things.newest(Conversation, conversation)).turn(str(turn))
        position = await self.places.position_of(conversation, found["ended_version"])
        return TurnEvent(sequence=0, type=told_as(found["state"]), data=turn_document(found, conversation, position))

    async def _may_say_more(self, conversation: UUID, turn: UUID) -> bool:
        """Return whether the journal may get more events of a turn."""
        found = (await self.things.newest(Conversation, conversation)).turn(str(turn))
        if found["state"] in OPEN_STATES:
            return True
        ended = datetime.fromisoformat(found["ended_at"]).timestamp()
        return bool(found["state"] != "interrupted" and time.time() - ended < GRACE)

    async def _rest(self, conversation: UUID, turn: UUID, told: Told) -> list[TurnEvent]:
        """Return what the log knows of a turn that the journal does not: the rest of its text, and its end."""
        end = await self.end(conversation, turn)
        content, said = str(end.data["message"]["content"]), "".join(told.text)
        missing: list[tuple[str, Mapping[str, Any]]] = []
        if told.last == 0:
            missing.append(("turn.started", started(conversation, turn, end.data["run_id"])))
        if content.startswith(said) and content != said:
            missing.append(("message.delta", {"text": content[len(said) :]}))
        missing.append((end.type, end.data))
        return [
            TurnEvent(sequence=told.last + number, type=type, data=data)
            for number, (type, data) in enumerate(missing, 1)
        ]


def started(conversation: UUID, turn: UUID, run_id: str) -> dict[str, Any]:
    """Return what the first event of a turn's stream tells."""
    return {"turn": {"id": str(turn), "state": "running"}, "conversation": str(conversation), "run_id": run_id}
