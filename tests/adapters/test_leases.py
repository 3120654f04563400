"""Leases: what a killed process left behind is ended by another one, in time, whatever is wrong with some of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters import jobs
from adapters.leases import EVERY, Leases
from commands.runs.runs import LEASE
from domain.errors import Unavailable
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

INTERRUPTED_WITHIN = 30
"""Seconds that are promised."""

Interrupt = Callable[[UUID, UUID], Awaitable[None]]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(
        database.app_dsn, min_size=1, max_size=4, open=False, kwargs={"autocommit": True}
    ) as opened:
        yield opened


async def lease(pool: AsyncConnectionPool, owner: UUID, seconds: float) -> UUID:
    """Make a lease on something that is its own stream."""
    id = uuid4()
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO magnet.leases (id, kind, stream, owner, until)"
            " VALUES (%(id)s, 'turn', %(id)s, %(owner)s, clock_timestamp() + %(for)s * interval '1 second')",
            {"id": id, "owner": owner, "for": seconds},
        )
    return id


async def left(pool: AsyncConnectionPool) -> dict[UUID, float]:
    """Return the leases there are, and for how many seconds."""
    query = "SELECT id, extract(epoch FROM until - clock_timestamp())::float8 FROM magnet.leases"
    async with pool.connection() as connection:
        return {id: seconds async for id, seconds in await connection.execute(query)}


@asynccontextmanager
async def looking(pool: AsyncConnectionPool, owner: UUID, interrupt: Interrupt, *going: UUID) -> AsyncIterator[Leases]:
    leases = Leases(pool, owner, {"turn": interrupt}, going=lambda: going, every=0.02)
    await leases.open()
    try:
        yield leases
    finally:
        await leases.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.01)


def test_a_lease_ends_and_is_looked_for_within_the_time_that_is_promised():
    assert LEASE + EVERY <= INTERRUPTED_WITHIN
    assert jobs.LEASE + jobs.LOOK_EVERY <= INTERRUPTED_WITHIN, "a killed worker's job goes on within it, too"
    assert 3 * EVERY <= LEASE, "a living process may miss a sign of life or two"


@pytest.mark.parametrize("error", [Unavailable(), psycopg.OperationalError("away"), KeyError("a defect")])
async def test_what_can_not_be_ended_keeps_nothing_else_from_it_and_is_tried_again(
    pool: AsyncConnectionPool, error: Exception
):
    wrong, fine = await lease(pool, uuid4(), -2), await lease(pool, uuid4(), -1)
    tried: list[UUID] = []

    async def interrupt(id: UUID, stream: UUID) -> None:
        tried.append(id)
        if id == wrong and tried.count(wrong) < 3:
            raise error

    async with looking(pool, uuid4(), interrupt):
        await until(lambda: _gone(pool))
    assert tried.index(fine) < len(tried) - 1 - tried[::-1].index(wrong)
    assert (tried.count(wrong), tried.count(fine)) == (3, 1)


async def test_a_process_shows_that_it_lives_however_long_it_takes_to_end_what_others_left(pool: AsyncConnectionPool):
    me, never = uuid4(), asyncio.Event()
    mine, theirs = await lease(pool, me, 1), await lease(pool, uuid4(), -1)
    begun = asyncio.Event()

    async def interrupt(id: UUID, stream: UUID) -> None:
        assert id == theirs
        begun.set()
        await never.wait()

    async def renewed() -> bool:
        return (await left(pool))[mine] > LEASE - 1

    async with looking(pool, me, interrupt, mine):
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
        async with pool.connection() as connection:
            await connection.execute("UPDATE magnet.leases SET until = clock_timestamp() + '1 s' WHERE id = %s", [mine])
        await until(renewed)


async def test_a_process_that_could_not_show_that_it_lives_does_not_end_what_it_is_still_at(pool: AsyncConnectionPool):
    me, ended = uuid4(), list[UUID]()
    mine = await lease(pool, me, -1)  # as after the database was away for longer than a lease
    theirs = await lease(pool, uuid4(), -1)

    async def interrupt(id: UUID, stream: UUID) -> None:
        ended.append(id)

    await Leases(pool, me, {"turn": interrupt}, going=lambda: [mine]).sweep()
    assert ended == [theirs]


async def test_other_processes_can_show_that_they_live_too_after_the_database_was_away(pool: AsyncConnectionPool):
    now, ended = [0.0], list[UUID]()

    async def interrupt(id: UUID, stream: UUID) -> None:
        ended.append(id)

    leases = Leases(pool, uuid4(), {"turn": interrupt}, going=set, clock=lambda: now[0])
    await leases.sweep()
    now[0] += LEASE  # in which nobody could renew anything
    theirs, left_by_dead = await lease(pool, uuid4(), -1), await lease(pool, uuid4(), -1)
    await leases.sweep()
    assert ended == []
    async with pool.connection() as connection:
        await connection.execute("UPDATE magnet.leases SET until = clock_timestamp() + '9 s' WHERE id = %s", [theirs])
    now[0] += EVERY
    await leases.sweep()
    assert ended == [left_by_dead]


async def test_a_process_ends_what_is_leased_to_it_though_it_does_not_carry_it_out(pool: AsyncConnectionPool):
    me, ended = uuid4(), list[UUID]()
    begun_unawares = await lease(pool, me, -1)

    async def interrupt(id: UUID, stream: UUID) -> None:
        ended.append(id)

    await Leases(pool, me, {"turn": interrupt}, going=set).sweep()
    assert ended == [begun_unawares]


async def _gone(pool: AsyncConnectionPool) -> bool:
    return not await left(pool)
