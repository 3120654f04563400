"""Following turns, whichever process carries them out: from its memory, from the journal, and at last from the log."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from commands.conversations.turn_ends import leg_of
from commands.conversations.turn_ends import told as told_of
from commands.conversations.turn_streams import TERMINAL, TurnEvent, TurnJournal, TurnStream
from commands.ports import Things
from domain.conversation import Conversation
from domain.turn import content_of, run_of

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
    types: list[str] = field(default_factory=list)
    ended: bool = False

    def take(self, event: TurnEvent) -> None:
        """Note an event."""
        self.last = event.sequence
        self.types.append(event.type)
        self.ended = event.type in TERMINAL
        if event.type == "message.delta":
            self.text.append(str(event.data["text"]))


@dataclass(frozen=True, kw_only=True)
class TurnFollowing:
    """Follows turns, one run of them each; `here` gives the stream of a run that this process carries out."""

    things: Things
    places: Places
    journal: TurnJournal
    here: Callable[[UUID], TurnStream | None]

    async def follow(
        self, conversation: UUID, turn: UUID, run: UUID, after: int = 0
    ) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they come; the last one is terminal. Nothing where that was told."""
        stream = self.here(run)
        if stream is not None:
            async with aclosing(stream.follow(after)) as events:
                async for event in events:
                    yield event
            return
        told = Told()

        async def goes_on() -> bool:
            return may_say_more(await self._leg(conversation, turn, run))

        leg = await self._leg(conversation, turn, run)
        # What was copied from another conversation was told there: here the log tells of it.
        kept = run if leg["copied_from"] is None else run_of(turn)
        # From the beginning, also where the rest is asked for: the text so far says what is missing in the end.
        async with aclosing(self.journal.follow(kept, 0, goes_on)) as events:
            async for event in events:
                told.take(event)
                if event.sequence > after:
                    yield event
        if not told.ended:
            for event in await self._rest(conversation, turn, run, told):
                if event.sequence > after:
                    yield event
            if told.last == 0 and event.sequence < after:  # the stream that was joined is no longer kept
                yield replace(event, sequence=after + 1)

    async def end(self, conversation: UUID, turn: UUID, run: UUID) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the last events of a run that has ended, (type, data) each; or raise NotFound."""
        leg = await self._leg(conversation, turn, run)
        position = await self.places.position_of(conversation, leg["ended_version"])
        return told_of(leg, conversation, position)

    async def _leg(self, conversation: UUID, turn: UUID, run: UUID) -> Mapping[str, Any]:
        return leg_of((await self.things.newest(Conversation, conversation)).turn(str(turn)), run)

    async def _rest(self, conversation: UUID, turn: UUID, run: UUID, told: Told) -> list[TurnEvent]:
        """Return what the log knows of a run that the journal does not: the rest of its text, and its end."""
        leg = await self._leg(conversation, turn, run)
        ends = await self.end(conversation, turn, run)
        content, said = content_of(leg), leg["before"] + "".join(told.text)
        missing: list[tuple[str, Mapping[str, Any]]] = []
        if told.last == 0:
            missing.append(("turn.started", started(conversation, turn, run)))
        if content.startswith(said) and content != said:
            missing.append(("message.delta", {"text": content[len(said) :]}))
        asked = sum(type == "confirmation.requested" for type in told.types)
        missing += ends[asked:]
        return [
            TurnEvent(sequence=told.last + number, type=type, data=data)
            for number, (type, data) in enumerate(missing, 1)
        ]


def may_say_more(leg: Mapping[str, Any]) -> bool:
    """Return whether the journal may get more events of a run."""
    if leg["ended_at"] is None:
        return True
    if leg["copied_from"] is not None or not leg["agent"]:
        return False  # it was told elsewhere, or never began: there is no journal of it here
    ended = datetime.fromisoformat(leg["ended_at"]).timestamp()
    return bool(leg["state"] != "interrupted" and time.time() - ended < GRACE)


def started(conversation: UUID, turn: UUID, run: UUID) -> dict[str, Any]:
    """Return what the first event of a turn's stream tells."""
    return {"turn": {"id": str(turn), "state": "running"}, "conversation": str(conversation), "run_id": str(run)}
