"""Upkeep of vectors: from the small tables, which are searched exactly, to the large ones, which have an index.

New vectors cost a writer one row, not a walk through a graph. While they are few, comparing with all of
them is faster than an index, and exact. What a space has more of than that is moved, many rows at a time, and
indexed. A vector stands in one of the two tables at every moment, so a search, which is one statement over
both, finds it whatever happens meanwhile.

While passages keep coming, a space may have more of them without an index: what they wait for is the processor's
time that moving and indexing would take, and an index that was built early would only be built anew.

How common words are, which their rank hangs on, is counted again whenever there are half as many passages more.
New words wait in a list beside their index, which each search reads, until upkeep puts them into it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.memory import share_of_memory
from adapters.postgres.passages.spaces import LONGEST_INLINE, TABLES, tables

SQL = sql.load("adapters.postgres.passages", "upkeep.sql")
SMALL = 2_000
"""Passages up to which a space needs no index."""

MOST_FRESH = 1_000
"""Vectors that may wait to be moved."""

MOST_GROWING = 10_000
"""As many instead of both, while a space grows: comparing with them takes about 10 ms."""

LEAST_COUNTED = 200
"""Passages from which on their words are counted."""

INTO_INDEX, INTO_TABLE = 200, 10_000
"""Rows moved by one transaction, where the table has its index and where it has not."""

OUTGROWN = 0.25
"""How many times as many vectors must wait as are indexed for the index to be built anew instead.

Putting one into a large index takes about six times as long as building it anew does for each.
"""

SHARE, LEAST_MEMORY, MOST_MEMORY = 4, 64_000_000, 16_000_000_000
"""Building an index may use one of so many parts of the memory here, within these bounds, in bytes."""

NODE = 800
"""Bytes of a vector's place in the graph, or in a table, besides its numbers, generously."""

LONG = 200_000
"""Vectors from which on an index is built on all cores: until it is there, a search compares with each of them, which
takes more of the other searches' time than the building. Below, one core is left to them.
"""

NO_ROOM = (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory)
"""What PostgreSQL says where its processes can't share as much memory as a graph takes: containers often bound that."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space and the state of its tables; `indexed` None: no index, false: one that is not whole."""

    name: str
    dimensions: int
    passages: int
    indexed: bool | None


