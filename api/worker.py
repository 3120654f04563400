"""A worker: keeps the projections up to date, without serving HTTP."""

import asyncio
import signal
from collections.abc import Callable

from api.bootstrap import database, open_container
from api.process import calm_collector
from api.settings import Settings


def work(settings: Settings, *, ready: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM; what another process runs already is taken over when that one ends."""
    with database(settings) as dsns:
        asyncio.run(_work(settings, dsns.app, ready))


async def _work(settings: Settings, dsn: str, ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    container = await open_container(settings, dsn=dsn, worker=True)
    try:
        calm_collector()
        ready()
        await stopped.wait()
    finally:
        await container.close()
