"""Runs: what becomes of one that its caller leaves while it begins."""

import asyncio
from uuid import uuid4

import pytest

from commands.bus import Command
from commands.ports import SYSTEM, Context, Receipt
from commands.runs.runs import Runs
from domain.errors import Busy


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


async def test_a_run_left_while_its_beginning_is_recorded_is_carried_out_by_nobody_and_comes_on_record():
    bus = SlowBus()
    runs = Runs(bus=bus)  # type: ignore[arg-type]
    id = uuid4()
    starting = asyncio.create_task(runs.start(id=id, kind="search", target={}, context=Context(actor=SYSTEM)))
    await bus.asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    bus.let.set()
    assert (await bus.recorded).stream == id
    assert runs.going == set()


async def test_a_run_is_going_from_its_beginning_to_its_end_also_where_that_can_not_be_recorded():
    bus = SlowBus()
    bus.let.set()
    runs = Runs(bus=bus)  # type: ignore[arg-type]
    recording, _ = await runs.start(kind="search", target={}, context=Context(actor=SYSTEM))
    assert runs.going == {recording.id}

    async def busy(command: Command, context: Context) -> Receipt:
        raise Busy

    bus.dispatch = busy  # type: ignore[method-assign]
    with pytest.raises(Busy):
        await recording.finish("completed")
    assert runs.going == set()
