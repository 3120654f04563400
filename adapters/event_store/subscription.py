"""Following the log without an end: every event once, in order, however notifications are lost."""

import asyncio
from asyncio import sleep
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import END, EventLog
from adapters.event_store.tail import EVERYTHING, Tail
from adapters.postgres.listener import Listener
from domain.errors import Unavailable
from projections.recorded import LogEntry

CHANNEL = "magnet_log"
SAFETY_POLL = 1.0
"""Seconds after which a subscription looks without having been woken."""

LONGEST_PAUSE = 2.0
"""Seconds between two looks while the database is away."""

log = structlog.get_logger(__name__)


class Subscriptions:
    """The subscriptions of one process; all share the listener's connection and the newest events."""

    def __init__(self, reader: EventLog, listener: Listener) -> None:
        self._reader = reader
        self._tail = Tail(reader)
        self._open: set[Subscription] = set()
        self._closed = False
        listener.on(CHANNEL, lambda position: self.wake(int(position or 0)))

    def wake(self, position: int = 0) -> None:
        """There is something new in the log, up to a position; fits `Appender(on_append=...)`."""
        self._tail.heard(position)
        for subscription in self._open:
            subscription.wake()

    def follow(
        self,
        after: int,
        asked: LogFilter = EVERYTHING,
        *,
        limit: int = 500,
        heaviest: int = END,
        patience: float = 0.0,
        rare: bool = False,
    ) -> "Subscription":
        """Return the batches after a position that fit the filter, at most `limit` entries each.

        A batch ends with the entry that makes it `heaviest` bytes or more. News may wait for others for `patience`
        seconds. What is `rare` is looked for by the filter's index, not among the newest events: reading all of them
        for the sake of it costs more.
        """
        subscription = Subscription(
            self._reader, None if rare else self._tail, after, asked, limit, heaviest, patience, self._open.discard
        )
        self._open.add(subscription)
        if self._closed:
            subscription.close()
        return subscription

    def close(self) -> None:
        """End all iterations, and what begins from now on: the process stops."""
        self._closed = True
        for subscription in list(self._open):
            subscription.close()


class Subscription:
    """An endless async iterator of batches, none of them empty; close it, or use it as a context.

    `position` is how far the log has been seen, entries that the filter dropped included. Nothing is read
    ahead of who iterates, so one who is slow costs nobody anything.
    """

    def __init__(
        self,
        reader: EventLog,
        tail: Tail | None,
        after: int,
        asked: LogFilter,
        limit: int,
        heaviest: int,
        patience: float,
        on_close: Callable[["Subscription"], None],
    ) -> None:
        self.position = after
        self._reader = reader
        self._tail = tail
        self._asked = asked
        self._limit = limit
        self._heaviest = heaviest
        self._patience = patience
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
            if self._patience and not self._closed:
                await sleep(self._patience)
        raise StopAsyncIteration

    async def _look(self) -> list[LogEntry]:
        """Read on, and pass over what the filter drops."""
        while self._tail is not None and (entries := await self._tail.after(self.position, self._limit)) is not None:
            if not entries:
                return []
            fitting = [entry for entry in entries if self._asked.fits(entry)]
            batch = bounded(fitting, self._heaviest)
            self.position = (batch if len(batch) < len(fitting) else entries)[-1].position
            if batch:
                return batch
        return await self._from_the_log()

    async def _from_the_log(self) -> list[LogEntry]:
        """Read on where the newest events don't reach.

        Positions are in the order of commits and without gaps, so a read that was begun after the
        head was seen has seen all there is up to that head.
        """
        head = await self._reader.head()
        if head <= self.position:
            if head == self.position and self._tail is not None:
                self._tail.begin(head)
            return []
        batch = await self._reader.read(self.position, self._limit, self._asked, self._heaviest)
        if batch:
            self.position = batch[-1].position
        if len(batch) < self._limit and sum(entry.size for entry in batch) < self._heaviest:
            self.position = max(self.position, head)
            if self._tail is not None:
                self._tail.begin(self.position)
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


def bounded(batch: list[LogEntry], heaviest: int) -> list[LogEntry]:
    """Return the batch up to the entry with which it has so many bytes."""
    total = 0
    for number, entry in enumerate(batch, 1):
        total += entry.size
        if total >= heaviest:
            return batch[:number]
    return batch
