"""Loops end when they are told to, whatever they just wait for."""

import asyncio
import contextlib

import pytest

from adapters import ending
from adapters.ending import end_tasks


async def test_a_loop_that_swallows_its_first_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ending, "AGAIN", 0.01)
    began = asyncio.Event()
    rounds: list[int] = []

    async def loop() -> None:
        while True:
            rounds.append(len(rounds))
            began.set()
            with contextlib.suppress(asyncio.CancelledError) if len(rounds) == 1 else contextlib.nullcontext():
                await asyncio.Event().wait()

    task = asyncio.create_task(loop())
    await began.wait()
    await end_tasks(task)
    assert task.cancelled()
    assert rounds == [0, 1]


async def test_what_a_loop_failed_with_is_not_lost():
    async def loop() -> None:
        raise ValueError("it broke")

    failed, waits = asyncio.create_task(loop()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait([failed])
    with pytest.raises(ValueError, match="it broke"):
        await end_tasks(waits, failed)
    assert waits.cancelled()
