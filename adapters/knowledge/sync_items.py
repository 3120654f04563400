"""What sources listed, and what was taken of it."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import texts, uuids
from adapters.postgres.reading import rows_of
from commands.knowledge.connectors import Listed
from commands.knowledge.syncing import Item, Settled
from domain.document import Document

SQL = sql.load("adapters.knowledge", "sync_items.sql")
AT_ONCE = 5000
"""Documents of one statement."""


class PostgresSyncItems:
    """Keeps one row for each document of each source."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def known(self, source: UUID) -> int:
        """Return how many documents were taken of a source, and are not gone."""
        return int((await rows_of(self._pool, SQL["known"], {"source": source}))[0][0])

    async def list(self, source: UUID, sync: UUID, listed: Sequence[Listed]) -> None:
        """Note what a source has; what has the version that was taken is unchanged."""
        await execute(self._pool, SQL["forget"], {"source": source})
        for start in range(0, len(listed), AT_ONCE):
            part = listed[start : start + AT_ONCE]
            values = {
                "source": source,
                "sync": sync,
                "documents": uuids([Document.create_id(str(source), each.external_id) for each in part]),
                "external_ids": texts([each.external_id for each in part]),
                "versions": texts([each.version or unknown_to(sync) for each in part]),
            }
            await execute(self._pool, SQL["list"], values)

    async def doubt(self, source: UUID, sync: UUID, ids: Collection[str] | None) -> int:
        """Have what was taken and is not listed be fetched, None: all of it; return how many documents that are."""
        documents = None if ids is None else uuids([Document.create_id(str(source), each) for each in ids])
        values = {"source": source, "sync": sync, "version": unknown_to(sync), "documents": documents}
        return len(await rows_of(self._pool, SQL["doubt"], values))

    async def totals(self, source: UUID, sync: UUID) -> Mapping[str, int]:
        """Return how many documents of a sync there are by what became of them; '': nothing yet."""
        return dict(await rows_of(self._pool, SQL["totals"], {"source": source, "sync": sync}))

    async def next(self, source: UUID, sync: UUID, limit: int) -> Sequence[Item]:
        """Return items of a sync of which nothing became yet."""
        rows = await rows_of(self._pool, SQL["next"], {"source": source, "sync": sync, "limit": limit})
        return [Item(document=document, external_id=name, sha256=sha256) for document, name, sha256 in rows]

    async def settle(self, source: UUID, settled: Sequence[Settled]) -> None:
        """Note what became of items; the versions of those that failed or are gone count as not taken."""
        values = {
            "source": source,
            "documents": uuids([each.document for each in settled]),
            "outcomes": texts([each.outcome for each in settled]),
            "hashes": texts([each.sha256 for each in settled]),
        }
        await execute(self._pool, SQL["settle"], values)

    async def gone(self, source: UUID, sync: UUID, limit: int) -> Sequence[UUID]:
        """Return documents that were taken of a source, and that it no longer lists or has."""
        rows = await rows_of(self._pool, SQL["gone"], {"source": source, "sync": sync, "limit": limit})
        return [row[0] for row in rows]

    async def remove(self, source: UUID, sync: UUID, documents: Sequence[UUID]) -> None:
        """Note that documents were removed by a sync."""
        await execute(self._pool, SQL["remove"], {"source": source, "sync": sync, "documents": uuids(list(documents))})


def unknown_to(sync: UUID) -> str:
    """Return what stands for a version where the source tells none: another one each time."""
    return f"unknown to sync {sync}"
