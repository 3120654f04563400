"""What was given together, and how far it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.reading import rows_of
from commands.knowledge.document import INDEX_DOCUMENT
from commands.ports import Actor

SQL = sql.load("adapters.knowledge", "uploads.sql")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an upload is: of its `documents` some wait, and of the others some failed, some were removed.

    `giver` is the type and id of who gave them, None where that was not noted. `error` is a reason why one
    of those that wait has to be tried again.
    """

    id: UUID
    source: UUID
    made_at: datetime
    giver: tuple[str, str] | None
    documents: Sequence[UUID]
    pending: int
    failed: Sequence[UUID]
    removed: int
    error: str | None

    @property
    def total(self) -> int:
        """How many documents were given."""
        return len(self.documents)

    @property
    def done(self) -> int:
        """How many of them are indexed, failed or removed."""
        return self.total - self.pending

    @property
    def indexed(self) -> int:
        """How many of them can be found."""
        return self.done - len(self.failed) - self.removed


class PostgresUploads:
    """Remembers uploads for a month."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def note(self, id: UUID, source: UUID, documents: Collection[UUID], giver: Actor) -> None:
        """Remember the documents of an upload, and who gave them; forget uploads that are old."""
        values = {
            "id": id,
            "source": source,
            "documents": uuids(list(documents)),
            "giver_type": giver.type,
            "giver": giver.id,
        }
        await execute(self._pool, SQL["note"], values)

    async def progress(self, id: UUID) -> Progress | None:
        """Return how far an upload is; None where there is none, or it is forgotten."""
        found = await rows_of(self._pool, SQL["upload"], {"id": id})
        if not found:
            return None
        source, documents, made_at, giver_type, giver = found[0]
        rows = await rows_of(self._pool, SQL["progress"], {"id": id, "kind": INDEX_DOCUMENT})
        pending, failed, removed, error = rows[0]
        return Progress(
            id=id,
            source=source,
            made_at=made_at,
            giver=None if giver is None else (giver_type, giver),
            documents=documents,
            pending=pending,
            failed=failed,
            removed=removed,
            error=error,
        )
