"""Whether memory stays as it is while streams come and go: `python -m benchmarks.soak [--minutes M]`.

Not part of the table, since it lasts. 200 readers run a prompt again and again, streamed; each stream takes about two
seconds. Memory is that of the server's processes (PSS, without PostgreSQL). What the first fifth of the time needs is
compared with what the last needs.
"""

import argparse
import asyncio
import statistics
import sys
import time
from functools import partial

import uvloop

from benchmarks.database import databases
from benchmarks.measure import megabytes
from benchmarks.models import Magnet, magnet, provider
from benchmarks.runs import FIRST_OF_OURS
from benchmarks.streams import BETWEEN, STREAMS, Stream, failed, longest

PIECES = 40
EVERY = 5.0
"""Seconds between two looks at the memory."""

MOST = 1.05
"""How many times the memory of the beginning that of the end may be."""


def main() -> int:
    """Run it, print what was seen, and return the exit status: 1 where memory grew or a stream ended badly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Streams for a long time.")
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = parser.parse_args().minutes * 60
    with (
        databases() as made,
        provider(between=BETWEEN) as theirs,
        magnet(made, theirs) as ours,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        memory, streams = runner.run(soak(ours, seconds))
    fifth = max(1, len(memory) // 5)
    before, after = statistics.median(memory[:fifth]), statistics.median(memory[-fifth:])
    sys.stdout.write(
        f"{len(streams)} streams in {seconds / 60:g} min, {failed(streams):g} did not end well; "
        f"longest gap {longest(streams):.0f} ms beyond the model's {BETWEEN * 1000:g} ms\n"
        f"memory: {before:.1f} MB in the first fifth, {after:.1f} MB in the last ({after / before - 1:+.1%})\n"
    )
    return int(bool(failed(streams)) or after > MOST * before)


async def soak(ours: Magnet, seconds: float) -> tuple[list[float], list[Stream]]:
    """Return the memory in MB at each look, and all streams."""
    loop = asyncio.get_running_loop()
    sent = ours.request("w " * PIECES, stream=True)
    end = time.monotonic() + seconds
    ended: list[Stream] = []

    async def reader() -> None:
        while time.monotonic() < end:
            begin = partial(Stream, sent, FIRST_OF_OURS, b"event: run.completed")
            _, stream = await loop.create_connection(begin, "127.0.0.1", ours.port)
            await asyncio.wait_for(stream.done, 60)
            ended.append(stream)

    memory: list[float] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(STREAMS):
            group.create_task(reader())
        while time.monotonic() < end:
            await asyncio.sleep(EVERY)
            memory.append(megabytes(ours.pid))
            sys.stderr.write(f"{len(ended):7} streams  {memory[-1]:.1f} MB\n")
    return memory, ended


if __name__ == "__main__":
    sys.exit(main())
