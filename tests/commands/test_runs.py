"""Runs: what becomes of one that its caller leaves while it begins."""

import asyncio
from uuid import uuid4

import pytest

from commands.bus import Command
from commands.ports import SYSTEM, Context, Receipt
from commands.runs.runs import Runs


class SlowBus:
    """A bus that records when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()
        self.recorded: asyncio.Future[Command] = asyncio.get_running_loop().create_future()

    async def dispatch(self, command: Command, context: Context) -> Receipt:
        self.asked.set()
        await self.let.wait()
        self.recorded.set_result(command)
        return Receipt(id=command.stream, version=1, position=1, shown={}, once={})


async def test_a_run_left_while_its_beginning_is_recorded_counts_as_lost_and_comes_on_record():
    bus = SlowBus()
    runs = Runs(bus=bus)  # type: ignore[arg-type]
    id = uuid4()
    starting = asyncio.create_task(runs.start(id=id, kind="search", target={}, context=Context(actor=SYSTEM)))
    await bus.asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert runs.lost == {id}
    bus.let.set()
    assert (await bus.recorded).stream == id
