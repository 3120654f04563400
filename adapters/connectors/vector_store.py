"""Documents from a vector store that there is already: its passages are taken over, and embedded anew."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from adapters.connectors.chroma import ChromaRecords
from adapters.connectors.pgvector import PgvectorRows
from adapters.connectors.qdrant import QdrantPoints
from adapters.connectors.sql import SqlConnector
from adapters.connectors.stored_passages import StoredPassage, VectorStoreConfig, document_of
from adapters.connectors.web import Web
from commands.knowledge.connectors import GivenDocument, Listed, Place
from domain.definition import parse


class Store(Protocol):
    """One kind of vector stores."""

    def check(self, settings: VectorStoreConfig) -> None:
        """Raise Invalid where a source may not be set so."""

    def list(self, settings: VectorStoreConfig, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all passages, or raise SourceUnavailable."""

    async def one(self, settings: VectorStoreConfig, place: Place, id: str) -> StoredPassage:
        """Return a passage, or raise NotFetched."""

    def end(self, place: Place) -> None:
        """Drop what was kept for a visit."""


class VectorStoreConnector:
    """Lists all passages with a hash of what they say; those that are new or changed are fetched."""

    config = VectorStoreConfig
    secrets: Mapping[str, str] = {
        "api_key": "Sent as `api-key` to Qdrant, as `x-chroma-token` to Chroma.",
        "token": "Sent as `Authorization: Bearer …` to either.",
        "password": "Of the user that pgvector's address names.",
    }

    def __init__(self, web: Web, rows: SqlConnector) -> None:
        self._stores: Mapping[str, Store] = {
            "qdrant": QdrantPoints(web),
            "chroma": ChromaRecords(web),
            "pgvector": PgvectorRows(rows),
        }

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none of such a store."""
        settings, store = self._of(config)
        store.check(settings)

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all passages."""
        settings, store = self._of(place.config)
        async for each in store.list(settings, place):
            yield each

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a passage as a document."""
        settings, store = self._of(place.config)
        return document_of(await store.one(settings, place, external_id), settings)

    def end(self, place: Place) -> None:
        """Drop what was kept for the visit."""
        self._of(place.config)[1].end(place)

    def _of(self, config: Mapping[str, Any]) -> tuple[VectorStoreConfig, Store]:
        settings = parse(VectorStoreConfig, dict(config), "/config")
        return settings, self._stores[settings.store]
