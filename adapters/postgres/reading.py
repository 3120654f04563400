"""Reading rows: one query on a connection of the pool, PostgreSQL's errors in the domain's words."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import AsyncRowFactory
from psycopg.sql import Composed
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres.errors import translated
from domain.errors import Unavailable

GROWING = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)
"""What is missing is made, or completed where an earlier version made it, by whoever owns the read model."""


async def rows_of(
    pool: AsyncConnectionPool,
    query: LiteralString | Composed,
    values: Mapping[str, Any],
    *,
    binary: bool = False,
    row_factory: AsyncRowFactory[Any] | None = None,
) -> list[Any]:
    """Return all rows of a query; raise Unavailable and the like as `adapters.postgres.errors` says."""
    try:
        async with pool.connection() as connection:
            if row_factory is None:
                return await (await connection.execute(query, values, binary=binary)).fetchall()
            async with connection.cursor(row_factory=row_factory, binary=binary) as cursor:
                return await (await cursor.execute(query, values)).fetchall()
    except GROWING as error:
        raise Unavailable("The read model is just being made: ask again in a moment.") from error
    except (psycopg.Error, PoolTimeout) as error:
        raise translated(error) from error
