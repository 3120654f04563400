"""The journal of turns in PostgreSQL: batches of stream events, sealed, and told by notification."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.data_keys import ERASED, DataKeys
from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from commands.turn_streams import TERMINAL, TurnEvent
from domain.errors import DomainError

SQL = sql.load("adapters", "turn_journal.sql")
CHANNEL = "magnet_turns"
CANCEL = "cancel:"
EVERY = 0.05
"""Seconds between two batches."""

LOOK = 1.0
"""Seconds after which a follower looks without having been told."""

log = structlog.get_logger(__name__)


class PostgresTurnJournal:
    """Writes what turns of this process say, and follows those of others."""

    def __init__(self, pool: AsyncConnectionPool, keys: DataKeys) -> None:
        self._pool = pool
        self._keys = keys
        self._waiting: dict[UUID, tuple[str, list[TurnEvent]]] = {}
        self._urgent = asyncio.Event()
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._heard: defaultdict[UUID, asyncio.Event] = defaultdict(asyncio.Event)
        self.on_cancel: Callable[[UUID], object] = lambda _: None

    async def open(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what is left, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._flush()

    def note(self, turn: UUID, subject: str | None, events: Sequence[TurnEvent]) -> None:
        """Take events to be written with the next batch; the terminal one is written at once."""
        self._waiting.setdefault(turn, (subject or f"\0{turn}", []))[1].extend(events)
        self._noted.set()
        if any(event.type in TERMINAL for event in events):
            self._urgent.set()

    def hear(self, message: str | None) -> None:
        """Take a notification: a turn's id, or the wish to cancel one; None: look for yourself."""
        if message is None:
            for heard in self._heard.values():
                heard.set()
        elif message.startswith(CANCEL):
            self.on_cancel(UUID(message.removeprefix(CANCEL)))
        elif UUID(message) in self._heard:
            self._heard[UUID(message)].set()

    async def ask_to_cancel(self, turn: UUID) -> None:
        """Tell the process that carries the turn out that it is to be cancelled."""
        await rows_of(self._pool, SQL["tell"], {"messages": [f"{CANCEL}{turn}"]})

    async def follow(
        self, turn: UUID, after: int, goes_on: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they are written; end with the terminal one, or the turn."""
        heard = self._heard[turn]
        try:
            while True:
                heard.clear()
                going = await goes_on()
                for (sealed,) in await rows_of(self._pool, SQL["read"], {"turn": turn, "after": after}):
                    for event in await self._opened(turn, sealed):
                        if event.sequence > after:
                            after = event.sequence
                            yield event
                            if event.type in TERMINAL:
                                return
                if not going:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), LOOK)
        finally:
            self._heard.pop(turn, None)

    async def clean(self) -> None:
        """Drop what is too old to be followed."""
        async with self._pool.connection() as connection:
            await connection.execute(SQL["clean"])

    async def _run(self) -> None:
        while True:
            await self._noted.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), EVERY)
            self._noted.clear()
            self._urgent.clear()
            await self._flush()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await self._keys.ensure({subject for subject, _ in waiting.values()})
            rows = [
                {
                    "turn": str(turn),
                    "first": events[0].sequence,
                    "last": events[-1].sequence,
                    "sealed": self._sealed(turn, subject, events),
                }
                for turn, (subject, events) in waiting.items()
            ]
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(SQL["lazily"])
                await connection.execute(SQL["write"], {"rows": orjson.dumps(rows).decode()})
                await connection.execute(SQL["tell"], {"messages": [str(turn) for turn in waiting]})
        except (DomainError, psycopg.Error, PoolTimeout) as error:
            # Only listeners at other processes miss something; the end of the turn is told by the log.
            log.warning("turn_events_not_written", error=type(error).__name__, turns=len(waiting))

    def _sealed(self, turn: UUID, subject: str, events: Sequence[TurnEvent]) -> str:
        text = orjson.dumps([[event.sequence, event.type, event.data] for event in events]).decode()
        return orjson.dumps(self._keys.seal(subject, text, turn.bytes)).decode()

    async def _opened(self, turn: UUID, sealed: str) -> list[TurnEvent]:
        box = orjson.loads(sealed)
        await self._keys.fetch([box["key"]])
        text = self._keys.unseal(box, turn.bytes)
        if text == ERASED:
            return []
        return [TurnEvent(sequence=number, type=type, data=data) for number, type, data in orjson.loads(text)]
