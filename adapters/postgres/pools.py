"""Pools of connections, as every part of a process has them."""

from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool


def pool_of(
    dsn: str,
    smallest: int,
    largest: int,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]] | None = None,
) -> AsyncConnectionPool:
    """Return a pool that is not open yet; `configure` is told of each new connection."""
    return AsyncConnectionPool(
        dsn,
        min_size=smallest,
        max_size=largest,
        timeout=5,
        open=False,
        configure=configure,
        kwargs={"autocommit": True},
    )
