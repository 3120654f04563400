"""What another store says is near, of what a search may find: asked again, for more, while too little of it may be.

A store knows neither who asks nor what is filtered by. What it names is looked up here: who may find it, and whether it
still stands, decides PostgreSQL, as for everything else; and it compares once more how near it is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql as statements

from adapters.postgres.arrays import bigints, byte_strings, integers, uuids
from adapters.postgres.passages.spaces import tables
from adapters.postgres.vectors import Halfvec
from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import MOST, SCHEMA, SQL
from adapters.retrieval.survey import Area
from commands.retrieval.vector_store import Entry, VectorStore, VectorStoreUnavailable

FIRST, TIMES, LAST = MOST, 4, 10_000
"""How many nearest ones a store is asked for: first, how many times as many the next time, and at most."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """What a store named and a search may find, for each query; how many it was asked for at most.

    `cut_short`: it has more, but it was asked for as many as it ever is, and too few of them may be found.
    """

    found: Sequence[Sequence[UUID]]
    asked: int
    cut_short: bool

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return what the statement of a search takes."""
        return {f"near_{number}": uuids(ids) for number, ids in enumerate(self.found)}


class Nearest:
    """Asks a store."""

    def __init__(self, rows: Rows, store: VectorStore) -> None:
        self.store = store
        self._rows = rows

    async def held(self) -> frozenset[str]:
        """Return the spaces that the store has all of, but what is compared with one by one."""
        return frozenset(row[0] for row in await self._rows.of(SQL["held"], {"store": self.store.identity}))

    async def near(
        self,
        area: Area,
        vectors: Sequence[Halfvec],
        condition: statements.Composable | None,
        values: Mapping[str, Any],
        wanted: int,
    ) -> Near | None:
        """Return so many that are near in an area that the store holds, or None where it need not be asked.

        That is where a condition leaves so little that PostgreSQL compares with all of it. Raises VectorStoreUnavailable.
        """
        if condition is not None and await self._few(condition, values):
            return None
        found = await asyncio.gather(*(self._asked(area, vector, condition, values, wanted) for vector in vectors))
        return Near(
            found=[ids for ids, _, _ in found],
            asked=max(asked for _, asked, _ in found),
            cut_short=any(cut_short for _, _, cut_short in found),
        )

    async def _asked(
        self,
        area: Area,
        vector: Halfvec,
        condition: statements.Composable | None,
        values: Mapping[str, Any],
        wanted: int,
    ) -> tuple[Sequence[UUID], int, bool]:
        """Return the ids of passages, how many the store was asked for, and whether it has more."""
        assert area.space is not None
        assert area.dimensions is not None
        limit = FIRST
        while True:
            entries = await self.store.nearest(area.space, area.dimensions, vector.numbers, limit)
            if not entries:
                await self._must_be_empty(area.space)
            ids = await self._usable(entries, condition, values)
            all_seen = len(entries) < limit
            if all_seen or len(ids) >= wanted or limit >= LAST:
                return ids, limit, not all_seen and len(ids) < wanted
            limit = min(TIMES * limit, LAST)

    async def _few(self, condition: statements.Composable, values: Mapping[str, Any]) -> bool:
        parts = [statements.SQL(SQL[name]).format(condition=condition) for name in ("shelf", "matching")]
        query = statements.Composed([statements.SQL("WITH "), statements.SQL(", ").join(parts), FEW])
        [(few,)] = await self._rows.of(query, values)
        return bool(few)

    async def _usable(
        self, entries: Sequence[Entry], condition: statements.Composable | None, values: Mapping[str, Any]
    ) -> Sequence[UUID]:
        """Return the passages that entries name and the search may find, in their order."""
        asked = {
            "near_places": bigints([each.place for each in entries]),
            "near_ordinals": integers([each.ordinal for each in entries]),
            "near_cuts": byte_strings([each.cut for each in entries]),
        }
        query = statements.Composed(
            [
                statements.SQL("WITH "),
                statements.SQL(SQL["shelf"]).format(),
                statements.SQL(SQL["usable"]).format(
                    condition=condition or statements.SQL(SQL["everything"]), most=statements.Literal(MOST)
                ),
            ]
        )
        return [id for (id,) in await self._rows.of(query, {**values, **asked})]

    async def _must_be_empty(self, space: str) -> None:
        """Raise VectorStoreUnavailable where a store that names nothing should have something."""
        query = statements.SQL(SQL["any_stored"]).format(**tables(space, SCHEMA))
        [(there,)] = await self._rows.of(query, {})
        if there:
            why = "It has lost what was put into it: have it filled anew with 'magnet vectors rebuild'."
            raise VectorStoreUnavailable(why, kind=self.store.kind, code="vector_store_empty")


FEW = statements.SQL(" SELECT yes FROM few")
