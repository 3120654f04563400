"""Upkeep of vectors that another store searches: put there, removed from there, and never missing meanwhile.

PostgreSQL keeps every vector. Those in a space's small table are compared with one by one; those in the large one are in
the store too, which is asked for the nearest ones instead of an index here. A vector moves from the one to the other
once the store has it, and a space is searched by the store once it has all of the large table. Until then, PostgreSQL
answers by itself.

What is in the store is noted by place (`magnet.stored_places`): before it is put there, and until it is removed. So
whoever is killed in the middle leaves nothing there that is not known of.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, LiteralString

import structlog
from psycopg import AsyncConnection
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.arrays import bigints, integers
from adapters.postgres.passages.spaces import tables
from adapters.postgres.passages.upkeep import count_words
from commands.retrieval.vector_store import Entry, StoredPlace, VectorStore, VectorStoreUnavailable

SQL = sql.load("adapters.postgres.passages", "stored.sql")
LIVE = "passages_v1"
"""The schema that searches read: what is gone there is removed from the store, whatever is being built beside it."""

AT_ONCE = 500
"""Vectors put into the store by one call."""

LONGEST_PAUSE = 60.0
"""Seconds in which a store that fails is left alone, at most."""

AGAIN: Mapping[str, int] = {"": 0}
"""What is left, by space, for a look that is not waited for by an event."""

log = structlog.get_logger(__name__)


class StoredPassages:
    """Keeps the tables of passages and a store in step, and remembers how often the store has failed."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self._turn = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._cleaned = -1

    async def keep(
        self, pool: AsyncConnectionPool, schema: str, before: Mapping[str, int] | None = None
    ) -> Mapping[str, int]:
        """Do all that is to be done in a schema, unless the store has just failed and there is a next time (`before`).

        It always returns something to be looked at again: a filling may be asked for whenever.
        """
        await count_words(pool, schema)
        clock = asyncio.get_running_loop().time
        if before is not None and clock() < self._not_before:
            return AGAIN
        async with pool.connection() as connection:
            keeper = await _keeper(connection, schema, self.store, self._turn)
            try:
                await keeper.empty_former()
                for space in await keeper.spaces():
                    await keeper.fill(space)
                if schema == LIVE and (position := await keeper.position()) != self._cleaned:
                    await keeper.remove_gone()
                    self._cleaned = position
            except VectorStoreUnavailable as error:
                self._failures += 1
                self._not_before = clock() + min(2.0**self._failures, LONGEST_PAUSE)
                log.warning("vector_store_waits", store=self.store.kind, schema=schema, error=error.why)
                return AGAIN
        self._failures = 0
        return AGAIN


class _Space:
    """A space and its tables."""

    def __init__(self, schema: str, name: str, dimensions: int, passages: int, *, held: bool, indexed: bool) -> None:
        self.name = name
        self.dimensions = dimensions
        self.passages = passages
        self.held = held
        self.indexed = indexed
        self.tables = tables(name, schema)


