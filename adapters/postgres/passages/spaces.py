"""Tables of vectors: a pair for each space, one new and small, one large and indexed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg import sql as statements

from adapters.postgres import sql
from projections.passage_rows import PassagesMissing

TABLES = sql.load("adapters.postgres.passages", "tables.sql")
SQL = sql.load("adapters.postgres.passages", "writer.sql")
NAME = re.compile(r"[0-9a-f]{16}\Z")
LONGEST_INLINE = 4000
"""Dimensions of a halfvec that fits a page with its row; also the most that HNSW takes."""

LONGEST = 16_000
"""Dimensions that a halfvec can have."""


class Spaces:
    """The tables of vectors inside one transaction, whose search path names their schema."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def must_have(self, space: str, dimensions: int) -> None:
        """Make a space's tables where they are missing, or raise PassagesMissing where its vectors are others."""
        if not NAME.match(space) or not 1 <= dimensions <= LONGEST:
            raise PassagesMissing("An index event names a space that can't be.")
        rows = await self._rows(TABLES["has_space"], {"space": space})
        if rows:
            if rows[0][0] != dimensions:
                raise PassagesMissing("An index event's vectors have another length than their space.")
            return
        await self._connection.execute(TABLES["add_space"], {"space": space, "dimensions": dimensions})
        names = {**tables(space), "vectors": await self._extension(), "dimensions": statements.Literal(dimensions)}
        await self._connection.execute(statements.SQL(TABLES["create_space"]).format(**names))
        if dimensions <= LONGEST_INLINE:
            await self._connection.execute(statements.SQL(TABLES["keep_inline"]).format(**names))

    async def add(self, space: str, passages: Mapping[str, Any]) -> int:
        """Add the vectors of passages (ids, places, ordinals as arrays); return how many there were."""
        added = await self._execute("add_vectors", space, {**passages, "space": space})
        return int(added.rowcount)

    async def delete(self, places: Any) -> None:
        """Delete the vectors of places, wherever upkeep has moved them."""
        for (space,) in await self._rows(SQL["space_names"], {}):
            await self._execute("delete_fresh", space, {"places": places})
            await self._execute("delete_main", space, {"places": places})

    async def delete_of(self, space: str, places: Any, passages: Any) -> None:
        """Delete the vectors of passages of some places."""
        for query in ("delete_fresh_of", "delete_main_of"):
            await self._execute(query, space, {"places": places, "passages": passages})

    async def checksums(self) -> Sequence[str]:
        """Return a checksum of each space, whichever table its vectors are in."""
        names = [space for (space,) in await self._rows(SQL["space_names"], {})]
        if not names:
            return []
        extension = await self._extension()
        found = [await self._execute("checksum_space", space, {"space": space}, vectors=extension) for space in names]
        return [(await cursor.fetchall())[0][0] for cursor in found]

    async def _extension(self) -> statements.Identifier:
        rows = await self._rows(TABLES["vector_schema"], {})
        if not rows:
            raise PassagesMissing("The database has no extension 'vector'.")
        return statements.Identifier(rows[0][0])

    async def _rows(self, query: LiteralString, values: Mapping[str, Any]) -> list[Any]:
        return await (await self._connection.execute(query, values)).fetchall()

    async def _execute(self, query: str, space: str, values: Mapping[str, Any], **names: statements.Identifier) -> Any:
        statement = statements.SQL(SQL[query]).format(**tables(space), **names)
        return await self._connection.execute(statement, values)


def tables(space: str, *schema: str) -> Mapping[str, statements.Identifier]:
    """Return the names of a space's tables, in a schema where one is given."""
    return {
        "fresh": statements.Identifier(*schema, f"fresh_{space}"),
        "main": statements.Identifier(*schema, f"main_{space}"),
    }
