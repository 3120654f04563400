"""Worker processes that die in the middle, and processes that only read."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from psycopg.conninfo import make_conninfo

from adapters.failpoints import VARIABLE
from adapters.projection_runner.administration import ProjectionAdministration
from domain.errors import Unavailable
from domain.model import Model
from domain.prompt import Prompt
from domain.provider import Provider
from tests.support.log import CONFIGURATIONS, ReadSide, read_side, running
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew

NAME = "configurations_v1"
THINGS = 40
EVENTS = THINGS * 60


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


def a_prompt(name: str) -> Prompt:
    return Prompt.create(name=name, definition={"text": "a"})


async def many_events(side: ReadSide) -> list[Prompt]:
    prompts = [a_prompt(f"p{number}") for number in range(THINGS)]
    for number in range(EVENTS // THINGS - 1):
        for prompt in prompts:
            prompt.change(prompt.definition | {"text": f"text {number}"})
    assert await side.record(*prompts) == EVENTS
    return prompts


@asynccontextmanager
async def worker(side: ReadSide, failpoints: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker process; it is gone when the block is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.worker",
        side.dsn,
        env={**os.environ, VARIABLE: failpoints},
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def reached(side: ReadSide, position: int) -> None:
    """Wait until the read model has passed a position, whichever process keeps it."""
    side.listener.on("magnet_read", side.positions.heard)
    async with asyncio.timeout(PATIENCE):
        while not await side.positions.wait(NAME, position, 0.2):
            side.positions.moved(NAME, await administration(side).position(NAME))


def administration(side: ReadSide) -> ProjectionAdministration:
    return ProjectionAdministration(side.pool, side.log, [CONFIGURATIONS])


async def checksum(side: ReadSide) -> str | None:
    return (await administration(side).status())[0].checksum


async def rebuilt(side: ReadSide) -> None:
    await build_anew(administration(side), NAME)


async def test_a_reader_before_the_first_build_is_told_to_come_back(side: ReadSide):
    async with side.pool.connection() as connection:
        await connection.execute("DROP SCHEMA configurations_v1 CASCADE")
    with pytest.raises(Unavailable):
        await side.view.get(UUID(int=1))


@pytest.mark.parametrize("place", ["project.before_commit", "project.after_commit"])
async def test_a_worker_that_dies_at_a_commit_is_followed_by_one_that_goes_on_exactly_there(side: ReadSide, place: str):
    prompts = await many_events(side)
    async with worker(side, f"{place}=exit@3") as dying, asyncio.timeout(PATIENCE):
        assert await dying.wait() == 137
    assert 0 < await administration(side).position(NAME) < EVENTS
    async with running(side.runner()):
        await side.caught_up()
        for prompt in prompts:
            row = await side.view.get(prompt.id)
            assert row is not None and row.version == prompt.version
        before = await checksum(side)
        await rebuilt(side)
        assert await checksum(side) == before


async def test_a_killed_worker_is_followed_by_another_process(side: ReadSide):
    async with worker(side) as first:
        await reached(side, await side.record(a_prompt("first")))
        async with worker(side):
            first.kill()
            await reached(side, await side.record(a_prompt("second")))
    assert await side.view.get(a_prompt("second").id) is not None


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
async def test_a_worker_that_dies_at_the_switch_has_switched_all_or_nothing(side: ReadSide, moment: str):
    prompts = [a_prompt(f"p{number}") for number in range(3)]
    head = await side.record(*prompts)
    async with running(side.runner()):
        await side.caught_up()
        before = await checksum(side)
    await administration(side).rebuild(NAME)
    async with worker(side, f"switch.{moment}=exit") as dying, asyncio.timeout(PATIENCE):
        assert await dying.wait() == 137
    [status] = await administration(side).status()
    assert (status.position, status.checksum) == (head, before)
    assert status.rebuilt == (head if moment == "before_commit" else None)
    async with running(side.runner()):
        while (await administration(side).status(checksums=False))[0].state != "live":
            await asyncio.sleep(0.01)
        await side.record(late := a_prompt("late"))
        await side.caught_up()
        for prompt in [*prompts, late]:
            row = await side.view.get(prompt.id)
            assert row is not None and row.version == prompt.version
        [status] = await administration(side).status()
        assert (status.position, status.rebuilt, status.quarantined) == (head + 1, None, 0)


async def test_a_rebuild_that_dies_leaves_the_old_rows_and_is_made_good(side: ReadSide):
    prompts = await many_events(side)
    async with running(side.runner()):
        await side.caught_up()
        before = await checksum(side)
    await administration(side).rebuild(NAME)
    async with worker(side, "project.after_commit=exit@2") as dying, asyncio.timeout(PATIENCE):
        assert await dying.wait() == 137
    [status] = await administration(side).status(checksums=False)
    assert status.rebuilt is not None and 0 < status.rebuilt < EVENTS, "how far it is can be seen"
    row = await side.view.get(prompts[0].id)
    assert row is not None and row.version == prompts[0].version
    async with running(side.runner()):
        while (await administration(side).status(checksums=False))[0].state != "live":
            await asyncio.sleep(0.01)
        assert await checksum(side) == before
        assert (await administration(side).status(checksums=False))[0].rebuilt is None


async def test_a_process_that_only_reads_hears_how_far_the_read_model_is(side: ReadSide, database: Database):
    async with read_side(database) as reader, running(side.runner()):
        position = await side.record(a_prompt("p"))
        await reached(reader, position)
        assert await reader.view.get(a_prompt("p").id) is not None


async def test_who_waits_at_another_process_waits_for_no_further_events(
    side: ReadSide, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adapters.projection_runner.runner.ROUND", 3600.0)
    monkeypatch.setattr("adapters.projection_runner.runner.WANTED", 3600.0)
    async with read_side(database) as reader, running(side.runner()):
        position = await side.record(a_prompt("p"))
        assert not reader.positions.followed
        await administration(reader).want()
        await reached(reader, position)
        assert side.positions.followed == {NAME}
    assert not side.positions.followed


async def test_a_position_that_is_not_reached_in_time_is_told(side: ReadSide):
    assert not await side.positions.wait(NAME, 1, 0.01)


async def test_times_are_utc_whatever_the_time_zone_of_the_database(database: Database):
    dsn = make_conninfo(database.app_dsn, options="-c timezone=Asia/Tokyo")
    async with read_side(replace(database, app_dsn=dsn)) as side, running(side.runner()):
        before = datetime.now(UTC)
        await side.record(a_prompt("p"))
        await side.caught_up()
        row = await side.view.get(a_prompt("p").id)
        assert row is not None
        updated = datetime.fromisoformat(orjson.loads(row.document)["updated_at"])
        assert before <= updated <= datetime.now(UTC)


async def test_a_rebuild_in_another_time_zone_gives_the_same_checksum(database: Database):
    sums = []
    for zone in ("UTC", "Asia/Tokyo"):
        dsn = make_conninfo(database.app_dsn, options=f"-c timezone={zone}")
        async with read_side(replace(database, app_dsn=dsn)) as side, running(side.runner()):
            if zone == "UTC":
                await side.record(a_prompt("p"))
            await side.caught_up()
            await rebuilt(side)
            sums.append(await checksum(side))
    assert sums[0] == sums[1]


async def test_the_name_of_what_is_referred_to_is_shown_also_while_that_is_set_aside(side: ReadSide):
    async with running(side.runner()):
        await side.record(a_prompt("p"))
        await side.caught_up()
    provider = Provider.create(name="oa", definition={"type": "openai", "base_url": "https://a.example.com"})
    model = Model.create(name="m", definition={"provider": str(provider.id), "model": "gpt", "kind": "chat"})
    position = await side.record(provider)
    async with side.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO magnet_read.quarantine (projection, stream, first_position, error) VALUES (%s, %s, %s, 'x')",
            [NAME, provider.id, position],
        )
    async with running(side.runner()):
        await side.record(model)
        await side.caught_up()
        assert await side.view.get(provider.id) is None
        row = await side.view.get(model.id)
        assert row is not None
        assert orjson.loads(row.document)["provider"] == {"id": str(provider.id), "name": "oa"}
