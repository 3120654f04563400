"""The bytes of documents, under their SHA-256."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres import sql
from adapters.postgres.arrays import byte_strings
from adapters.postgres.errors import translated
from adapters.postgres.reading import rows_of

SQL = sql.load("adapters.knowledge", "contents.sql")
AT_ONCE = 16_000_000
"""Bytes of one statement; a larger content goes alone."""


class PostgresContents:
    """Keeps each content once."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def keep(self, contents: Mapping[str, bytes]) -> None:
        """Store contents under their SHA-256 (hex); what is there already stays."""
        hashes = {bytes.fromhex(name): name for name in contents}
        rows = await rows_of(self._pool, SQL["missing_contents"], {"hashes": byte_strings(list(hashes))})
        missing = {bytes(row[0]) for row in rows}
        for part in parts({each: contents[name] for each, name in hashes.items() if each in missing}):
            values = {"hashes": byte_strings(list(part)), "contents": byte_strings(list(part.values()))}
            await execute(self._pool, SQL["keep_contents"], values)

    async def read(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        """Return contents by their SHA-256 (hex), without those that there are not."""
        values = {"hashes": byte_strings([bytes.fromhex(name) for name in hashes])}
        rows = await rows_of(self._pool, SQL["contents"], values, binary=True)
        return {bytes(name).hex(): bytes(content) for name, content in rows}


def parts(contents: Mapping[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    """Yield the contents in parts of not too many bytes."""
    part: dict[bytes, bytes] = {}
    size = 0
    for name, content in contents.items():
        if part and size + len(content) > AT_ONCE:
            yield part
            part, size = {}, 0
        part[name] = content
        size += len(content)
    if part:
        yield part


async def execute(pool: AsyncConnectionPool, query: LiteralString, values: Mapping[str, Any]) -> int:
    """Carry out a statement and return its number of rows; raise what adapters.postgres.errors says.

    Its commit need not reach the disk by itself: the log's next one, which alone gives it a meaning, takes
    it there.
    """
    try:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = off")
            return (await connection.execute(query, values)).rowcount
    except (psycopg.Error, PoolTimeout) as error:
        raise translated(error) from error
