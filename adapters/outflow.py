"""What leaves the log for elsewhere: followed by one process at a time, from exactly where it was, whoever is away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog
from psycopg_pool import AsyncConnectionPool

from adapters.ending import end_tasks
from adapters.failpoints import failpoint
from adapters.postgres.listener import Listener
from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.ownership import Session, keep_owning

SAFETY_POLL = 1.0
LEAST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two tries while whoever takes it is away."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
log = structlog.get_logger(__name__)


class Sink(Protocol[T_contra]):
    """Where it goes."""

    async def open(self) -> None:
        """Connect."""

    async def write(self, items: Sequence[T_contra]) -> None:
        """Return once they have arrived."""

    async def close(self) -> None:
        """Disconnect."""


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[T]):
    """What is to be written of a part of the log, and up to which position that is."""

    items: Sequence[T]
    reached: int


@dataclass
class Place:
    """How far the log has left, and the fence under which that is noted."""

    position: int
    fence: int


class Outflow(Generic[T]):
    """Writes the log to a sink, batch after batch.

    `prepare` returns what comes after a position; what it raises of `away` by writing is tried again without end.
    """

    def __init__(
        self,
        *,
        name: str,
        dsn: str,
        pool: AsyncConnectionPool,
        listener: Listener,
        moved: Callable[[str, int], object],
        prepare: Callable[[int], Awaitable[Prepared[T]]],
        sink: Callable[[], Sink[T]],
        away: tuple[type[Exception], ...],
    ) -> None:
        self._name = name
        self._dsn = dsn
        self._pool = pool
        self._moved = moved
        self._prepare = prepare
        self._sink = sink
        self._away = away
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        listener.on("magnet_log", lambda _: self.wake())

    def wake(self, _position: int = 0) -> None:
        """There is something new in the log."""
        self._news.set()

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(keep_owning(self._dsn, self._name, self._own), name=self._name)

    async def close(self) -> None:
        """Stop; what was written and not noted is found there by the next owner."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None

    async def _own(self, session: Session) -> None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(SQL["take_over"], {"projection": self._name})).fetchone()
        assert row is not None
        place = Place(*row)
        pause = LEAST_PAUSE
        while True:
            sink = self._sink()
            try:
                await sink.open()
                pause = LEAST_PAUSE
                await self._follow(sink, session, place)
            except self._away as error:
                reason = str(error)[:200]
                log.warning(
                    "outflow_waits",
                    projection=self._name,
                    error=type(error).__name__,
                    reason=reason,
                    position=place.position,
                )
            finally:
                with contextlib.suppress(*self._away):  # whoever is away can't be told
                    await sink.close()
            await session.execute("SELECT 1")  # a lost session means a lost lock
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow(self, sink: Sink[T], session: Session, place: Place) -> None:
        """Write batch after batch without end; the next one is made ready while the present one is taken."""
        preparing = asyncio.ensure_future(self._prepared(place.position))
        try:
            while True:
                prepared = await preparing
                if prepared.reached == place.position:
                    await self._wait(session)
                    preparing = asyncio.ensure_future(self._prepared(place.position))
                    continue
                preparing = asyncio.ensure_future(self._prepared(prepared.reached))
                if prepared.items:
                    await sink.write(prepared.items)
                failpoint("relay.after_write")
                await self._advance(place, prepared.reached)
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _prepared(self, after: int) -> Prepared[T]:
        self._news.clear()
        return await self._prepare(after)

    async def _advance(self, place: Place, reached: int) -> None:
        async with self._pool.connection() as connection:
            values = {"projection": self._name, "fence": place.fence, "expected": place.position, "position": reached}
            if (await connection.execute(SQL["advance"], values)).rowcount != 1:
                raise Fenced
        place.position = reached
        self._moved(self._name, reached)

    async def _wait(self, session: Session) -> None:
        try:
            async with asyncio.timeout(SAFETY_POLL):
                await self._news.wait()
        except TimeoutError:
            await session.execute("SELECT 1")
