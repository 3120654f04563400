"""Follows the log for one read model: batches, retries, and setting aside what can't be taken."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.log import EventLog, Section
from adapters.projection_runner.batch import SQL, Batches, Fenced, ReadModel
from domain.errors import Unavailable
from projections.recorded import Recorded

LEAST, MOST = 250, 1000
"""Events of one transaction; doubled while there is more, since a thing that changes often is then
written once for many events."""

MOST_ALONE = 4000
"""Events of one transaction at most in a process that answers nobody."""

HEAVY = 4_000_000
"""Bytes of one section from which on sections become smaller again."""

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
        sifting: bool = False,
        most: int = MOST,
    ) -> None:
        """`sifting`: it has a long way to go, alone, so that what it does not take is not even read.

        `most`: events of one transaction, at most.
        """
        self._log = log_reader
        self._sifting = sifting
        self._most = most
        self._passed = log_reader.topics_besides(model.projection.takes)
        self._pool = pool
        self.batches = Batches(pool, model, schema=schema, fence=fence)
        self.position = position
        self._written = position
        self._moved = moved
        self._parked: dict[UUID, int] = {}
        self._size = LEAST
        self._ahead: Section | None = None

    @property
    def unwritten(self) -> bool:
        """Whether it has passed over events that change no row, and has not written how far."""
        return self._written != self.position

    def stands_at(self, position: int) -> None:
        """Go on from a position that was written for it."""
        self.position = self._written = position

    async def settle(self) -> None:
        """Write how far it is; or raise Fenced.

        What is passed over is written now and then, not each time: most events are of no concern to most read models,
        and passing over them again costs nothing.
        """
        if self.unwritten:
            await self.batches.pass_over(self._written, self.position)
            self._written = self.position

    async def refresh(self) -> bool:
        """Read which streams are set aside, and take back those for which somebody asked.

        Return whether somebody asked for the read model to be built anew.
        """
        await self.settle()
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["asked"], {"projection": self.batches.schema})
            rows = await cursor.fetchall()
        self._parked = {stream: first for _, stream, first, _ in rows if stream is not None}
        for _, stream, first, requested in rows:
            if requested:
                await self._take_back(stream, first)
        return any(rebuild for rebuild, *_ in rows)

    async def step(self) -> bool:
        """Apply the next batch; return whether there may be more."""
        section, self._ahead = self._ahead, None
        # Read a while ago: there may be more by now, of which whoever calls was told before.
        old = section is not None and section.after == self.position
        if section is None or not old:
            section = await self._read(self.position)
        if section.upto == self.position:
            self._size = LEAST
            return old
        if not section.full:
            await self._take(section.events, section.upto)
            self._size = LEAST
            return old
        self._size = max(self._size // 4, 1) if section.weight > HEAVY else min(2 * self._size, self._most)
        # Read and mapped while PostgreSQL writes the rows of this one.
        reading = asyncio.create_task(self._read(section.upto))
        try:
            await self._take(section.events, section.upto)
            self._ahead = await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return True

    async def _read(self, after: int) -> Section:
        if self._sifting:
            return await self._log.sift(after, self._size, self._passed)
        return await self._log.follow(after, self._size, self._passed)

    async def _take(self, events: Sequence[Recorded], upto: int) -> None:
        """Apply events and move on; where it fails, their halves, down to the event that is to blame."""
        wanted = [entry for entry in events if entry.stream not in self._parked] if self._parked else events
        try:
            await self._apply(wanted, upto)
        except Fenced:
            raise
        except Exception as error:
            if is_away(error) or not events:
                raise
            if len(events) == 1:
                await self._try_again(events[0], error)
                if upto > self.position:
                    await self._apply([], upto)
                return
            log.warning("batch_failed", projection=self.batches.schema, error=type(error).__name__, events=len(events))
            middle = len(events) // 2
            await self._take(events[:middle], events[middle - 1].position)
            await self._take(events[middle:], upto)

    async def _apply(self, events: Sequence[Recorded], position: int) -> None:
        if self.batches.changed_by(events):
            await self.batches.apply(events, expected=self._written, position=position)
            self._written = position
        self.position = position
        self._moved(position)

    async def _try_again(self, entry: Recorded, error: Exception) -> None:
        for _ in range(ATTEMPTS - 1):
            try:
                await self._apply([entry], entry.position)
                return
            except Fenced:
                raise
            except Exception as again:
                if is_away(again):
                    raise
                error = again
        await self.batches.park(entry.stream, told(error), at=entry.position, expected=self._written)
        self._parked[entry.stream] = entry.position
        self.position = self._written = entry.position
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
        except Fenced:
            raise
        except Exception as error:
            if is_away(error):
                raise
            await self.batches.refuse_back(stream, told(error), at=first, expected=self.position)
            log.error("requeue_failed", projection=self.batches.schema, stream=str(stream), error=type(error).__name__)
            return
        del self._parked[stream]
        log.info("stream_taken_back", projection=self.batches.schema, stream=str(stream), events=len(missed))


def is_away(error: Exception) -> bool:
    """Return whether it is the database that can't be used now, and no event that is to blame."""
    # A limit of PostgreSQL (class 54) is met again each time: it is the event's fault.
    return isinstance(error, AWAY) and not (getattr(error, "sqlstate", None) or "").startswith("54")


def told(error: Exception) -> str:
    """Return what is noted of an error: its kind only, since its text may hold what persons wrote."""
    return type(error).__name__
