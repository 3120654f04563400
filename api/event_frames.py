"""Events of the log as server-sent events: made once for all who see them."""

import asyncio
from collections.abc import Sequence

import orjson

from projections.events import Names, public_event
from projections.recorded import LogEntry

MOST = 4000
MOST_BYTES = 16 * 1024 * 1024
"""How much is kept of what was made."""

BREATH = 100
"""Events after which whatever else this process does gets its turn; some milliseconds."""


class EventFrames:
    """Makes frames: `id:` is the position, `data:` the event in its public form."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._made: dict[int, bytes] = {}
        self._bytes = 0
        self._newest = 0

    async def of(self, entries: Sequence[LogEntry]) -> bytes:
        """Return the frames of entries, in their order."""
        missing = {entry.stream for entry in entries if entry.position not in self._made}
        names = await self._names.names(missing)
        frames = []
        for number, entry in enumerate(entries, 1):
            made = self._made.get(entry.position)
            if made is None:
                made = frame(entry, names.get(entry.stream))
                self._keep(entry.position, made)
            frames.append(made)
            if not number % BREATH:
                await asyncio.sleep(0)
        return b"".join(frames)

    def _keep(self, position: int, made: bytes) -> None:
        """Keep it, if it is one of the newest: whoever reads the log from far back shares it with nobody."""
        self._newest = max(self._newest, position)
        if position <= self._newest - MOST or position in self._made:
            return
        self._made[position] = made
        self._bytes += len(made)
        while len(self._made) > MOST or self._bytes > MOST_BYTES:
            self._bytes -= len(self._made.pop(next(iter(self._made))))


def frame(entry: LogEntry, name: str | None) -> bytes:
    """Return an entry's frame; JSON has no line breaks, so it is one line of data."""
    return b"id: %d\ndata: %b\n\n" % (entry.position, orjson.dumps(public_event(entry, name)))
