"""The read model of syncs in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.read_model import ReadModelWriter, as_json
from adapters.postgres.reading import rows_of
from projections.syncs import SyncError, SyncRow, SyncsQuery

SQL = sql.load("adapters.postgres", "syncs.sql")


class PostgresSyncsWriter(ReadModelWriter):
    """The rows inside one transaction."""

    QUERIES = SQL

    async def syncs(self, ids: Sequence[UUID]) -> Sequence[SyncRow]:
        """Return these syncs."""
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL["syncs"], {"ids": uuids(ids)})
            return [SyncRow(**row) for row in await cursor.fetchall()]

    async def save(self, rows: Sequence[SyncRow], errors: Sequence[SyncError]) -> None:
        """Insert or replace syncs, and insert errors; one that is there already stays."""
        await self._connection.execute(SQL["save"], {"rows": as_json(rows)})
        if errors:
            await self._connection.execute(SQL["save_errors"], {"rows": as_json(errors)})


class PostgresSyncsView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def page(self, query: SyncsQuery) -> tuple[Sequence[SyncRow], int | None]:
        """Return syncs, and the position after which the next ones stand."""
        name = "list_newest_first" if query.newest_first else "list"
        rows = await rows_of(self._pool, SQL[name], asdict(query) | {"limit": query.limit + 1}, row_factory=dict_row)
        shown = [SyncRow(**row) for row in rows[: query.limit]]
        return shown, shown[-1].position if len(rows) > query.limit else None

    async def get(self, source: UUID, id: UUID) -> SyncRow | None:
        """Return a sync of a source."""
        rows = await rows_of(self._pool, SQL["get"], {"source": source, "id": id}, row_factory=dict_row)
        return SyncRow(**rows[0]) if rows else None

    async def last_synced(self, source: UUID) -> datetime | None:
        """Return when a sync of a source was completed last."""
        found: datetime | None = (await rows_of(self._pool, SQL["last_synced"], {"source": source}))[0][0]
        return found

    async def errors(self, id: UUID, after: UUID | None, limit: int) -> Sequence[SyncError]:
        """Return errors of a sync after a document, in the order of their ids."""
        values = {"id": id, "after": after, "limit": limit}
        return [SyncError(**row) for row in await rows_of(self._pool, SQL["errors"], values, row_factory=dict_row)]
