"""Leases on runs and turns: renewed by the process that carries them out, else ended by any other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from commands.conversations.conversation_jobs import NOBODY
from commands.runs.runs import LEASE
from domain.errors import DomainError

SQL = sql.load("adapters", "leases.sql")
EVERY = 5.0
"""Seconds between two signs of life, and between two looks for what has none."""

log = structlog.get_logger(__name__)

Interrupt = Callable[[UUID, UUID], Awaitable[None]]
"""Takes the id of what is leased and its stream, and records that it was interrupted."""


class Leases:
    """Renews this process's leases, and interrupts what other processes left behind."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        owner: UUID,
        interrupt: Mapping[str, Interrupt],
        *,
        going: Callable[[], Collection[UUID]],
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`going` returns the ids of what this process carries out at the moment."""
        self._pool = pool
        self._owner = owner
        self._interrupt = interrupt
        self._going = going
        self._every = every
        self._clock = clock
        self._looked: float | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin: what others left may take long to end, and this process lives meanwhile."""
        self._tasks = [asyncio.create_task(self._again_and_again(each)) for each in (self.renew, self.sweep)]

    async def close(self) -> None:
        """Stop."""
        tasks, self._tasks = self._tasks, []
        if tasks:
            await end_tasks(*tasks)

    async def _again_and_again(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except (DomainError, psycopg.Error, PoolTimeout) as error:
                # The database is away: leases outlast some rounds.
                log.warning("leases_not_looked_after", error=type(error).__name__)
            await asyncio.sleep(self._every)

    async def renew(self) -> None:
        """Show that this process lives, and what it carries out.

        Not what it merely began: nobody does, where its beginning was recorded but who began it was not told so.
        """
        values = {"owner": self._owner, "going": list(self._going()), "seconds": LEASE}
        async with self._pool.connection() as connection:
            await connection.execute(SQL["renew"], values)

    async def claim(self, turn: UUID) -> bool:
        """Return whether this process is to carry a turn out from now on; False: it has one already, or has ended."""
        values = {"id": turn, "owner": self._owner, "nobody": NOBODY, "seconds": LEASE}
        return bool(await rows_of(self._pool, SQL["claim"], values))

    async def sweep(self) -> None:
        """End what nobody carries out any more; what can't be ended keeps nothing else from it, and is tried again."""
        await self.renew()  # else this process would end its own work, once the database is back after a while
        expired = await rows_of(self._pool, SQL["expired"], {})
        before, self._looked = self._looked, self._clock()
        if before is not None and self._looked - before > LEASE / 2:
            return  # the database was away, for others too: they get the time to the next look to renew theirs
        for id, kind, stream in expired:
            interrupt = self._interrupt.get(kind)
            if interrupt is None:
                continue  # a kind of a newer version: its processes know it
            log.warning("lease_expired", kind=kind, id=str(id))
            try:
                await interrupt(id, stream)
                async with self._pool.connection() as connection:
                    await connection.execute(SQL["drop"], {"id": id})
            except Exception as error:
                log.exception("lease_not_ended", kind=kind, id=str(id), error=type(error).__name__)
