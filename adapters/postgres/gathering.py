"""Look-ups by key that come while a query runs, gathered into the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 500
"""Keys of one query."""


class Gathered(Generic[K, V]):
    """Looks keys up many at a time, as many as came meanwhile; who comes alone waits for nobody.

    A look-up never joins a query that has begun: it sees all that was committed before it was asked.
    """

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return what stands under a key, or None; raise what the query raises."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on())
        return await asyncio.shield(future)

    async def _read_on(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:MOST]
                group = {key: self._waiting.pop(key) for key in keys}
                try:
                    found = await self._read(keys)
                except Exception as error:
                    for future in group.values():
                        future.set_exception(error)
                        future.exception()  # told even where nobody waits any more
                    continue
                except BaseException:  # cancelled: nobody may wait for ever
                    self._waiting |= group
                    raise
                for key, future in group.items():
                    future.set_result(found.get(key))
        finally:
            self._reading = None
            for future in self._waiting.values():
                future.cancel()
            self._waiting = {}
