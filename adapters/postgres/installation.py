"""The installation's own record: which key it belongs to."""

from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.reading import rows_of

SQL = sql.load("adapters.postgres", "installation.sql")


class OtherKey(RuntimeError):
    """The database belongs to another key."""


def claim(dsn: str, fingerprint: str) -> UUID:
    """Note the key's fingerprint at the first start; later raise OtherKey unless it is the same. Return the id."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SQL["claim"], {"fingerprint": fingerprint})
        row = connection.execute(SQL["fingerprint"]).fetchone()
    if row is None or row[0] != fingerprint:
        raise OtherKey(
            "SECRET_ENCRYPTION_KEY is not the key that this database was set up with: its secrets could not be "
            "read. Set the former key, or restore secret.key under MAGNET_HOME from a backup."
        )
    installation: UUID = row[1]
    return installation


async def installation_of(pool: AsyncConnectionPool) -> UUID | None:
    """Return the id that `claim` returns; None before the first start."""
    rows = await rows_of(pool, SQL["fingerprint"], {})
    return rows[0][1] if rows else None
