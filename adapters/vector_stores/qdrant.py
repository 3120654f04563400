"""Qdrant as the store of vectors, by LlamaIndex's QdrantVectorStore: the extra `qdrant`."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.vector_stores.extras import must_be_installed

TIMEOUT = 30
"""Seconds that a request may take; a search is given up earlier."""


class QdrantConfig(BaseModel):
    """A Qdrant server by its `url`, or Qdrant's local mode in a directory, for one process alone."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+", description="Of the server: http://localhost:6333")
    path: str | None = Field(None, min_length=1, description="The directory of the local mode")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("either `url` or `path`")
        must_be_installed("qdrant", "qdrant_client", "llama_index.vector_stores.qdrant")
        return self


class Qdrant:
    """Qdrant: a server, or its local mode."""

    name = "qdrant"
    description = "Qdrant: a server, or its local mode in a directory."
    Config = QdrantConfig
    secrets: Mapping[str, str] = {"api_key": "The server's API key."}

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def one_at_a_time(self, config: QdrantConfig) -> bool:
        """Say that the local mode is made for one thread."""
        return config.path is not None

    def open(self, collection: str, dimensions: int, config: QdrantConfig, secrets: Mapping[str, str]) -> Any:
        """Return the store of a collection."""
        from llama_index.vector_stores.qdrant import QdrantVectorStore  # noqa: PLC0415  # an extra
        from qdrant_client.http.models import Distance, VectorParams  # noqa: PLC0415

        client = self._client(config, secrets)
        named = "vector"  # the name under which the store keeps it
        if not client.collection_exists(collection):  # else a search before the first vector would find no collection
            params = VectorParams(size=dimensions, distance=Distance.COSINE)
            client.create_collection(collection, vectors_config={named: params})
        return QdrantVectorStore(
            collection_name=collection, client=client, dense_vector_name=named, batch_size=256, index_doc_id=False
        )

    def stop(self) -> None:
        """Close the clients, and with them the directory of the local mode."""
        while self._clients:
            self._clients.popitem()[1].close()

    def _client(self, config: QdrantConfig, secrets: Mapping[str, str]) -> Any:
        """Return the client of a server or a directory, which takes only one."""
        from qdrant_client import QdrantClient  # noqa: PLC0415

        with self._lock:
            key = config.url or f"path {config.path}"
            if key not in self._clients:
                self._clients[key] = (
                    QdrantClient(url=config.url, api_key=secrets.get("api_key"), timeout=TIMEOUT)
                    if config.path is None
                    # Calls come from several threads, though never from two at once.
                    else QdrantClient(path=config.path, force_disable_check_same_thread=True)
                )
            return self._clients[key]
