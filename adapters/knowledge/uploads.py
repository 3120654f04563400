"""What was given together, and how far it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.reading import rows_of
from commands.document import INDEX_DOCUMENT

SQL = sql.load("adapters.knowledge", "uploads.sql")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an upload is: of `total` documents `done` are indexed, gone or failed, `failed` of those.

    `error` is the newest reason why one of those that wait has to be tried again.
    """

    id: UUID
    source: UUID
    made_at: datetime
    total: int
    done: int
    failed: int
    error: str | None


class PostgresUploads:
    """Remembers uploads for a month."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def note(self, id: UUID, source: UUID, documents: Collection[UUID]) -> None:
        """Remember the documents of an upload."""
        values = {"id": id, "source": source, "documents": uuids(list(documents))}
        await execute(self._pool, SQL["note"], values)

    async def progress(self, id: UUID) -> Progress | None:
        """Return how far an upload is; None where there is none, or it is forgotten."""
        found = await rows_of(self._pool, SQL["upload"], {"id": id})
        if not found:
            return None
        source, documents, made_at = found[0]
        rows = await rows_of(self._pool, SQL["progress"], {"id": id, "kind": INDEX_DOCUMENT})
        waiting, failed, error = rows[0]
        total = len(documents)
        return Progress(
            id=id, source=source, made_at=made_at, total=total, done=total - waiting, failed=failed, error=error
        )

    async def clean(self) -> None:
        """Forget what is old."""
        await execute(self._pool, SQL["clean"], {})
