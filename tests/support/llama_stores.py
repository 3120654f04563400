"""Vector stores of LlamaIndex itself: imported by what opens them alone, since that takes a second."""

from typing import Any

from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from tests.support.vector_stores import Simple


class Watched(SimpleVectorStore):
    """A store in memory that tells its plugin what it is given and asked."""

    def __init__(self, plugin: Simple) -> None:
        super().__init__()
        object.__setattr__(self, "_plugin_", plugin)

    def add(self, nodes: Any, **named: Any) -> list[str]:
        self._reached().given += len(nodes)
        return super().add(nodes, **named)

    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **named: Any) -> None:
        self._reached()
        super().delete_nodes(node_ids, filters, **named)

    def clear(self) -> None:
        self._reached()
        super().clear()

    def query(self, query: Any, **named: Any) -> Any:
        self._reached().asked += 1
        return super().query(query, **named)

    def _reached(self) -> Simple:
        plugin: Simple = object.__getattribute__(self, "_plugin_")
        if plugin.down:
            raise ConnectionError("nobody answers")
        return plugin


class OnlyByDocument(SimpleVectorStore):
    """A store that has no more than LlamaIndex asks of every one."""

    delete_nodes = BasePydanticVectorStore.delete_nodes
    clear = BasePydanticVectorStore.clear
