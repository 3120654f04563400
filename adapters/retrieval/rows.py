"""Sending statements to the searching pool, also while a read model is switched."""

import asyncio
from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres.errors import translated
from domain.errors import Unavailable

TRIES = 5

MOVED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InternalError_,  # a table that was dropped between its name's look-up and its lock
)
"""What a statement may meet while a read model that was built anew takes the place of the old one."""

PAUSE = 0.05
"""Seconds before a statement that met this is sent again."""


class Rows:
    """Gives the rows of statements."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def of(self, query: LiteralString | bytes | statements.Composed, values: Mapping[str, Any]) -> list[Any]:
        """Return a statement's rows; one that met the switch of a read model is sent again."""
        for left in reversed(range(TRIES)):
            try:
                async with self._pool.connection() as connection:
                    return await (await connection.execute(query, values, binary=True)).fetchall()
            except MOVED as error:
                if not left:
                    if isinstance(error, psycopg.errors.InternalError_):
                        raise
                    raise Unavailable("The read model is just being made: ask again in a moment.") from error
                await asyncio.sleep(PAUSE)
            except (psycopg.Error, PoolTimeout) as error:
                raise translated(error) from error
        raise AssertionError("the last try returns or raises")
