"""The read model of documents in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import PostgresContents
from adapters.postgres import sql
from adapters.postgres.arrays import bigints, integers, texts, uuids
from adapters.postgres.read_model import ReadModelWriter
from adapters.postgres.reading import rows_of
from projections.source_documents import DocumentsQuery, SourceDocument

SQL = sql.load("adapters.postgres", "source_documents.sql")
MOST_DUPLICATES = 100
SEPARATOR = "\x1f"
"""No group's name holds it: they have no control characters."""


class PostgresSourceDocumentsWriter(ReadModelWriter):
    """The rows inside one transaction."""

    QUERIES = SQL

    @classmethod
    async def create(cls, connection: AsyncConnection[Any]) -> None:
        """Make the empty tables."""
        await super().create(connection)
        await cls.complete(connection)

    @staticmethod
    async def complete(connection: AsyncConnection[Any]) -> None:
        """Add what came later to tables that an earlier version made."""
        row = await (await connection.execute(SQL["is_late"])).fetchone()
        if row is not None and not row[0]:
            await connection.execute(SQL["late"])

    async def documents(self, ids: Sequence[UUID]) -> Sequence[SourceDocument]:
        """Return these documents."""
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(SQL["documents"], {"ids": uuids(ids)})
            return [_document(row) for row in await cursor.fetchall()]

    async def save(self, rows: Sequence[SourceDocument]) -> None:
        """Insert or replace documents."""
        await self._connection.execute(
            SQL["save"],
            {
                "id": uuids([row.id for row in rows]),
                "source": uuids([row.source for row in rows]),
                "external_id": texts([row.external_id for row in rows]),
                "position": bigints([row.position for row in rows]),
                "created_at": texts([row.created_at.isoformat() for row in rows]),
                "updated_at": texts([row.updated_at.isoformat() for row in rows]),
                "version": bigints([row.version for row in rows]),
                "number": integers([row.number for row in rows]),
                "sha256": texts([row.sha256 for row in rows]),
                "size": bigints([row.size for row in rows]),
                "media_type": texts([row.media_type for row in rows]),
                "title": texts([row.title for row in rows]),
                "url": texts([row.url for row in rows]),
                "metadata": texts([_json(row.metadata) for row in rows]),
                "acl": texts([_joined(row.acl) for row in rows]),
                "status": texts([row.status for row in rows]),
                "failure": texts([None if row.failure is None else _json(row.failure) for row in rows]),
                "indexes": texts([_json(row.indexes) for row in rows]),
                "chunking": texts([row.chunking for row in rows]),
                "removed": integers([int(row.removed) for row in rows]),
            },
        )

    async def save_access(self, sources: Mapping[UUID, Sequence[str] | None]) -> None:
        """Note who may find documents of these sources by default."""
        values = {"id": uuids(list(sources)), "acl": texts([_joined(acl) for acl in sources.values()])}
        await self._connection.execute(SQL["save_access"], values)


class PostgresSourceDocumentsView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._contents = PostgresContents(pool)

    async def page(self, query: DocumentsQuery) -> tuple[Sequence[SourceDocument], int | None]:
        """Return documents, and the position after which the next ones stand."""
        values = {
            **_access(query.groups),
            "source": query.source,
            "limit": query.limit + 1,
            "after": query.after,
            "status": query.status,
            "document": query.document,
            "text": query.text,
        }
        name = "newest_first" if query.newest_first else "oldest_first"
        rows = await rows_of(self._pool, SQL[name], values, row_factory=dict_row)
        shown = [_document(row) for row in rows[: query.limit]]
        return shown, shown[-1].position if len(rows) > query.limit else None

    async def get(self, source: UUID, id: UUID, groups: frozenset[str] | None) -> SourceDocument | None:
        """Return a document of a source."""
        values = {**_access(groups), "source": source, "id": id}
        rows = await rows_of(self._pool, SQL["get"], values, row_factory=dict_row)
        return _document(rows[0]) if rows else None

    async def duplicates(self, found: SourceDocument, groups: frozenset[str] | None) -> Sequence[SourceDocument]:
        """Return other documents with the same content, the oldest first, at most MOST_DUPLICATES."""
        values = {**_access(groups), "sha256": found.sha256, "id": found.id, "limit": MOST_DUPLICATES}
        return [_document(row) for row in await rows_of(self._pool, SQL["duplicates"], values, row_factory=dict_row)]

    async def language(self, found: SourceDocument) -> str | None:
        """Return the language of the newest version's text, as it tells it or as it was found out."""
        if found.chunking is None:
            return None
        rows = await rows_of(self._pool, SQL["language"], {"chunking": bytes.fromhex(found.chunking)})
        return rows[0][0] if rows else None

    async def scanned(self, found: SourceDocument) -> Mapping[str, Any] | None:
        """Return which pages of the newest version are pictures, and what became of them."""
        if found.chunking is None:
            return None
        rows = await rows_of(self._pool, SQL["scanned"], {"chunking": bytes.fromhex(found.chunking)})
        return rows[0][0] if rows else None

    async def content(self, found: SourceDocument) -> bytes | None:
        """Return the bytes that were given."""
        return (await self._contents.read([found.sha256])).get(found.sha256)

    async def text(self, found: SourceDocument) -> str | None:
        """Return what the newest version says; None: it was not read yet."""
        if found.chunking is None:
            return None
        rows = await rows_of(self._pool, SQL["text"], {"chunking": bytes.fromhex(found.chunking)})
        return str(rows[0][0]) if rows else None


def _access(groups: frozenset[str] | None) -> dict[str, Any]:
    return {"everything": groups is None, "groups": sorted(groups or ())}


def _joined(acl: Sequence[str] | None) -> str | None:
    return None if acl is None else SEPARATOR.join(acl)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _document(row: DictRow) -> SourceDocument:
    read = {name: orjson.loads(row[name]) for name in ("metadata", "indexes")}
    failure = None if row["failure"] is None else orjson.loads(row["failure"])
    return SourceDocument(**{**row, **read, "failure": failure})
