"""The log's Merkle tree in PostgreSQL: roots of whole subtrees are kept, the rest is worked out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from adapters.postgres import sql
from domain.merkle import Range, bagged, leaf, peaks, root_of

SQL = sql.load("adapters.evidence", "evidence.sql")
STEP = 8
"""Levels between two that are kept: each of their nodes stands for 256 of the level below."""

WIDTH = 1 << STEP
HIGHEST = 32
LEVELS = range(STEP, HIGHEST + 1, STEP)
AT_ONCE = WIDTH * WIDTH
"""Events whose hashes are read together: 2 MB."""


def divided(joined: bytes) -> list[bytes]:
    """Return the hashes that one value holds."""
    return [joined[place : place + 32] for place in range(0, len(joined), 32)]


@dataclass
class Run:
    """Hashes of a level one after the other, from its n-th on to its last, or to the first that is missing."""

    first: int
    joined: bytearray

    @property
    def end(self) -> int:
        """How many there are of the level, those before the first among them."""
        return self.first + len(self.joined) // 32


class LogTree:
    """The tree as of one transaction."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._ends: dict[int, Run] = {}

    async def read_end(self, sealed: int, size: int) -> None:
        """Read in two statements what it takes to go on from a tree of one size to another: what no kept root stands for.

        The events' own hashes only if they are no more than are read together.
        """
        firsts = {level: sealed >> (level + STEP) << STEP for level in LEVELS}
        values = {"levels": list(firsts), "firsts": list(firsts.values())}
        rows = await (await self._connection.execute(SQL["ends"], values, binary=True)).fetchall()
        self._ends = {level: Run(firsts[level], bytearray(joined)) for level, joined in rows}
        after = sealed >> STEP << STEP
        if size - after <= AT_ONCE:
            self._ends[0] = Run(after, bytearray(await self._nodes(0, after, size)))

    async def head(self) -> int:
        """Return how many events the log has."""
        return int(await self._one("head"))

    async def hashes(self, after: int, upto: int) -> list[bytes]:
        """Return the hashes of the events after a position up to another."""
        return divided(await self._nodes(0, after, upto))

    async def root(self, range: Range) -> bytes:
        """Return the root over a range of leaves that begins at a whole subtree."""
        return bagged([await self._whole(start, end) for start, end in peaks(*range)])

    async def roots(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the roots of several ranges."""
        return [await self.root(each) for each in ranges]

    async def grow(self, size: int) -> None:
        """Keep the roots of all whole subtrees of a tree of this size, on every level that is kept; `read_end` first."""
        await self._grow_lowest(size)
        for level in LEVELS[1:]:
            for index in range(self._ends[level].end, size >> level):
                below = divided(await self._nodes(level - STEP, index * WIDTH, (index + 1) * WIDTH))
                await self._keep(level, index, [root_of(below)])

    async def _grow_lowest(self, size: int) -> None:
        kept, whole = self._ends[STEP].end, size >> STEP
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
            nodes = divided(await self._nodes(level, first, last))
            if len(nodes) == last - first:
                return root_of(nodes)
            level -= STEP
        return root_of([leaf(each) for each in await self.hashes(start, end)])

    async def _nodes(self, level: int, first: int, end: int) -> bytes:
        """Return hashes of a level, joined: of events (level 0), or the roots that are kept of those asked for."""
        known = self._ends.get(level)
        if known is not None and known.first <= first:
            return bytes(known.joined[32 * (first - known.first) : 32 * (end - known.first)])
        if level == 0:
            return bytes(await self._one("hashes", after=first, upto=end))
        return bytes(await self._one("nodes", level=level, first=first, end=end))

    async def _keep(self, level: int, first: int, hashes: Sequence[bytes]) -> None:
        await self._connection.execute(SQL["add_nodes"], {"level": level, "first": first, "hashes": list(hashes)})
        self._ends[level].joined += b"".join(hashes)

    async def _one(self, query: str, **values: Any) -> Any:
        row = await (await self._connection.execute(SQL[query], values, binary=True)).fetchone()
        assert row is not None
        return row[0]
