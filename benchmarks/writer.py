"""A process that writes, for the rows that need several: `python -m benchmarks.writer WHAT DSN [SECONDS]`."""

import asyncio
import sys
from uuid import uuid4

from adapters.event_store.requests import Request
from adapters.postgres.migrations import migrate
from api.process import calm_collector
from benchmarks.applications import parts, stock
from benchmarks.measure import task_rate
from benchmarks.recording import DEFINITION
from domain.prompt import Prompt

IN_FLIGHT = 64


async def append(dsn: str, seconds: float) -> None:
    """Open the command path, wait for the signal, append, and print the rate."""
    async with parts(dsn) as opened:
        mine = uuid4().hex

        async def record(number: int) -> None:
            events = Prompt(name=f"{mine}{number}", definition=DEFINITION).collect_events()
            await opened.appender.append(Request(events=[opened.store.mapper.to_stored_event(e) for e in events]))

        wait_for_signal()
        say(str(await task_rate(IN_FLIGHT, seconds, record)))


async def start(dsn: str) -> None:
    """Migrate, open the command path, and record one event."""
    wait_for_signal()
    await asyncio.to_thread(migrate, dsn)
    await append_one(dsn)


async def append_one(dsn: str) -> None:
    """Record one event."""
    async with parts(dsn) as opened:
        events = Prompt(name=uuid4().hex, definition=DEFINITION).collect_events()
        await opened.appender.append(Request(events=[opened.store.mapper.to_stored_event(e) for e in events]))


def start_stock(dsn: str) -> None:
    """Make the library's application, and record one event."""
    wait_for_signal()
    application = stock(dsn)
    application.save(Prompt(name=uuid4().hex, definition=DEFINITION))
    application.close()


def wait_for_signal() -> None:
    """Say that all is imported and open, and wait."""
    say("ready")
    sys.stdin.readline()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    calm_collector()
    match sys.argv[1:]:
        case ["append", dsn, seconds]:
            asyncio.run(append(dsn, float(seconds)))
        case ["start", dsn]:
            asyncio.run(start(dsn))
        case ["start-stock", dsn]:
            start_stock(dsn)
        case _:
            sys.exit(__doc__)
