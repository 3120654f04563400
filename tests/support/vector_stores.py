"""Vector stores as the settings name them, in a process and a directory of the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel

from adapters.plugins.checking import VECTOR_STORES, plugin_of
from adapters.plugins.vector_store import PluginVectorStore
from adapters.vector_stores.chroma import Chroma
from adapters.vector_stores.qdrant import Qdrant

INSTALLATION = UUID(int=7)


class SimpleConfig(BaseModel):
    """Where it is said to be."""

    where: str = "here"


@dataclass
class Simple:
    """LlamaIndex's own store in memory, as a plugin opens it; counts what it is given, and may be out of reach."""

    name: ClassVar[str] = "simple"
    Config: ClassVar[type[BaseModel]] = SimpleConfig
    kept: dict[str, Any] = field(default_factory=dict)
    given: int = 0
    asked: int = 0
    down: bool = False

    def one_at_a_time(self, config: BaseModel) -> bool:
        return True

    def open(self, collection: str, dimensions: int, config: BaseModel, secrets: Mapping[str, str]) -> Any:
        from tests.support.llama_stores import Watched

        if collection not in self.kept:
            self.kept[collection] = Watched(self)
        return self.kept[collection]

    def held(self) -> int:
        """Return how many vectors it has."""
        return sum(len(store.data.embedding_dict) for store in self.kept.values())


def store_of(plugin: Any, **config: Any) -> PluginVectorStore:
    """Return the store that a plugin is, set so."""
    found = plugin_of(VECTOR_STORES, plugin, None)
    return PluginVectorStore(found, found.config.model_validate(config), {}, INSTALLATION)


def made(kind: str, directory: Path) -> tuple[PluginVectorStore, Any]:
    """Return a store of a kind, and its plugin."""
    plugin: Any = {"simple": Simple, "qdrant": Qdrant, "chroma": Chroma}[kind]()
    return store_of(plugin, **({} if kind == "simple" else {"path": str(directory / kind)})), plugin
