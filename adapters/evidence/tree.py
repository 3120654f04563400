"""The log's Merkle tree in PostgreSQL: roots of whole subtrees are kept, the rest is worked out."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from adapters.postgres import sql
from domain.merkle import Range, bagged, leaf, peaks, root_of

SQL = sql.load("adapters.evidence", "evidence.sql")
STEP = 8
"""Levels between two that are kept: each of their nodes stands for 256 of the level below."""

WIDTH = 1 << STEP
HIGHEST = 32
AT_ONCE = WIDTH * WIDTH
"""Events whose hashes are read together: 2 MB."""


def divided(joined: bytes) -> list[bytes]:
    """Return the hashes that one value holds."""
    return [joined[place : place + 32] for place in range(0, len(joined), 32)]


class LogTree:
    """The tree as of one transaction."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def head(self) -> int:
        """Return how many events the log has."""
        return int(await self._one("head"))

    async def hashes(self, after: int, upto: int) -> list[bytes]:
        """Return the hashes of the events after a position up to another."""
        return divided(bytes(await self._one("hashes", after=after, upto=upto)))

    async def root(self, range: Range) -> bytes:
        """Return the root over a range of leaves that begins at a whole subtree."""
        return bagged([await self._whole(start, end) for start, end in peaks(*range)])

    async def roots(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the roots of several ranges."""
        return [await self.root(each) for each in ranges]

    async def grow(self, size: int) -> None:
        """Keep the roots of all whole subtrees of a tree of this size, on every level that is kept."""
        await self._grow_lowest(size)
        for level in range(2 * STEP, HIGHEST + 1, STEP):
            kept, whole = await self._count(level), size >> level
            for index in range(kept, whole):
                below = await self._nodes(level - STEP, index * WIDTH, (index + 1) * WIDTH)
                await self._keep(level, index, [root_of(below)])

    async def _grow_lowest(self, size: int) -> None:
        kept, whole = await self._count(STEP), size >> STEP
        while kept < whole:
            end = min(whole, kept + WIDTH)
            hashes = await self.hashes(kept * WIDTH, end * WIDTH)
            leaves = [leaf(each) for each in hashes]
            roots = [root_of(leaves[place : place + WIDTH]) for place in range(0, len(leaves), WIDTH)]
            await self._keep(STEP, kept, roots)
            kept = end

    async def _whole(self, start: int, end: int) -> bytes:
        """Return the root of a whole subtree, from the highest level that is kept of it."""
        size = end - start
        level = min((size.bit_length() - 1) // STEP * STEP, HIGHEST)
        while level >= STEP:
            first, last = start >> level, end >> level
            nodes = await self._nodes(level, first, last)
            if len(nodes) == last - first:
                return root_of(nodes)
            level -= STEP
        return root_of([leaf(each) for each in await self.hashes(start, end)])

    async def _nodes(self, level: int, first: int, end: int) -> list[bytes]:
        return divided(bytes(await self._one("nodes", level=level, first=first, end=end)))

    async def _count(self, level: int) -> int:
        return int(await self._one("count_nodes", level=level))

    async def _keep(self, level: int, first: int, hashes: Sequence[bytes]) -> None:
        await self._connection.execute(SQL["add_nodes"], {"level": level, "first": first, "hashes": list(hashes)})

    async def _one(self, query: str, **values: Any) -> Any:
        row = await (await self._connection.execute(SQL[query], values, binary=True)).fetchone()
        assert row is not None
        return row[0]
