"""Rows of a table with vectors in PostgreSQL, selected without the vectors."""

from collections.abc import AsyncIterator
from dataclasses import replace

from adapters.connectors.database_address import POSTGRES, database_address
from adapters.connectors.sql import SqlConnector
from adapters.connectors.stored_passages import StoredPassage, VectorStoreConfig
from commands.knowledge.connectors import Listed, Place
from domain.errors import Invalid

TEXT, METADATA = "text", "metadata_"
"""The columns of LlamaIndex's PGVectorStore."""


class PgvectorRows:
    """Selects as the connector for queries does: read only, from the address that was checked."""

    def __init__(self, rows: SqlConnector) -> None:
        self._rows = rows

    def check(self, settings: VectorStoreConfig) -> None:
        """Raise Invalid where the address is no PostgreSQL's."""
        if database_address(settings.url).driver != POSTGRES:
            raise Invalid("pgvector is in a PostgreSQL: postgresql://...", code="invalid_url", pointer="/config/url")

    async def list(self, settings: VectorStoreConfig, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all rows."""
        async for each in self._rows.list(selected(settings, place)):
            yield each

    async def one(self, settings: VectorStoreConfig, place: Place, id: str) -> StoredPassage:
        """Return a row, or raise NotFetched."""
        found = await self._rows.fetch(selected(settings, place), id)
        metadata = found.metadata.get(settings.metadata or METADATA)
        payload = metadata if isinstance(metadata, dict) else {}
        return StoredPassage(id=id, text=found.content.decode(errors="replace"), payload=payload)

    def end(self, place: Place) -> None:
        """Forget who waited."""
        self._rows.end(place)


def selected(settings: VectorStoreConfig, place: Place) -> Place:
    """Return the place as the connector for queries has it."""
    id, text, metadata = settings.id, settings.text or TEXT, settings.metadata or METADATA
    table = ".".join(map(quoted, settings.collection.split(".", 1)))
    columns = ", ".join(dict.fromkeys(map(quoted, (id, text, metadata))))
    query = f"SELECT {columns} FROM {table}"  # noqa: S608  identifiers only, each quoted
    return replace(place, config={"url": settings.url, "query": query, "id": id, "text": text})


def quoted(name: str) -> str:
    """Return an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
