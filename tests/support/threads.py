"""A server in a thread of its own, for tests whose clients are not asynchronous."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import Database
from tests.support.server import serving


@contextmanager
def served_in_a_thread(database: Database, home: Path) -> Iterator[str]:
    """Serve while the block lasts; give the URL."""
    found: list[str] = []
    failed: list[BaseException] = []
    ready, loops = threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with serving(database, home) as running:
            found.append(running.url)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()
    if failed:
        raise failed[0]
