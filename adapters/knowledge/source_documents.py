"""Which documents sources have ever had, and which of them wait for a job."""

from collections.abc import Sequence
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.reading import rows_of

SQL = sql.load("adapters.knowledge", "source_documents.sql")


class PostgresSourceDocuments:
    """Reads what the events' own transactions wrote."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def after(self, source: UUID, document: UUID, limit: int) -> Sequence[UUID]:
        """Return the next documents of a source after one, in the order of their ids."""
        values = {"source": source, "after": document, "limit": limit}
        return [row[0] for row in await rows_of(self._pool, SQL["after"], values)]

    async def waiting(self, source: UUID, kind: str) -> int:
        """Return for how many of a source's documents there is a job."""
        rows = await rows_of(self._pool, SQL["waiting"], {"source": source, "kind": kind})
        return int(rows[0][0])

    async def sources(self) -> Sequence[UUID]:
        """Return all knowledge sources."""
        return [row[0] for row in await rows_of(self._pool, SQL["sources"], {})]