class _Keeper:
    """Works on one schema, by one connection in autocommit; each step leaves everything in order."""

    def __init__(
        self, connection: AsyncConnection[Any], schema: str, store: VectorStore, named: str, turn: asyncio.Lock
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._store = store
        self._named = named
        self._turn = turn

    async def spaces(self) -> list[_Space]:
        """Return the spaces that have tables."""
        return [
            _Space(self._schema, *row[:3], held=row[3], indexed=row[4])
            for row in await self._rows("spaces", None, {"schema": self._schema})
        ]

    async def fill(self, space: _Space) -> None:
        """Put into the store what it lacks, have it asked from then on, and then what is new."""
        if not space.held:
            await self._send(space, "main")
            await self._hold(space)
        if space.indexed and space.held:
            names = {"index": statements.Identifier(f"nearest_{space.name}")}
            await self._execute("drop_lookup", space, {}, **names)
        await self._send(space, "fresh")
        if not space.held:
            await self._hold(space)

    async def _hold(self, space: _Space) -> None:
        """Have the store asked in a space, if it has anything there: else there may be nothing to be asked."""
        [(there,)] = await self._rows("any", space, {}, table=space.tables["main"])
        if not there:
            return
        index = f"by_id_{space.name}"
        names = {"index": statements.Identifier(index)}
        found = await self._rows("lookup", space, {"schema": self._schema, "index": index})
        if found and not found[0][0]:
            await self._execute("drop_lookup", space, {}, **names)
        if not found or not found[0][0]:
            await self._execute("build_lookup", space, {}, **names)
        await self._execute("hold", space, {"space": space.name})
        space.held = True

    async def _send(self, space: _Space, table: str) -> None:
        """Put the vectors of a table into the store, some places at a time; what it has of the small one is moved."""
        after = -1
        values = {"space": space.name, "dimensions": space.dimensions}
        names = {"table": space.tables[table]}
        while rows := await self._rows("next_places", space, {"after": after, "most": AT_ONCE}, **names):
            places = bigints([place for (place,) in rows])
            async with self._turn:  # what is built beside must not be noted while it is removed here
                await self._execute("note", space, {**values, "places": places})
                while unsent := await self._rows("unsent", space, {"places": places, "most": AT_ONCE}, **names):
                    vectors = [(Entry(place=row[0], ordinal=row[1], cut=row[2]), row[3]) for row in unsent]
                    await self._store.add(space.name, space.dimensions, vectors)
                    arrived = {"places": bigints([row[0] for row in unsent])}
                    arrived["ordinals"] = integers([row[1] for row in unsent])
                    await self._execute("arrived", space, arrived)
                if table == "fresh":
                    await self._execute("move", space, {"places": places})
            after = rows[-1][0]

    async def remove_gone(self) -> None:
        """Remove from the store what stands nowhere any more."""
        while True:
            async with self._turn:
                gone = await self._rows("gone", None, {"schema": self._schema, "most": AT_ONCE})
                for name, dimensions, places in _by_space(gone):
                    await self._store.remove(name, dimensions, places)
                    await self._forget(places)
            if len(gone) < AT_ONCE:
                return

    async def empty_former(self) -> None:
        """Remove what was put there before the store was to be filled anew."""
        async with self._turn:
            for name, dimensions, places in _by_space(await self._rows("former", None, {})):
                await self._store.clear(name, dimensions, places)
                await self._execute("forget_former", None, {"space": name})

    async def position(self) -> int:
        """Return how far the read model is."""
        rows = await self._rows("position", None, {"schema": self._schema})
        return int(rows[0][0]) if rows else 0

    async def _forget(self, places: Sequence[StoredPlace]) -> None:
        await self._execute("forget", None, {"places": bigints([each.place for each in places])})

    async def _rows(
        self, name: str, space: _Space | None, values: Mapping[str, Any], **names: statements.Identifier
    ) -> list[Any]:
        rows: list[Any] = await (await self._execute(name, space, values, **names)).fetchall()
        return rows

    async def _execute(
        self, name: str, space: _Space | None, values: Mapping[str, Any], **names: statements.Identifier
    ) -> Any:
        query: LiteralString = SQL[name]
        every = {"schema": statements.Identifier(self._schema), **(space.tables if space else {}), **names}
        # Without parameters where there are none: an index is not built by a prepared statement.
        given = {"store": self._named, "identity": self._store.identity, **values} if "%(" in query else None
        return await self._connection.execute(statements.SQL(query).format(**every), given)


async def _keeper(connection: AsyncConnection[Any], schema: str, store: VectorStore, turn: asyncio.Lock) -> _Keeper:
    """Return the keeper for the store's present filling."""
    values = {"identity": store.identity}
    await connection.execute(SQL["add_store"], values)
    row = await (await connection.execute(SQL["store"], values)).fetchone()
    assert row is not None
    return _Keeper(connection, schema, store, row[0], turn)


def _by_space(rows: Iterable[Sequence[Any]]) -> list[tuple[str, int, list[StoredPlace]]]:
    """Return rows of what is stored, in the order of their spaces, as a store takes them."""
    return [
        (name, dimensions, [StoredPlace(place=row[2], cut=row[3], passages=row[4]) for row in group])
        for (name, dimensions), group in groupby(rows, key=lambda row: (row[0], row[1]))
    ]
