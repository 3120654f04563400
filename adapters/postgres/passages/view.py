"""Reading passages: lists and single ones, with what people changed of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from domain.passage_edits import PassageName
from projections.source_passages import Cursor, PassagesQuery, SourcePassage

SQL = sql.load("adapters.postgres.passages", "view.sql")
BACKWARDS = {
    name: SQL[name]
    .replace("(pl.id, p.ordinal) >", "(pl.id, p.ordinal) <")
    .replace("ORDER BY pl.id, p.ordinal", "ORDER BY pl.id DESC, p.ordinal DESC")
    .replace("e.position >", "e.position <")
    .replace("ORDER BY e.position", "ORDER BY e.position DESC")
    for name in ("page", "orphaned")
}
BEGINNING: Cursor = (0, -1)
END: Cursor = (2**63 - 1, 0)


class PostgresSourcePassagesView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def page(self, query: PassagesQuery) -> tuple[Sequence[SourcePassage], Cursor | None]:
        """Return passages, and after which the next ones stand."""
        place, ordinal = query.after or (END if query.backwards else BEGINNING)
        statements = BACKWARDS if query.backwards else SQL
        values: dict[str, Any] = {
            **_access(query.groups),
            "source": query.source,
            "limit": query.limit + 1,
            "place": place,
            "document": query.document,
        }
        if query.orphaned:
            rows = await self._rows(statements["orphaned"], {**values, "id": None})
        else:
            narrowed = {name: getattr(query, name) for name in ("text", "disabled", "manual", "edited")}
            rows = await self._rows(statements["page"], {**values, **narrowed, "ordinal": ordinal})
        shown = rows[: query.limit]
        return shown, shown[-1].cursor if len(rows) > query.limit else None

    async def get(self, source: UUID, id: UUID, groups: frozenset[str] | None) -> SourcePassage | None:
        """Return a passage of any index of a source, or an edit that is orphaned."""
        values: dict[str, Any] = {**_access(groups), "source": source, "id": id}
        rows = await self._rows(SQL["get"], values)
        if not rows:
            rows = await self._rows(SQL["orphaned"], {**values, "limit": 1, "place": 0, "document": None})
        return rows[0] if rows else None

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[SourcePassage]:
        return [_passage(row) for row in await rows_of(self._pool, statement, values, row_factory=dict_row)]


def _access(groups: frozenset[str] | None) -> dict[str, Any]:
    return {"everything": groups is None, "groups": sorted(groups or ())}


def _passage(row: DictRow) -> SourcePassage:
    if row["original"] == row["text"]:
        row["original"] = None  # only what it is found by is another one
    cursor = (row.pop("place"), row.pop("ordinal"))
    start, end, sha256 = (row.pop(f"named_{part}") for part in ("start", "end", "sha256"))
    name = PassageName(start=start, end=end, sha256=sha256)
    return SourcePassage(**{**row, "metadata": orjson.loads(row["metadata"]), "name": name, "cursor": cursor})
