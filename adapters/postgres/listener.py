"""One connection per process that hears all of PostgreSQL's notifications, and comes back when lost."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import psycopg
import structlog

from adapters.ending import end_tasks
from adapters.postgres import sql

CHANNELS = sql.load("adapters.postgres", "listener.sql")
LONGEST_PAUSE = 2.0
log = structlog.get_logger(__name__)

Hears = Callable[[str | None], None]
"""Takes a notification's payload; None: something may have been missed, look for yourself."""


class Listener:
    """Hears the channels magnet_log, magnet_read, magnet_credentials, magnet_data_keys, magnet_turns and magnet_jobs."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._hearers: defaultdict[str, list[Hears]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def on(self, channel: str, hears: Hears) -> None:
        """Call this with each notification of a channel, and with None after each (re)connection."""
        self._hearers[channel].append(hears)

    async def open(self) -> None:
        """Begin to listen; return when the channels are open, or the first try has failed."""
        first = asyncio.Event()
        self._task = asyncio.create_task(self._run(first))
        await first.wait()

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None

    async def _run(self, first: asyncio.Event) -> None:
        pause = 0.05
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    for query in CHANNELS.values():
                        await connection.execute(query)
                    self.connected = True
                    pause = 0.05
                    for hearers in self._hearers.values():
                        for hears in hearers:
                            hears(None)
                    first.set()
                    async for notification in connection.notifies():
                        for hears in self._hearers[notification.channel]:
                            hears(notification.payload)
            except psycopg.Error as error:
                log.warning("listener_lost", error=type(error).__name__)
            except Exception as error:  # one who hears has failed: without a listener nobody would hear anything more
                log.exception("listener_failed", error=type(error).__name__)
            finally:
                self.connected = False
                first.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
