"""Follows the log for one read model: batches, retries, and setting aside what can't be taken."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.log import EventLog
from adapters.postgres.errors import Unavailable
from adapters.projection_runner.batch import SQL, Batches, Fenced, ReadModel
from projections.recorded import Recorded

BATCH = 1000
"""Events of one transaction; between 500 and 2,000 the rate hardly differs."""

ATTEMPTS = 3
log = structlog.get_logger(__name__)

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, Unavailable)
"""The database is away or busy: no event is to blame, so nothing is set aside."""


class Follower:
    """Brings one schema of a read model from its position towards the head of the log."""

    def __init__(
        self,
        log_reader: EventLog,
        pool: AsyncConnectionPool,
        model: ReadModel,
        *,
        schema: str,
        fence: int,
        position: int,
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._log = log_reader
        self._pool = pool
        self.batches = Batches(pool, model, schema=schema, fence=fence)
        self.position = position
        self._moved = moved
        self._parked: dict[UUID, int] = {}

    async def refresh(self) -> None:
        """Read which streams are set aside, and take back those for which somebody asked."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["quarantined"], {"projection": self.batches.schema})
            rows = await cursor.fetchall()
        self._parked = {stream: first for stream, first, _ in rows}
        for stream, first, requested in rows:
            if requested:
                await self._take_back(stream, first)

    async def step(self) -> bool:
        """Apply the next batch; return whether there may be more."""
        section = await self._log.section(self.position, BATCH)
        if section:
            await self._take(section)
        return len(section) == BATCH

    async def _take(self, section: Sequence[Recorded]) -> None:
        """Apply a section; where it fails, its events one by one."""
        last = section[-1].position
        wanted = [entry for entry in section if entry.stream not in self._parked]
        try:
            await self._apply(wanted, last)
        except (*AWAY, Fenced, asyncio.CancelledError):
            raise
        except Exception as error:
            if len(section) == 1:
                await self._try_again(section[0], error)
                return
            log.warning("batch_failed", projection=self.batches.schema, error=type(error).__name__)
            for entry in section:
                await self._take([entry])

    async def _apply(self, events: Sequence[Recorded], position: int) -> None:
        await self.batches.apply(events, expected=self.position, position=position)
        self.position = position
        self._moved(position)

    async def _try_again(self, entry: Recorded, error: Exception) -> None:
        for _ in range(ATTEMPTS - 1):
            try:
                await self._apply([entry], entry.position)
                return
            except (*AWAY, Fenced, asyncio.CancelledError):
                raise
            except Exception as again:
                error = again
        await self.batches.park(entry.stream, told(error), at=entry.position, expected=self.position)
        self._parked[entry.stream] = entry.position
        self.position = entry.position
        self._moved(entry.position)
        log.error(
            "stream_quarantined",
            projection=self.batches.schema,
            stream=str(entry.stream),
            position=entry.position,
            error=type(error).__name__,
        )

    async def _take_back(self, stream: UUID, first: int) -> None:
        missed = [
            Recorded(entry.position, entry.stream, entry.version, entry.recorded_at, entry.event)
            for entry in reversed(await self._log.stream(stream, limit=10**9))
            if first <= entry.position <= self.position
        ]
        try:
            await self.batches.take_back(stream, missed, expected=self.position)
        except (*AWAY, Fenced, asyncio.CancelledError):
            raise
        except Exception as error:
            await self.batches.refuse_back(stream, told(error), at=first)
            log.error("requeue_failed", projection=self.batches.schema, stream=str(stream), error=type(error).__name__)
            return
        del self._parked[stream]
        log.info("stream_taken_back", projection=self.batches.schema, stream=str(stream), events=len(missed))


def told(error: Exception) -> str:
    """Return what is noted of an error: its kind only, since its text may hold what persons wrote."""
    return type(error).__name__