async def keep_passages(
    pool: AsyncConnectionPool, schema: str, before: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """Move and index what the tables of a schema have too much of, until they are in order.

    Others read and write them meanwhile. One that is cancelled leaves an index that is not whole: the next
    one builds it again. `before`: what the last look returned, the sizes of spaces that may still grow; those that
    did are left alone while they can be. None: nothing is left.
    """
    await count_words(pool, schema)
    await _let_go(pool, schema)
    left: dict[str, int] = {}
    async with pool.connection() as connection:
        spaces = await _spaces(connection, schema)
    for space in spaces:
        grows = before is not None and before.get(space.name) != space.passages
        async with pool.connection() as connection:
            if not await _Keeper(connection, schema, space).keep(grows=grows):
                left[space.name] = space.passages
    if not left:
        await _index_words(pool, schema)
    return left


async def count_words(pool: AsyncConnectionPool, schema: str) -> None:
    """Have PostgreSQL count how common words are, where it knows of far fewer or far more passages than there are."""
    names = {"schema": statements.Identifier(schema)}
    async with pool.connection() as connection:
        row = await (
            await connection.execute(statements.SQL(SQL["counted"]).format(**names), {"schema": schema})
        ).fetchone()
        assert row is not None
        there, counted = row
        if there >= LEAST_COUNTED and abs(there - counted) > counted // 2:
            # Counting has searches planned anew: by a long list of words that wait, an index would not be worth its while.
            await connection.execute(SQL["index_words"], {"schema": schema})
            await connection.execute(statements.SQL(SQL["count_words"]).format(**names))


async def _index_words(pool: AsyncConnectionPool, schema: str) -> None:
    """Put the words of new passages into their index, which else autovacuum does some minutes later."""
    async with pool.connection() as connection:
        await connection.execute(SQL["index_words"], {"schema": schema})


async def _let_go(pool: AsyncConnectionPool, schema: str) -> None:
    """Note that another store holds nothing here: what is moved from now on is not put there."""
    async with pool.connection() as connection:
        await connection.execute(statements.SQL(SQL["let_go"]).format(schema=statements.Identifier(schema)))


async def _spaces(connection: AsyncConnection[Any], schema: str) -> list[Space]:
    query = statements.SQL(SQL["spaces"]).format(schema=statements.Identifier(schema))
    rows = await (await connection.execute(query, {"schema": schema})).fetchall()
    return [Space(name=row[0], dimensions=row[1], passages=row[2], indexed=row[3]) for row in rows]


class PostgresVectorTables:
    """Tells how far upkeep is; `indexed`: here, not in another store."""

    def __init__(self, pool: AsyncConnectionPool, schema: str = "passages_v1", *, indexed: bool = True) -> None:
        self._pool = pool
        self._schema = schema
        self._indexed = indexed

    async def in_order(self, source: UUID, index: int, position: int) -> bool:
        """Return whether all up to a position is found in an index, no slower than in the one that answers."""
        schema = statements.Identifier(self._schema)
        query = statements.SQL(SQL["newer"]).format(schema=schema)
        async with self._pool.connection() as connection:
            values = {"schema": self._schema, "source": source, "index": index, "position": position}
            row = await (await connection.execute(query, values)).fetchone()
            if row is None or not row[0]:
                return False  # the read model has not heard of all of them yet
            _, answering, passages, space, dimensions, indexed = row
            if answering <= SMALL or dimensions is None:
                return True
            fresh = statements.SQL(SQL["fresh"]).format(**tables(space, self._schema))
            few = await (await connection.execute(fresh, {"most": 2 * MOST_FRESH})).fetchone()
        assert few is not None
        searched = bool(indexed) or passages <= SMALL or dimensions > LONGEST_INLINE
        return bool(few[0]) and (searched or not self._indexed)


class _Keeper:
    """Upkeep of one space, by one connection in autocommit."""

    def __init__(self, connection: AsyncConnection[Any], schema: str, space: Space) -> None:
        self._connection = connection
        self._schema = schema
        self._space = space
        self._names = {
            **tables(space.name, schema),
            "schema": statements.Identifier(schema),
            "index": statements.Identifier(f"nearest_{space.name}"),
        }

    async def keep(self, *, grows: bool) -> bool:
        """Bring the space's tables in order, or return False where that is left for later.

        It may grow; or somebody still sees rows that were moved, so that their room can't be given back yet.
        """
        if self._space.dimensions > LONGEST_INLINE:
            return True  # no index takes vectors of this length: they are compared one by one wherever they are
        if self._space.indexed is False:
            await self._execute("drop")
        waiting, size = await self._waiting()
        if not self._space.indexed and self._space.passages <= SMALL:
            return True
        if grows and (waiting if self._space.indexed else self._space.passages) <= MOST_GROWING:
            return False
        while self._space.indexed and not self._outgrown(waiting):
            if self._is_small(waiting, size):
                return True
            # Not all at once: so many may come meanwhile that the index has to be built anew.
            moved = await self._move(min(waiting, MOST_GROWING), INTO_INDEX)
            await self._execute("vacuum")
            last = waiting <= MOST_GROWING or not moved
            waiting, size = await self._looked_again()
            if last:
                return self._is_small(waiting, size)
        if self._space.indexed:
            await self._execute("drop")
        await self._move(waiting, INTO_TABLE)
        await self._execute("vacuum")
        await self._build()
        if not self._is_small(*await self._waiting()):
            await self._execute("vacuum")  # building waited for all who still saw what was moved
        return self._is_small(*await self._waiting())

    def _is_small(self, waiting: int, size: int) -> bool:
        """Return whether so many vectors that wait, in so many bytes, hold no search up: each looks at all of them."""
        return waiting <= MOST_FRESH and size <= 4 * MOST_FRESH * (2 * self._space.dimensions + NODE)

    def _outgrown(self, waiting: int) -> bool:
        return waiting > OUTGROWN * max(MOST_FRESH, self._space.passages - waiting)

    async def _looked_again(self) -> tuple[int, int]:
        """Read the space anew, which may have grown; return what waits in it, in bytes, too."""
        names = {space.name: space for space in await _spaces(self._connection, self._schema)}
        self._space = names[self._space.name]
        return await self._waiting()

    async def _build(self) -> None:
        """Build the index, with as much memory as it takes."""
        wanted = max(LEAST_MEMORY, self._space.passages * (2 * self._space.dimensions + NODE))
        memory = min(wanted, share_of_memory(SHARE, LEAST_MEMORY, MOST_MEMORY))
        helpers = max(0, (os.cpu_count() or 1) - (1 if self._space.passages >= LONG else 2))
        vectors = await (await self._connection.execute(TABLES["vector_schema"])).fetchone()
        assert vectors is not None, "a space's tables have columns of the extension's type"
        schema = statements.Identifier(vectors[0])
        prepared = {"memory": f"{memory // 1024}kB", "helpers": helpers}
        await self._connection.execute(SQL["prepare"], prepared)
        try:
            try:
                await self._execute("build", vectors=schema)
            except NO_ROOM:
                await self._connection.execute(SQL["prepare"], {**prepared, "helpers": 0})
                await self._execute("drop")  # what was begun
                await self._execute("build", vectors=schema)
            await self._execute("analyze")
        finally:
            if not self._connection.broken:
                await self._connection.execute(SQL["unprepare"])

    async def _waiting(self) -> tuple[int, int]:
        """Return how many vectors wait, and the bytes of their table."""
        row = await (await self._execute("waiting", schema=self._schema, table=f"fresh_{self._space.name}")).fetchone()
        return int(row[0]), int(row[1])

    async def _move(self, rows: int, at_once: int) -> int:
        """Move so many rows, or fewer where others delete them meanwhile; return how many."""
        left = rows
        while left > 0 and (moved := (await self._execute("move", rows=min(left, at_once))).rowcount):
            left -= moved
        return rows - left

    async def _execute(self, name: str, *, vectors: statements.Identifier | None = None, **values: Any) -> Any:
        names = self._names if vectors is None else {**self._names, "vectors": vectors}
        query: LiteralString = SQL[name]
        return await self._connection.execute(statements.SQL(query).format(**names), values or None)
