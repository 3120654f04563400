"""Look-ups by key that come while a query runs, gathered into the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 500
"""Keys of one query, from which on what comes goes into another one."""

PATIENCE = 0.25
"""Seconds that look-ups wait for the query before theirs: one that hangs holds up nobody for longer."""


@dataclass(slots=True)
class Group(Generic[K, V]):
    """Look-ups that are one query; `late` has them asked though the query before has not come back."""

    future: asyncio.Future[Mapping[K, V]]
    late: asyncio.TimerHandle | None
    keys: dict[K, None] = field(default_factory=dict)


class Gathered(Generic[K, V]):
    """Looks keys up many at a time, as many as came meanwhile; who comes alone waits for nobody.

    A look-up never joins a query that has begun: it sees all that was committed before it was asked.
    """

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: list[Group[K, V]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return what stands under a key, or None; raise what the query raises."""
        return (await self.of([key])).get(key)

    async def of(self, keys: Iterable[K]) -> Mapping[K, V]:
        """Return what stands under these keys, and perhaps under others; raise what the query raises."""
        if not self._waiting or len(self._waiting[-1].keys) >= MOST:
            loop = asyncio.get_running_loop()
            late = None if self._reading is None else loop.call_later(PATIENCE, self._begin)
            self._waiting.append(Group(loop.create_future(), late))
        group = self._waiting[-1]
        group.keys.update(dict.fromkeys(keys))
        if self._reading is None:
            self._begin()
        return await asyncio.shield(group.future)

    def _begin(self) -> None:
        self._reading = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        this = asyncio.current_task()
        try:
            while self._waiting and self._reading is this:
                group = self._waiting.pop(0)
                if group.late is not None:
                    group.late.cancel()
                try:
                    group.future.set_result(await self._read(list(group.keys)))
                except Exception as error:
                    group.future.set_exception(error)
                    group.future.exception()  # told even where nobody waits any more
                except BaseException:  # cancelled: nobody may wait for ever
                    group.future.cancel()
                    raise
        finally:
            if self._reading is this:
                self._reading = None
                for group in self._waiting:
                    group.future.cancel()
                self._waiting = []
