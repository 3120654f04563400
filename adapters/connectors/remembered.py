"""Items that a source gives only in its list: kept from listing to fetching, so that each is not asked for again."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import orjson

from commands.knowledge.connectors import NotFetched, SourceUnavailable

MOST_BYTES = 256_000_000
"""Of all items together, packed."""


class Remembered:
    """JSON items by visit and id; a visit that did not list them, as after a crash, lists once more."""

    def __init__(self, advice: str = "let `item_url` say where an item is had alone") -> None:
        self._advice = advice
        self._items: dict[UUID, dict[str, bytes]] = {}
        self._size = 0
        self._listing: dict[UUID, asyncio.Lock] = {}

    def forget(self, visit: UUID) -> None:
        """Drop what is kept of a visit: it lists again."""
        self._size -= sum(map(len, self._items.pop(visit, {}).values()))

    def end(self, visit: UUID) -> None:
        """Drop all of a visit: it is over."""
        self.forget(visit)
        self._listing.pop(visit, None)

    def keep(self, visit: UUID, id: str, item: Any) -> None:
        """Keep an item, or raise SourceUnavailable where they are too many."""
        packed = zlib.compress(orjson.dumps(item), 1)
        kept = self._items.setdefault(visit, {})
        self._size += len(packed) - len(kept.get(id, b""))
        kept[id] = packed
        if self._size > MOST_BYTES:
            self.forget(visit)
            raise SourceUnavailable(f"The list holds more than {MOST_BYTES:,} bytes: {self._advice}.")

    async def take(self, visit: UUID, id: str, listing: Callable[[], AsyncIterator[Any]]) -> Any:
        """Return an item; where none of the visit is kept, `listing` is walked, which keeps them."""
        async with self._listing.setdefault(visit, asyncio.Lock()):
            if visit not in self._items:
                try:
                    async for _ in listing():
                        pass
                except NotFetched as error:  # a part of the list, so that what is not kept may well be there
                    self.forget(visit)
                    raise SourceUnavailable(str(error), code=error.error_code) from None
        packed = self._items.get(visit, {}).get(id)
        if packed is None:
            raise NotFetched("It is no longer in the list.", code="gone")
        return orjson.loads(zlib.decompress(packed))
