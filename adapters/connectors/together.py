"""Several requests to a source under way at once, in the order of what was asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from commands.at_once import at_once

AT_ONCE = 8

T = TypeVar("T")
R = TypeVar("R")


async def together(what: Sequence[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
    """Return what came of each; the first that fails ends the others, and is raised."""
    free = asyncio.Semaphore(AT_ONCE)

    async def done(one: T) -> R:
        async with free:
            return await do(one)

    return await at_once(done(one) for one in what)
