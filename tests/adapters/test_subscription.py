"""A subscriber sees every event once, in order, whatever happens around it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.event_store import tail
from adapters.event_store.appender import Appender
from adapters.event_store.log import LogFilter
from adapters.event_store.requests import APPEND, Request, parameters
from adapters.event_store.subscription import Subscription, Subscriptions
from domain.prompt import Prompt
from tests.support.log import ReadSide, read_side
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

WRITERS = 16
EACH = 25


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


def a_prompt() -> Prompt:
    return Prompt.create(name=uuid4().hex[:12] + "-p", definition={"text": "a"})


def request(side: ReadSide, prompt: Prompt) -> Request:
    return Request(events=[side.mapper.to_stored_event(event) for event in prompt.collect_events()])


async def taken(subscription: Subscription, count: int) -> list[int]:
    """Return the positions of the next events, at least so many."""
    positions: list[int] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in subscription:
            positions += [entry.position for entry in batch]
            if len(positions) >= count:
                break
    return positions


async def test_every_event_is_seen_once_and_in_order_under_sixteen_writers_of_which_some_are_slow(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    chance = random.Random(7)
    total = WRITERS * EACH

    async def write(connection: psycopg.AsyncConnection[object]) -> None:
        for _ in range(EACH):
            async with connection.transaction():
                await connection.execute(APPEND, parameters([request(side, a_prompt())]))
                if chance.random() < 0.02:
                    await connection.execute("SELECT pg_sleep(0.05)")  # holds the lock before it commits

    async with AsyncConnectionPool(side.dsn, min_size=WRITERS, max_size=WRITERS, open=False) as pool:

        async def writer() -> None:
            async with pool.connection() as connection:
                await write(connection)

        async with subscriptions.follow(0) as subscription:
            reading = asyncio.create_task(taken(subscription, total))
            await asyncio.gather(*(writer() for _ in range(WRITERS)))
            assert await reading == list(range(1, total + 1))


async def test_a_lost_notification_is_made_up_for(side: ReadSide, database: Database):
    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(0) as subscription:
        for number in range(1, 6):
            async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
                )
            await side.record(a_prompt())
            assert await taken(subscription, 1) == [number]


async def test_what_this_process_appends_wakes_without_the_database(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    await side.listener.close()
    appender = Appender(side.pool, on_append=subscriptions.wake)
    async with subscriptions.follow(0, limit=1) as subscription:
        reading = asyncio.create_task(taken(subscription, 1))
        await appender.append(request(side, a_prompt()))
        assert await reading == [1]
    await appender.close()


async def test_a_filter_drops_events_and_the_position_passes_over_them(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    first, second = a_prompt(), a_prompt()
    first.archive()
    await side.record(first, second, a_prompt())
    async with subscriptions.follow(0, LogFilter(types=["prompt.archived"])) as subscription:
        assert await taken(subscription, 1) == [2]
        assert subscription.position == 4
        second.archive()
        await side.record(second)
        assert await taken(subscription, 1) == [5]


async def test_what_is_rare_is_found_by_its_filter_and_nothing_else_is_read(side: ReadSide):
    asked = []
    read = side.log.read

    async def noted(after: int, limit: int, filter: LogFilter, heaviest: int) -> Any:
        asked.append(filter)
        return await read(after, limit, filter, heaviest)

    side.log.read = noted  # type: ignore[method-assign]
    archived, prompt = LogFilter(types=("prompt.archived",)), a_prompt()
    await side.record(prompt, a_prompt())
    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(0, archived, rare=True) as subscription:
        waiting = asyncio.create_task(taken(subscription, 1))
        prompt.archive()
        await side.record(prompt)
        assert await waiting == [3]
        assert subscription.position == 3
    assert set(asked) == {archived}


async def test_it_goes_on_after_a_position_in_batches_no_larger_than_asked_for(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    await side.record(*(a_prompt() for _ in range(10)))
    async with subscriptions.follow(3, limit=3) as subscription:
        sizes = [len(batch) for batch in [await anext(subscription) for _ in range(3)]]
    assert sizes == [3, 3, 1]


async def test_a_closed_subscription_ends_also_while_it_waits(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    subscription = subscriptions.follow(0)
    reading = asyncio.create_task(taken(subscription, 1))
    await side.log.head()
    subscription.close()
    assert await reading == []


async def test_a_database_that_is_away_is_waited_for(side: ReadSide, database: Database):
    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(0) as subscription:
        reading = asyncio.create_task(taken(subscription, 20))
        for _ in range(20):
            async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await side.record(a_prompt())
        assert await reading == list(range(1, 21))


async def test_a_hundred_followers_cost_the_database_one_reading_of_what_is_new(side: ReadSide):
    reads = 0
    read = side.log.read

    async def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*arguments)

    side.log.read = counted  # type: ignore[method-assign]
    await side.record(a_prompt())
    subscriptions = Subscriptions(side.log, side.listener)
    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(subscriptions.follow(0)) for _ in range(100)]
        assert await asyncio.gather(*(taken(each, 1) for each in followers)) == [[1]] * 100
        waiting = [asyncio.create_task(taken(each, 10)) for each in followers]
        reads = 0
        for _ in range(10):
            await side.record(a_prompt())
        assert await asyncio.gather(*waiting) == [list(range(2, 12))] * 100
    assert reads <= 20


async def test_a_reading_that_found_all_there_was_is_followed_by_none(side: ReadSide):
    asked = []
    read = side.log.read

    async def counted(*arguments: Any) -> Any:
        asked.append(arguments[0])
        return await read(*arguments)

    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(0) as following:
        await side.record(a_prompt())
        assert await taken(following, 1) == [1]
        side.log.read = counted  # type: ignore[method-assign]
        waiting = asyncio.create_task(taken(following, 2))
        for _ in range(2):
            await side.record(a_prompt())
        assert await waiting == [2, 3]
    assert set(asked) <= {1, 2}, "nothing is looked for after the newest"


async def test_who_has_patience_gets_together_what_comes_soon(side: ReadSide, monkeypatch: pytest.MonkeyPatch):
    waits, over, asked = asyncio.Event(), asyncio.Event(), []

    async def pause(seconds: float) -> None:
        asked.append(seconds)
        await over.wait()

    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(0, patience=0.3) as following:
        wait = following._wait

        async def waiting_is_told(seconds: float) -> None:
            waits.set()
            await wait(seconds)

        await side.record(a_prompt())
        assert await taken(following, 1) == [1]
        following._wait = waiting_is_told  # type: ignore[method-assign]
        monkeypatch.setattr("adapters.event_store.subscription.sleep", pause)
        waiting = asyncio.create_task(anext(following))
        await waits.wait()
        for _ in range(3):
            await side.record(a_prompt())
        over.set()
        assert [entry.position for entry in await waiting] == [2, 3, 4]
    assert asked == [0.3]


async def test_whoever_falls_behind_the_newest_events_goes_on_from_the_log(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tail, "MOST", 5)
    subscriptions = Subscriptions(side.log, side.listener)
    slow, quick = subscriptions.follow(0, limit=3), subscriptions.follow(0)
    seen: list[int] = []
    for number in range(1, 41):
        await side.record(a_prompt())
        assert await taken(quick, 1) == [number]
        if number % 7 == 0:
            seen += [entry.position for entry in await anext(slow)]
    seen += await taken(slow, 40 - len(seen))
    assert seen == list(range(1, 41))
    slow.close()
    quick.close()


async def test_a_batch_ends_with_the_event_that_makes_it_heavy_before_and_after_the_newest_events(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    heavy = [Prompt.create(name=f"p{number}", definition={"text": "x" * 1000}) for number in range(10)]
    async with subscriptions.follow(0, heaviest=3000) as subscription:
        await side.record(*heavy)
        sizes = [len(await anext(subscription)) for _ in range(4)]
        assert subscription.position == 10
        await side.record(*(Prompt.create(name=f"q{n}", definition={"text": "x" * 1000}) for n in range(10)))
        sizes += [len(await anext(subscription)) for _ in range(4)]
    assert sizes == [3, 3, 3, 1] * 2


async def test_a_follower_from_beyond_the_log_disturbs_nobody_and_waits_for_its_position(side: ReadSide):
    subscriptions = Subscriptions(side.log, side.listener)
    async with subscriptions.follow(2) as beyond, subscriptions.follow(0) as other:
        waiting = asyncio.create_task(taken(beyond, 1))
        for number in range(1, 4):
            await side.record(a_prompt())
            assert await taken(other, 1) == [number]
        assert await waiting == [3]
