"""Chroma as the store of vectors, by LlamaIndex's ChromaVectorStore: the extra `chroma`."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.vector_stores.extras import must_be_installed


class ChromaConfig(BaseModel):
    """A Chroma server by its `url`, or Chroma's local mode in a directory, for one process alone."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(
        None, pattern=r"^https?://[^\s/?#@]+/?$", description="Of the server: http://localhost:8000"
    )
    path: str | None = Field(None, min_length=1, description="The directory of the local mode")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("either `url` or `path`")
        must_be_installed("chroma", "chromadb", "llama_index.vector_stores.chroma")
        return self


class Chroma:
    """Chroma: a server, or its local mode."""

    name = "chroma"
    description = "Chroma: a server, or its local mode in a directory."
    Config = ChromaConfig
    secrets: Mapping[str, str] = {"api_key": "The server's token, given as X-Chroma-Token."}

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def one_at_a_time(self, config: ChromaConfig) -> bool:
        """Say that the local mode is asked by one thread."""
        return config.path is not None

    def open(self, collection: str, dimensions: int, config: ChromaConfig, secrets: Mapping[str, str]) -> Any:
        """Return the store of a collection."""
        from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: PLC0415  # an extra

        # Nothing is embedded there: without this the client would look for a model of its own.
        made = self._client(config, secrets).get_or_create_collection(
            collection, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )
        return ChromaVectorStore(chroma_collection=made)

    def stop(self) -> None:
        """Let go of the clients."""
        self._clients.clear()

    def _client(self, config: ChromaConfig, secrets: Mapping[str, str]) -> Any:
        """Return the client of a server or a directory."""
        import chromadb  # noqa: PLC0415
        from chromadb.config import Settings  # noqa: PLC0415

        with self._lock:
            key = config.url or f"path {config.path}"
            if key not in self._clients:
                settings = Settings(anonymized_telemetry=False)
                if config.path is not None:
                    self._clients[key] = chromadb.PersistentClient(path=config.path, settings=settings)
                else:
                    where = urlsplit(config.url or "")
                    headers = {"X-Chroma-Token": secrets["api_key"]} if "api_key" in secrets else None
                    secure = where.scheme == "https"
                    self._clients[key] = chromadb.HttpClient(
                        host=where.hostname or "",
                        port=where.port or (443 if secure else 80),
                        ssl=secure,
                        headers=headers,
                        settings=settings,
                    )
            return self._clients[key]
