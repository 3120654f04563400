"""Requests that are left in a table for its owner to find, once for each Idempotency-Key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.failpoints import failpoint
from adapters.postgres.errors import translated
from adapters.projection_runner.batch import SQL
from commands.bus import key_reused
from commands.ports import IdempotencyKey


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request was left: a position that belongs to it, and whether this key had asked for it before."""

    position: int
    repeated: bool


class Requests:
    """Leaves requests."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def leave(
        self, query: LiteralString, values: Mapping[str, Any], key: IdempotencyKey | None, *, wake: LiteralString
    ) -> Asked | None:
        """Run a query that returns a position, and wake the owner; None where it finds nothing to ask.

        Key and request are written in one transaction.
        """
        try:
            async with self._pool.connection() as connection:
                while True:
                    if key is not None and (earlier := await _earlier(connection, key)) is not None:
                        return earlier
                    left: Asked | None = None
                    async with connection.transaction():
                        found = await (await connection.execute(query, values)).fetchone()
                        if found is None:
                            return None
                        if key is not None:
                            noting = {"scope": key.scope, "body": key.body, "position": found[0]}
                            if await (await connection.execute(SQL["note_key"], noting)).fetchone() is None:
                                raise psycopg.Rollback  # another with this key was faster: it is answered as that was
                        await connection.execute(wake)
                        failpoint("leave.before_commit")
                        left = Asked(position=int(found[0]), repeated=False)
                    if left is not None:
                        failpoint("leave.after_commit")
                        return left
        except (psycopg.Error, PoolTimeout) as error:
            raise translated(error) from error


async def _earlier(connection: psycopg.AsyncConnection[Any], key: IdempotencyKey) -> Asked | None:
    """Return what a key was answered first, or refuse it with another body."""
    await connection.execute(SQL["forget_key"], {"scope": key.scope})
    noted = await (await connection.execute(SQL["noted"], {"scope": key.scope})).fetchone()
    if noted is None:
        return None
    if bytes(noted[0]) != key.body:
        raise key_reused()
    return Asked(position=int(noted[1]), repeated=True)
