"""Owning: one session of a process owns all its names, and what it lets go is free for others."""

import asyncio

import psycopg

from adapters.projection_runner.batch import Fenced
from adapters.projection_runner.ownership import Ownership, Session
from tests.support.knowledge import PASSAGES
from tests.support.log import CONFIGURATIONS, read_side, running
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

HELD = """SELECT count(DISTINCT pid), count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7331
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


async def test_all_read_models_of_a_process_are_owned_by_one_session(database: Database):
    async with read_side(database) as side, running(side.runner([CONFIGURATIONS, PASSAGES])):
        for model in (CONFIGURATIONS, PASSAGES):
            async with asyncio.timeout(PATIENCE):
                while model.name not in side.positions.followed:
                    await asyncio.sleep(0.01)
        async with await psycopg.AsyncConnection.connect(database.owner_dsn) as owner:
            assert await (await owner.execute(HELD)).fetchone() == (1, 2)


async def test_what_fails_is_left_to_another_process_and_what_goes_well_is_kept(database: Database):
    kept: list[Session] = []
    failed, taken = asyncio.Event(), asyncio.Event()

    async def goes_well(session: Session) -> None:
        kept.append(session)
        await asyncio.Event().wait()

    async def fails(_: Session) -> None:
        failed.set()
        raise Fenced

    async def takes(_: Session) -> None:
        taken.set()
        await asyncio.Event().wait()

    async with Ownership(database.app_dsn) as one, Ownership(database.app_dsn) as other, asyncio.timeout(PATIENCE):
        tasks = [asyncio.create_task(one.keep("first", goes_well)), asyncio.create_task(one.keep("second", fails))]
        await failed.wait()
        tasks.append(asyncio.create_task(other.keep("second", takes)))
        await taken.wait()
        assert len(kept) == 1 and not kept[0].closed
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
