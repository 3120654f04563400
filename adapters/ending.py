"""Ending loops: cancelled until they have ended."""

import asyncio
import contextlib
from typing import Any

AGAIN = 5.0
"""Seconds after which a task that goes on is cancelled once more: time to tidy up in between."""


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; raise what one of them failed with.

    Once is not enough: until Python 3.12, an `asyncio.wait_for` that is done at the moment of its cancellation
    swallows it, and connection pools wait so.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN)
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            task.result()
