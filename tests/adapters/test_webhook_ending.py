"""Feeds of webhooks end when they are to."""

import asyncio

import pytest

from adapters import ending
from adapters.webhooks.dispatcher import ended
from tests.support.patience import PATIENCE


async def test_a_feed_whose_first_cancellation_was_swallowed_is_cancelled_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ending, "AGAIN", 0.01)
    begun = asyncio.Event()

    async def feed() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as `asyncio.wait_for` does until Python 3.12
            await asyncio.Event().wait()

    task = asyncio.create_task(feed())
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        await ended([task])
    assert task.cancelled()
