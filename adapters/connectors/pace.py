"""Not more requests a second than a source allows, whoever sends them."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Turns by key, evenly apart."""

    def __init__(
        self,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._clock = clock
        self._next: dict[str, float] = {}

    async def turn(self, key: str, per_second: float) -> None:
        """Wait until it is one's turn."""
        now = self._clock()
        at = max(now, self._next.get(key, 0.0))
        self._next[key] = at + 1 / per_second
        if at > now:
            await self._pause(at - now)
