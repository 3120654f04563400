"""Group commit for asyncio: what waits while one transaction commits goes into the next one."""

import asyncio
from collections.abc import Callable, Sequence

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.requests import APPEND, Outcome, Request, next_group, outcomes, parameters
from adapters.failpoints import failpoint
from adapters.postgres.errors import translated

PATIENCE = 10.0
"""Seconds that an append tries on through lost connections before it fails."""

RETRIED = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)


class Appender:
    """The asynchronous door to the log.

    An append that was under way when the connection broke is sent again: the function knows it by
    its command id, so it is recorded once, and whoever waits gets the true outcome.
    """

    def __init__(self, pool: AsyncConnectionPool, on_append: Callable[[int], None] = lambda _: None) -> None:
        self._pool = pool
        self._on_append = on_append
        self._waiting: list[tuple[Request, asyncio.Future[Outcome]]] = []
        self._leader: asyncio.Task[None] | None = None

    async def append(self, request: Request) -> Outcome:
        """Record the request with whatever else waits, and return what became of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._leader is None:
            self._leader = asyncio.create_task(self._lead())
        return await future

    async def close(self) -> None:
        """Wait until all that was handed in is recorded or refused."""
        while self._leader is not None:
            await asyncio.wait([self._leader])

    async def _lead(self) -> None:
        try:
            while self._waiting:
                chosen = set(next_group([request for request, _ in self._waiting]))
                group = [pair for index, pair in enumerate(self._waiting) if index in chosen]
                self._waiting = [pair for index, pair in enumerate(self._waiting) if index not in chosen]
                await self._settle(group)
        finally:
            self._leader = None
            for _, future in self._waiting:  # only when cancelled: nobody may wait for ever
                future.cancel()
            self._waiting = []

    async def _settle(self, group: Sequence[tuple[Request, "asyncio.Future[Outcome]"]]) -> None:
        """Commit the group and tell each who waits; a database error of one is not that of all."""
        try:
            answered = await self._commit([request for request, _ in group])
        except psycopg.Error as error:
            if len(group) > 1 and not isinstance(error, RETRIED):
                for pair in group:
                    await self._settle([pair])
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(translated(error))
            return
        except Exception as error:  # a defect: told to those who wait, and the next group goes on
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        last = 0
        for (request, future), outcome in zip(group, answered, strict=True):
            if outcome.first_position is not None:
                last = max(last, outcome.first_position + len(request.events) - 1)
            if not future.done():
                future.set_result(outcome)
        if last:
            self._on_append(last)

    async def _commit(self, group: Sequence[Request]) -> list[Outcome]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        pause = 0.02
        resent = False
        while True:
            try:
                return await self._call(group, resent=resent)
            except RETRIED as error:
                fatal = getattr(error, "sqlstate", None)
                if (fatal or "").startswith("53") or clock() + pause > deadline:
                    raise
            resent = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def _call(self, group: Sequence[Request], *, resent: bool) -> list[Outcome]:
        async with self._pool.connection(timeout=PATIENCE) as connection:
            failpoint("append.before")
            cursor = await connection.execute(APPEND, parameters(group, resent=resent), prepare=True)
            row = await cursor.fetchone()
            failpoint("append.after")
        assert row is not None
        return outcomes(group, *row)
