"""Vector stores of plugins: any store of LlamaIndex, which is given vectors and opaque ids and asked what is near.

What a vector is of, who may find it and what it is filtered by stays in PostgreSQL, which compares what the store names
once more: a store's own scores, whose meaning differs from one to the next, are never looked at.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from math import sqrt
from threading import Lock
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import Plugin
from commands.retrieval.vector_store import Entry, StoredPlace, VectorStoreUnavailable

OPEN_SECONDS, SEARCH_SECONDS, CHANGE_SECONDS, CLOSE_SECONDS = 30.0, 10.0, 60.0, 10.0
MOST_REMOVED = 2_000
"""Ids that one call removes."""

MOST_AT_ONCE = 8
"""Calls under way at once; one, where the plugin's `one_at_a_time` says so."""


class PluginVectorStore:
    """Asks the stores that a plugin opens: one for each space, in a collection of its own."""

    def __init__(self, plugin: Plugin, config: BaseModel, secrets: Mapping[str, str], installation: UUID) -> None:
        self.kind = plugin.name
        settings = orjson.dumps(config.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        self.identity = f"{plugin.name}:{sha256(settings).hexdigest()[:16]}"
        self._config = config
        self._secrets = dict(secrets)
        self._installation = installation
        self._calls = BoundedCalls(plugin)
        self._opened: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        asks = getattr(plugin.object, "one_at_a_time", None)
        # In the threads: a call that was given up, as at the end of the process, still goes on in its own.
        self._alone = Lock() if asks is not None and asks(config) else None
        self._turns = asyncio.Semaphore(MOST_AT_ONCE if self._alone is None else 1)
        self._closed = False

    async def add(self, space: str, dimensions: int, vectors: Sequence[tuple[Entry, Sequence[float]]]) -> None:
        """Add vectors."""
        store = await self._store(space, dimensions)
        await self._told(lambda: store.add(_nodes(vectors)), CHANGE_SECONDS)

    async def remove(self, space: str, dimensions: int, places: Sequence[StoredPlace]) -> None:
        """Remove all vectors of places."""
        store = await self._store(space, dimensions)
        if _has(store, "delete_nodes"):
            ids = [
                str(Entry(place=each.place, ordinal=ordinal, cut=each.cut).id)
                for each in places
                for ordinal in range(each.passages)
            ]
            for first in range(0, len(ids), MOST_REMOVED):
                await self._told(partial(store.delete_nodes, ids[first : first + MOST_REMOVED]), CHANGE_SECONDS)
            return
        for each in places:
            await self._told(partial(store.delete, str(each.place)), CHANGE_SECONDS)

    async def nearest(self, space: str, dimensions: int, vector: Sequence[float], limit: int) -> Sequence[Entry]:
        """Return the entries nearest to a vector."""
        store = await self._store(space, dimensions)
        named = await self._told(lambda: _asked(store, _unit(vector), limit), SEARCH_SECONDS)
        found = map(Entry.of, named)
        return list(dict.fromkeys(each for each in found if each is not None))

    async def clear(self, space: str, dimensions: int, places: Sequence[StoredPlace]) -> None:
        """Remove all that a space holds, where the store can do that, else these places."""
        store = await self._store(space, dimensions)
        if _has(store, "clear"):
            await self._told(store.clear, CHANGE_SECONDS)
            self._opened.pop(space, None)  # it may have dropped what it was opened on
        else:
            await self.remove(space, dimensions, places)

    async def close(self) -> None:
        """Begin no further call, and wait for one that must be alone: what it works on is closed next."""
        self._closed = True
        if self._alone is not None and await asyncio.to_thread(self._alone.acquire, timeout=CLOSE_SECONDS):
            self._alone.release()

    async def _store(self, space: str, dimensions: int) -> Any:
        """Return the store of a space, opened once."""
        async with self._opening:
            if space not in self._opened:
                collection = f"magnet_{self._installation.hex[:12]}_{space}"
                arguments = (collection, dimensions, self._config, self._secrets)
                (self._opened[space],) = await self._told(_opening(self._calls.plugin, *arguments), OPEN_SECONDS)
            return self._opened[space]

    async def _told(self, function: Callable[[], Any], seconds: float) -> Any:
        try:
            async with self._turns:
                return await self._calls.call(self._one, function, seconds=seconds, secrets=self._secrets.values())
        except PluginFailed as error:
            raise VectorStoreUnavailable(str(error), kind=self.kind) from None

    def _one(self, function: Callable[[], Any]) -> Any:
        """Make a call in its thread."""
        with self._alone or nullcontext():
            if self._closed:
                raise RuntimeError("the process ends")
            return function()


def _opening(plugin: Plugin, *arguments: Any) -> Callable[[], Any]:
    """Return what opens a store, which is one of LlamaIndex; it gives it in a tuple, since a store can be iterated over."""

    def opened() -> tuple[Any]:
        from llama_index.core.vector_stores.types import BasePydanticVectorStore  # noqa: PLC0415  # takes a while

        store = plugin.object.open(*arguments)
        if not isinstance(store, BasePydanticVectorStore):
            raise TypeError(f"it opens no BasePydanticVectorStore of LlamaIndex but {type(store).__name__}")
        return (store,)

    return opened


def _has(store: Any, method: str) -> bool:
    """Return whether a store has a method that LlamaIndex leaves to each of them."""
    from llama_index.core.vector_stores.types import BasePydanticVectorStore  # noqa: PLC0415

    return getattr(type(store), method) is not getattr(BasePydanticVectorStore, method)


def _nodes(vectors: Sequence[tuple[Entry, Sequence[float]]]) -> list[Any]:
    """Return vectors as LlamaIndex has them: without text, and each the node of its place."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode  # noqa: PLC0415

    return [
        TextNode(
            id_=str(entry.id),
            text="",
            embedding=_unit(vector),
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=str(entry.place))},
        )
        for entry, vector in vectors
    ]


def _asked(store: Any, vector: list[float], limit: int) -> list[str]:
    """Return the ids that a store gives."""
    from llama_index.core.vector_stores.types import VectorStoreQuery  # noqa: PLC0415

    given = store.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=limit))
    return list(given.ids) if given.ids is not None else [node.node_id for node in given.nodes or ()]


def _unit(vector: Sequence[float]) -> list[float]:
    """Return a vector of length 1: by cosine, inner product or distance, a store then has one order."""
    length = sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]
