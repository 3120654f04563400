"""A model's limits in this process: calls at once, requests and tokens per minute."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from domain.model import Routing

MINUTE = 60


class Full(Exception):
    """There is no room within the time that the caller has; `wait` tells in seconds when there may be."""

    def __init__(self, limit: str, wait: float) -> None:
        super().__init__(limit)
        self.limit = limit
        self.wait = wait


class Window:
    """Counts what happened within the last minute, by the second."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0

    def wait(self, amount: int, limit: int, now: float) -> float:
        """Return 0 where this much more fits into the limit, else the seconds until it does.

        What is larger than the limit fits into an empty minute.
        """
        self._forget(now)
        excess = self._total + min(amount, limit) - limit
        if excess <= 0:
            return 0.0
        until = now
        for second, count in self._counts.items():
            until = second + MINUTE + 1
            excess -= count
            if excess <= 0:
                break
        return until - now

    def add(self, amount: int, now: float) -> None:
        """Count this much."""
        second = int(now)
        self._counts[second] = self._counts.get(second, 0) + amount
        self._total += amount

    def correct(self, amount: int, then: float) -> None:
        """Count more, or less, for something of that time, unless it is forgotten by now."""
        if int(then) in self._counts:
            self.add(max(amount, -self._counts[int(then)]), then)

    def _forget(self, now: float) -> None:
        for second in [s for s in self._counts if s + MINUTE + 1 <= now]:
            self._total -= self._counts.pop(second)


class ModelLimits:
    """What is under way and was done at one model."""

    def __init__(self, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._now = now
        self._sleep = sleep
        self._running = 0
        self._most: int | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._requests = Window()
        self._tokens = Window()

    async def enter(self, routing: Routing, tokens: int, patience: float) -> float:
        """Wait for room, at most so many seconds; return the time that `leave` wants. Raises Full."""
        until = self._now() + patience
        await self._enter_concurrency(routing.max_concurrency, patience)
        try:
            while (wait := self._wait(routing, tokens)) > 0:
                if self._now() + wait > until:
                    raise Full("requests_per_minute or tokens_per_minute", wait)
                await self._sleep(wait)
        except BaseException:
            self._release()
            raise
        entered = self._now()
        if routing.requests_per_minute is not None:
            self._requests.add(1, entered)
        if routing.tokens_per_minute is not None:
            self._tokens.add(tokens, entered)
        return entered

    def leave(self, entered: float, estimated: int, taken: int | None) -> None:
        """Make room again; what was really taken, where known, takes the place of the estimate."""
        if taken is not None:
            self._tokens.correct(taken - estimated, entered)
        self._release()

    def _wait(self, routing: Routing, tokens: int) -> float:
        now, wait = self._now(), 0.0
        if routing.requests_per_minute is not None:
            wait = self._requests.wait(1, routing.requests_per_minute, now)
        if routing.tokens_per_minute is not None:
            wait = max(wait, self._tokens.wait(tokens, routing.tokens_per_minute, now))
        return wait

    async def _enter_concurrency(self, most: int | None, patience: float) -> None:
        self._most = most
        if most is None or (self._running < most and not self._waiting):
            self._running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._release()  # its turn had come just then
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Full("max_concurrency", 1.0) from None
            raise

    def _release(self) -> None:
        self._running -= 1
        while self._waiting and (self._most is None or self._running < self._most):
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)
