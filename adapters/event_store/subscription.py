"""Following the log without an end: every event once, in order, however notifications are lost."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from adapters.event_store.log import EventLog, LogFilter
from adapters.postgres.listener import Listener
from domain.errors import Unavailable
from projections.recorded import LogEntry

CHANNEL = "magnet_log"
SAFETY_POLL = 1.0
"""Seconds after which a subscription looks without having been woken."""

LONGEST_PAUSE = 2.0
"""Seconds between two looks while the database is away."""

EVERYTHING = LogFilter()
log = structlog.get_logger(__name__)


class Subscriptions:
    """The subscriptions of one process; all share the listener's connection."""

    def __init__(self, reader: EventLog, listener: Listener) -> None:
        self._reader = reader
        self._open: set[Subscription] = set()
        listener.on(CHANNEL, lambda _: self.wake())

    def wake(self, _position: int = 0) -> None:
        """There is something new in the log; fits `Appender(on_append=...)`."""
        for subscription in self._open:
            subscription.wake()

    def follow(self, after: int, asked: LogFilter = EVERYTHING, *, limit: int = 500) -> "Subscription":
        """Return the batches (at most `limit` entries) after a position that fit the filter."""
        subscription = Subscription(self._reader, after, asked, limit, on_close=self._open.discard)
        self._open.add(subscription)
        return subscription


class Subscription:
    """An endless async iterator of batches, none of them empty; close it, or use it as a context.

    `position` is how far the log has been seen, entries that the filter dropped included.
    """

    def __init__(
        self, reader: EventLog, after: int, asked: LogFilter, limit: int, *, on_close: Callable[["Subscription"], None]
    ) -> None:
        self.position = after
        self._reader = reader
        self._asked = asked
        self._limit = limit
        self._on_close = on_close
        self._news = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Look at the log now."""
        self._news.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._on_close(self)
        self._news.set()

    def __aiter__(self) -> Self:
        """Iterate over itself: it has one position."""
        return self

    async def __anext__(self) -> list[LogEntry]:
        """Return the next batch, as soon as there is one."""
        pause = 0.05
        while not self._closed:
            # Cleared before the look: what is committed after it sets this again.
            self._news.clear()
            try:
                batch = await self._look()
            except Unavailable:
                log.warning("subscription_waits", position=self.position)
                await self._wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if batch:
                return batch
            await self._wait(SAFETY_POLL)
        raise StopAsyncIteration

    async def _look(self) -> list[LogEntry]:
        """Read on, and pass over what the filter drops.

        Positions are in the order of commits and without gaps, so a read that was begun after the
        head was seen has seen all there is up to that head.
        """
        filtered = self._asked != EVERYTHING
        head = await self._reader.head() if filtered else 0
        if filtered and head <= self.position:
            return []
        batch = await self._reader.read(self.position, self._limit, self._asked)
        if batch:
            self.position = batch[-1].position
        if len(batch) < self._limit:
            self.position = max(self.position, head)
        return batch

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the iteration."""
        self.close()
