"""The newest events of the log, read and decoded once for all who follow it in this process."""

import asyncio
from collections import deque
from itertools import islice

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from projections.recorded import LogEntry

MOST = 2000
MOST_BYTES = 16 * 1024 * 1024
"""How much is kept: whoever is further behind reads the log itself."""

SECTION, SECTION_BYTES = 500, 1024 * 1024
SURE = 1.0
"""Seconds that the log is believed to hold nothing more, when nothing was heard."""

EVERYTHING = LogFilter()


class Tail:
    """The entries at `start` < position <= `end`, without gaps.

    A hundred followers cost the database one query for what is new, not a hundred.
    """

    def __init__(self, reader: EventLog) -> None:
        self._reader = reader
        self._kept: deque[LogEntry] = deque()
        self._bytes = 0
        self._reading = asyncio.Lock()
        self._news = 1
        self._seen = 0
        self._seen_at = -SURE
        self.start = self.end = -1

    def heard(self, position: int) -> None:
        """There is something new up to a position; 0 = there may be."""
        if not 0 < position <= self.end:
            self._news += 1

    def begin(self, position: int) -> None:
        """Somebody has read the log up to here: what comes next is kept, unless the tail is near anyway."""
        if not self._near(position):
            self._kept.clear()
            self._bytes = 0
            self.start = self.end = position

    async def after(self, position: int, limit: int) -> list[LogEntry] | None:
        """Return what comes after a position, at most `limit` entries; None where it must be read from the log."""
        while self._near(position):
            if position < self.end:
                first = position - self.start
                return list(islice(self._kept, first, first + limit))
            if not await self._grow():
                return []
        return None

    def _near(self, position: int) -> bool:
        return 0 <= self.start <= position <= self.end + MOST

    async def _grow(self) -> bool:
        """Read what is new; return whether there was anything, or somebody else has read it meanwhile."""
        end = self.end
        async with self._reading:
            if self.end != end:
                return True
            news, now = self._news, asyncio.get_running_loop().time()
            if news == self._seen and now - self._seen_at < SURE:
                return False
            section = await self._reader.read(end, SECTION, EVERYTHING, SECTION_BYTES)
            if self.end != end:  # begun anew meanwhile
                return True
            if not section:
                self._seen, self._seen_at = news, now
                return False
            self._keep(section)
            if len(section) < SECTION and sum(entry.size for entry in section) < SECTION_BYTES:
                self._seen, self._seen_at = news, now  # that was all there was
            return True

    def _keep(self, section: list[LogEntry]) -> None:
        self._kept.extend(section)
        self._bytes += sum(entry.size for entry in section)
        self.end = section[-1].position
        while len(self._kept) > MOST or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            dropped = self._kept.popleft()
            self._bytes -= dropped.size
            self.start = dropped.position
