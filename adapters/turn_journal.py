"""The journal of turns in PostgreSQL: batches of stream events, sealed, and told by notification."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.event_store.data_keys import ERASED, DataKeys, SubjectErased
from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from commands.conversations.turn_streams import TERMINAL, TurnEvent
from domain.errors import DomainError

SQL = sql.load("adapters", "turn_journal.sql")
CHANNEL = "magnet_turns"
CANCEL = "cancel:"
EVERY = 0.05
"""Seconds between two batches, while few turns go on."""

FOR_EACH = 0.002
LONGEST = 0.25
"""Seconds more for each turn of a batch, and at most: a batch takes a row of each turn, however little it has said, and
only who follows a turn of another process waits for it."""

LOOK = 1.0
"""Seconds after which a follower looks without having been told, and a batch that failed is tried again."""

CLEAN_EVERY = 600.0
MOST_UNWRITTEN = 10_000
"""Batches kept while the database is away."""

log = structlog.get_logger(__name__)


class PostgresTurnJournal:
    """Writes what turns of this process say, and follows those of others."""

    def __init__(self, pool: AsyncConnectionPool, keys: DataKeys) -> None:
        self._pool = pool
        self._keys = keys
        self._waiting: dict[UUID, tuple[str, list[TurnEvent]]] = {}
        self._unwritten: list[dict[str, Any]] = []
        self._urgent = asyncio.Event()
        self._noted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._followers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self.on_cancel: Callable[[UUID], object] = lambda _: None

    async def open(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._clean())]

    async def close(self) -> None:
        """Write what is left, and stop."""
        await end_tasks(*self._tasks)
        self._tasks = []
        await self._flush(list(self._waiting))

    def note(self, run: UUID, subject: str, event: TurnEvent) -> None:
        """Take an event to be written with the next batch; the terminal one is written at once."""
        waiting = self._waiting.get(run)
        if waiting is None:
            waiting = self._waiting[run] = subject, []
            self._noted.set()
        waiting[1].append(event)
        if event.type in TERMINAL:
            self._urgent.set()

    def hear(self, message: str | None) -> None:
        """Take a notification: a run's id, or the wish to cancel a turn; None: look for yourself."""
        if message is None:
            for followers in self._followers.values():
                for heard in followers:
                    heard.set()
        elif message.startswith(CANCEL):
            self.on_cancel(UUID(message.removeprefix(CANCEL)))
        else:
            for heard in self._followers.get(UUID(message), ()):
                heard.set()

    async def ask_to_cancel(self, turn: UUID) -> None:
        """Tell the process that carries the turn out that it is to be cancelled."""
        await rows_of(self._pool, SQL["tell"], {"messages": [f"{CANCEL}{turn}"]})

    async def follow(
        self, run: UUID, after: int, goes_on: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events after a number as they are written; end with the terminal one, or the turn."""
        heard = asyncio.Event()
        self._followers[run].add(heard)
        try:
            while True:
                heard.clear()
                going = await goes_on()
                for (sealed,) in await rows_of(self._pool, SQL["read"], {"run": run, "after": after}):
                    for event in await self._opened(run, sealed):
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
            self._followers[run].discard(heard)
            if not self._followers[run]:
                del self._followers[run]

    async def clean(self) -> None:
        """Drop what is too old to be followed."""
        async with self._pool.connection() as connection:
            await connection.execute(SQL["clean"])

    async def _write(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._noted.wait()
            due = clock() + EVERY
            while self._waiting or self._unwritten:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._urgent.wait()
                self._urgent.clear()
                turns = list(self._waiting)
                if clock() < due:  # those that have ended do not wait for the others
                    turns = [turn for turn, (_, events) in self._waiting.items() if events[-1].type in TERMINAL]
                else:
                    due = clock() + min(EVERY + FOR_EACH * len(turns), LONGEST)
                if not await self._flush(turns):
                    await asyncio.sleep(LOOK)
            self._noted.clear()

    async def _clean(self) -> None:
        while True:
            try:
                await self.clean()
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("turn_events_not_cleaned", error=type(error).__name__)
            await asyncio.sleep(CLEAN_EVERY)

    async def _flush(self, turns: Sequence[UUID]) -> bool:
        """Write what waits of some turns; return whether nothing is left to be tried again."""
        try:
            await self._seal_waiting(turns)
            if self._unwritten:
                # What was tried before goes first, and as it was: it may have been written after all.
                async with self._pool.connection() as connection:
                    await connection.execute(SQL["write"], {"rows": orjson.dumps(self._unwritten).decode()})
                self._unwritten.clear()
        except (DomainError, psycopg.Error, PoolTimeout) as error:
            # Only listeners at other processes wait for it; the end of the turn is told by the log.
            log.warning("turn_events_not_written", error=type(error).__name__, batches=len(self._unwritten))
            del self._unwritten[:-MOST_UNWRITTEN]
            return False
        except Exception as error:  # else nothing would be written any more, and all that is said would be kept for it
            log.exception("turn_events_not_written", error=type(error).__name__)
            return False
        return True

    async def _seal_waiting(self, turns: Sequence[UUID]) -> None:
        """Make batches of what waits of some turns, each sealed with its subject's key; of who was erased, none."""
        subjects = {self._waiting[turn][0] for turn in turns}
        erased = set()
        try:
            await self._keys.ensure(subjects)
        except SubjectErased:
            for subject in subjects:
                try:
                    await self._keys.ensure({subject})
                except SubjectErased:
                    erased.add(subject)
        for run in turns:
            subject, events = self._waiting.pop(run)
            if subject not in erased:
                self._unwritten.append(
                    {
                        "run": str(run),
                        "first": events[0].sequence,
                        "last": events[-1].sequence,
                        "sealed": self._sealed(run, subject, events),
                    }
                )

    def _sealed(self, run: UUID, subject: str, events: Sequence[TurnEvent]) -> str:
        text = orjson.dumps([[event.sequence, event.type, event.data] for event in events]).decode()
        return orjson.dumps(self._keys.seal(subject, text, run.bytes)).decode()

    async def _opened(self, run: UUID, sealed: str) -> list[TurnEvent]:
        box = orjson.loads(sealed)
        await self._keys.fetch([box["key"]])
        text = self._keys.unseal(box, run.bytes)
        if text == ERASED:
            return []
        return [TurnEvent(sequence=number, type=type, data=data) for number, type, data in orjson.loads(text)]
