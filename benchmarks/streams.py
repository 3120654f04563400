"""Many streams at once on one process: whether all end well, and how long any of them stands still."""

import asyncio
import time
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.database import Databases
from benchmarks.measure import Scale
from benchmarks.models import PROMPT, magnet, provider
from benchmarks.runs import FIRST_OF_OURS, FIRST_OF_THEIRS
from benchmarks.table import Row

STREAMS = 200
PIECES = 200
BETWEEN = 0.05
"""Seconds between two pieces, as from a model that writes 20 of them a second."""


class Stream(asyncio.Protocol):
    """Reads one stream, and notes how long nothing came once it had begun."""

    def __init__(self, sent: bytes, first: bytes, end: bytes) -> None:
        self._sent = sent
        self._first = first
        self._end = end
        self._last = 0.0
        self._tail = b""
        self.gap = 0.0
        self.first_at = 0.0
        """When the first text came, as the loop counts."""
        self.well = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._tail = self._tail[-2000:] + data
        if self._last:
            self.gap = max(self.gap, now - self._last)
            self._last = now
        elif self._first in self._tail:
            self._last = self.first_at = now
        if self._tail.endswith(b"0\r\n\r\n"):
            self.well = self._end in self._tail
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def streams_at_once(databases: Databases, scale: Scale) -> Iterator[Row]:
    """200 runs of a prompt that begin at once, and the same streams without us; the wait for the end counts too."""
    text = "w " * max(20, scale.count(PIECES))
    with provider(between=BETWEEN) as theirs, magnet(databases, theirs) as ours:
        ours.do("POST", f"/v1/prompts/{PROMPT}/run", {"variables": {"text": "w"}})  # what the first call ever loads
        directly = gather(theirs.port, theirs.request(text, stream=True), FIRST_OF_THEIRS, b"data: [DONE]")
        through = gather(ours.port, ours.request(text, stream=True), FIRST_OF_OURS, b"event: run.completed")
    yield Row(
        what=f"{STREAMS} streams at once, those that did not end well", ours=failed(through), unit="streams", most=1,
        compared="without us", theirs=failed(directly),
    )  # fmt: skip
    yield Row(
        what=f"{STREAMS} streams at once, longest gap beyond the model's {BETWEEN * 1000:g} ms", unit="ms", most=250,
        ours=longest(through), compared="without us, ms", theirs=longest(directly),
    )  # fmt: skip


def gather(port: int, sent: bytes, first: bytes, end: bytes) -> list[Stream]:
    """Read all streams, begun at once."""

    async def run() -> list[Stream]:
        loop = asyncio.get_running_loop()
        streams = [Stream(sent, first, end) for _ in range(STREAMS)]
        await asyncio.gather(
            *(loop.create_connection(lambda stream=stream: stream, "127.0.0.1", port) for stream in streams)  # type: ignore[misc]
        )
        await asyncio.wait_for(asyncio.gather(*(stream.done for stream in streams)), 300)
        return streams

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def failed(streams: list[Stream]) -> float:
    """Return how many did not end as they should."""
    return sum(not stream.well for stream in streams)


def longest(streams: list[Stream]) -> float:
    """Return the longest gap of any, in milliseconds beyond what the model takes between two pieces."""
    return (max(stream.gap for stream in streams) - BETWEEN) * 1000
