"""Read models are built anew by processes of their own: to the same rows, and whatever becomes of the process."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest

from adapters.projection_runner import follower, runner
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import SQL, Batches
from api.builder import builder
from domain.prompt import Prompt
from tests.support.log import CONFIGURATIONS, ReadSide, read_side, running
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew

NAME = CONFIGURATIONS.name
PROMPTS = 30


@pytest.fixture
async def side(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReadSide]:
    """A log with some prompts, every rebuild of which is far enough for a process of its own."""
    monkeypatch.setattr(runner, "STEPS_HERE", 0)
    async with read_side(database) as made:
        await made.record(*[Prompt.create(name=f"p{number}", definition={"text": "a"}) for number in range(PROMPTS)])
        yield made


async def checksum(side: ReadSide) -> str | None:
    [status] = await ProjectionAdministration(side.pool, side.log, [CONFIGURATIONS]).status()
    return status.checksum


async def rebuilt(side: ReadSide) -> None:
    await build_anew(ProjectionAdministration(side.pool, side.log, [CONFIGURATIONS]), NAME)


async def test_another_process_builds_the_same_rows_and_what_came_meanwhile_is_in_them_too(side: ReadSide):
    late = Prompt.create(name="late", definition={"text": "a"})
    ended: list[tuple[str, bool]] = []

    async def elsewhere(name: str, fence: int) -> bool:
        came_to_the_end = await builder(side.dsn)(name, fence)
        ended.append((name, came_to_the_end))
        await side.record(late)
        return came_to_the_end

    async with running(side.runner(build_elsewhere=elsewhere)):
        await side.caught_up()
        await rebuilt(side)
        await side.caught_up()
        built = await checksum(side)
        assert ended == [(NAME, True)]
        assert await side.view.get(late.id) is not None
    async with running(side.runner()):
        await rebuilt(side)
        assert await checksum(side) == built


async def test_batches_before_another_process_builds_are_small_since_each_holds_up_whom_this_one_answers(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "STEPS_HERE", 3)
    for module in (follower, runner):
        monkeypatch.setattr(module, "LEAST", 5)
    taken: list[tuple[int]] = []

    async def elsewhere(name: str, fence: int) -> bool:
        async with side.pool.connection() as connection:
            taken.extend(await (await connection.execute(SQL["position"], {"projection": f"{name}__next"})).fetchall())
        return True

    async with running(side.runner(build_elsewhere=elsewhere)):
        await side.caught_up()
        await rebuilt(side)
        await side.caught_up()
    assert taken == [(15,)], "three batches of five, none of them doubled"


def told_by(process: psutil.Process) -> list[str]:
    """Return how a process was begun; nothing where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_where_the_process_is_killed_the_rest_is_built_here(side: ReadSide):
    killed: list[bool] = []

    async def elsewhere(name: str, fence: int) -> bool:
        building = asyncio.create_task(builder(side.dsn)(name, fence))
        while not (builds := [each for each in psutil.Process().children() if "api.build" in told_by(each)]):
            await asyncio.sleep(0)
        for each in builds:
            os.kill(each.pid, signal.SIGKILL)
        killed.append(await building)
        return killed[-1]

    async with running(side.runner(build_elsewhere=elsewhere)):
        await side.caught_up()
        before = await checksum(side)
        await rebuilt(side)
        assert (await checksum(side), killed) == (before, [False])


async def test_a_process_whose_owner_was_overtaken_writes_nothing(side: ReadSide):
    async with running(side.runner()):
        await side.caught_up()
    successor = Batches(side.pool, CONFIGURATIONS, schema=f"{NAME}__next", fence=9)
    await successor.make_anew()
    assert await builder(side.dsn)(NAME, 8)
    async with successor.transaction() as connection:
        cursor = await connection.execute("SELECT count(*) FROM things")
        assert await cursor.fetchone() == (0,)
        cursor = await connection.execute(SQL["position"], {"projection": f"{NAME}__next"})
        assert await cursor.fetchone() == (0,)
