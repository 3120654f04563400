"""The read model of configuration things in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.arrays import bigints, integers, texts, uuids
from adapters.postgres.gathering import Gathered
from adapters.postgres.read_model import ReadModelWriter
from adapters.postgres.reading import rows_of
from projections.configurations import MOST, ListQuery, Page, ThingRow, next_cursor

SQL = sql.load("adapters.postgres", "configurations.sql")
SEPARATOR = "\x1f"
"""No tag holds it: tags have no control characters."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PostgresConfigurationsWriter(ReadModelWriter):
    """The rows inside one transaction."""

    QUERIES = SQL

    async def load(self, ids: Sequence[UUID]) -> Sequence[ThingRow]:
        """Return the rows of these things."""
        cursor = await self._connection.execute(SQL["load"], {"ids": uuids(ids)}, binary=True)
        return [_row(values) for values in await cursor.fetchall()]

    async def names(self, ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
        """Return the names of these things."""
        cursor = await self._connection.execute(SQL["names_inside"], {"ids": uuids(ids)}, binary=True)
        return dict(await cursor.fetchall())

    async def save(self, rows: Sequence[ThingRow]) -> None:
        """Insert or replace rows."""
        await self._connection.execute(
            SQL["save"],
            {
                "id": uuids([row.id for row in rows]),
                "kind": texts([row.kind for row in rows]),
                "name": texts([row.name for row in rows]),
                "title": texts([row.title for row in rows]),
                "description": texts([row.description for row in rows]),
                "tags": texts([SEPARATOR.join(row.tags) for row in rows]),
                "archived": integers([int(row.archived) for row in rows]),
                "version": bigints([row.version for row in rows]),
                "position": bigints([row.position for row in rows]),
                "created_position": bigints([row.created_position for row in rows]),
                "created_at": bigints([_micros(row.created_at) for row in rows]),
                "updated_at": bigints([_micros(row.updated_at) for row in rows]),
                "state": texts([row.state for row in rows]),
                "document": texts([row.document for row in rows]),
            },
        )


class PostgresConfigurationsView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._gathered = Gathered(self._get)

    async def get(self, id: UUID) -> ThingRow | None:
        """Return a thing."""
        return await self._gathered.get(id)

    async def _get(self, ids: Sequence[UUID]) -> Mapping[UUID, ThingRow]:
        return {values[0]: _row(values) for values in await self._rows("get", {"ids": uuids(ids)})}

    async def page(self, query: ListQuery) -> Page:
        """Return a page of the things of a kind."""
        name = "list_newest_first" if query.newest_first else "list"
        values = {
            "kind": query.kind,
            "archived": query.archived,
            "after": query.after,
            "tag": query.tag,
            "text": query.text,
            "limit": query.limit + 1,
        }
        rows = await self._rows(name, values)
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        return Page(items=[row[1] for row in shown], next_cursor=next_cursor(shown[-1][0]) if more else None)

    async def tags(
        self, after: str | None = None, limit: int = MOST, *, without: Sequence[str] = ()
    ) -> Sequence[Mapping[str, Any]]:
        """Return the tags that come after one, in their order, each with the number of things that carry it.

        Things of the kinds in `without` are not counted.
        """
        values = {"after": after, "limit": limit, "without": texts(without)}
        return [{"tag": tag, "count": count} for tag, count in await self._rows("tags", values)]

    async def usages(
        self, id: UUID, after: Sequence[str] | None = None, limit: int = MOST
    ) -> Sequence[Mapping[str, Any]]:
        """Return who refers to a thing: what comes after a kind, name, path and id, in that order."""
        place = dict(zip(("kind", "name", "path", "owner"), after or (None,) * 4, strict=True))
        return [
            {"kind": kind, "id": str(owner), "name": name, "path": path}
            for kind, owner, name, path in await self._rows("usages", {"id": id, "limit": limit, **place})
        ]

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await rows_of(self._pool, SQL[query], values, binary=True)


def _micros(moment: datetime) -> int:
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _row(values: Sequence[Any]) -> ThingRow:
    return ThingRow(
        id=values[0],
        kind=values[1],
        name=values[2],
        title=values[3],
        description=values[4],
        tags=values[5],
        archived=values[6],
        version=values[7],
        position=values[8],
        created_position=values[9],
        created_at=values[10],
        updated_at=values[11],
        state=values[12],
        document=values[13],
    )
