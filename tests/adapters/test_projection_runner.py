"""The runner: one owner, exactly once, nothing skipped, and nothing that stops the rest."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import pytest

from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.asking import Asked
from adapters.projection_runner.batch import SQL, Batches, Fenced, ReadModel
from adapters.projection_runner.runner import Positions
from commands.ports import IdempotencyKey
from domain.errors import Busy, Invalid, NotFound
from domain.prompt import Prompt
from projections.configurations import ConfigurationsProjection
from projections.recorded import Recorded
from tests.support.dying import killed_at
from tests.support.log import CONFIGURATIONS, ReadSide, read_side, running
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew

NAME = "configurations_v1"


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


def a_prompt(name: str) -> Prompt:
    return Prompt.create(name=name, definition={"text": name})


async def changes(side: ReadSide, things: int, each: int) -> None:
    """Record prompts with several events each, in an order that mixes the streams."""
    prompts = [a_prompt(f"p{number}") for number in range(things)]
    for number in range(each):
        for prompt in prompts:
            prompt.change(prompt.definition | {"text": f"text {number}", "temperature": number / 10})
        await side.record(*prompts)


def administration(side: ReadSide, model: ReadModel = CONFIGURATIONS) -> ProjectionAdministration:
    return ProjectionAdministration(side.pool, side.log, [model])


async def checksum(side: ReadSide) -> str:
    [status] = await administration(side).status()
    assert status.checksum is not None
    return status.checksum


async def rebuilt(side: ReadSide) -> None:
    """Ask for a rebuild and wait until it is done."""
    await build_anew(administration(side), NAME)


async def test_no_checksum_is_counted_while_a_read_model_is_rebuilt(side: ReadSide):
    await changes(side, 2, 1)
    async with running(side.runner()):
        await side.caught_up()
    assert await checksum(side)
    await administration(side).rebuild(NAME)
    async with await psycopg.AsyncConnection.connect(side.dsn, autocommit=True) as owner:
        await owner.execute(SQL["try_own"], {"projection": NAME})
        [status] = await administration(side).status()
    assert (status.state, status.checksum) == ("rebuilding", None)


async def test_a_rebuilt_read_model_equals_the_live_one(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 20, 5)
        await side.caught_up()
        before = await checksum(side)
        await rebuilt(side)
        assert await checksum(side) == before


async def test_a_rebuild_while_others_write_loses_nothing(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 20, 5)
        await side.caught_up()
        writing = asyncio.create_task(_write_many(side))
        await rebuilt(side)
        await writing
        await side.caught_up()
        one = await checksum(side)
        await rebuilt(side)
        await side.caught_up()
        assert await checksum(side) == one


async def _write_many(side: ReadSide) -> None:
    for number in range(50):
        await side.record(a_prompt(f"more{number}"))


async def test_readers_see_the_old_rows_until_the_new_ones_are_complete(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 5, 2)
        await side.caught_up()
        rebuilding = asyncio.create_task(rebuilt(side))
        while not rebuilding.done():
            assert await side.view.get(a_prompt("p0").id) is not None
        await rebuilding


async def test_two_runners_at_once_apply_each_event_once(side: ReadSide):
    other = Positions()
    async with running(side.runner()), running(side.runner(positions=other)):
        await changes(side, 10, 5)
        head = await side.log.head()
        await asyncio.wait(
            [
                asyncio.create_task(side.positions.wait(NAME, head, PATIENCE)),
                asyncio.create_task(other.wait(NAME, head, PATIENCE)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        row = await side.view.get(a_prompt("p3").id)
        assert row is not None and row.version == 11
        before = await checksum(side)
        await rebuilt(side)
        assert await checksum(side) == before


async def test_an_owner_that_was_overtaken_can_not_write_any_more(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 1, 1)
        await side.caught_up()
    position = await administration(side).position(NAME)
    old = Batches(side.pool, CONFIGURATIONS, schema=NAME, fence=0)
    with pytest.raises(Fenced):
        await old.apply([], expected=position, position=position + 1)
    with pytest.raises(Fenced):
        await old.refuse_back(UUID(int=1), "ValueError", at=1, expected=position)
    assert await administration(side).position(NAME) == position
    assert await administration(side).dead_letters() == []


async def test_another_runner_takes_over_when_the_owners_session_is_lost(side: ReadSide, database: Database):
    async with running(side.runner()), running(side.runner()):
        await changes(side, 2, 1)
        await side.caught_up()
        async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7331"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        await changes_of(side, "later")
        await side.caught_up()
        assert await side.view.get(a_prompt("later").id) is not None


async def changes_of(side: ReadSide, name: str) -> None:
    await side.record(a_prompt(name))


async def test_a_read_model_that_a_crash_of_postgres_threw_back_is_not_taken_to_be_where_it_was(side: ReadSide):
    await changes(side, 1, 1)
    side.positions.moved(NAME, 10**6)  # known before the crash: commits of read models need not reach the disk
    async with running(side.runner()), asyncio.timeout(PATIENCE):
        while NAME not in side.positions.followed:
            await asyncio.sleep(0)
        assert not side.positions.passed(NAME, 10**6)
        await side.caught_up()
        assert side.positions.known(NAME) == await side.log.head()


async def test_how_far_others_bring_a_read_model_is_not_taken_for_known_where_postgres_may_have_crashed(
    side: ReadSide, database: Database
):
    positions = Positions()
    side.runner(positions=positions)  # hears, and owns nothing
    positions.followed.add("own_v1")
    for name in (NAME, "own_v1"):
        positions.moved(name, 10**6)
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    async with asyncio.timeout(PATIENCE):
        while positions.passed(NAME, 1):
            await asyncio.sleep(0.01)
    assert positions.passed("own_v1", 10**6)


async def test_a_notification_that_never_came_is_made_up_for(side: ReadSide, database: Database):
    async with running(side.runner()):
        await changes_of(side, "first")
        await side.caught_up()
        async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
            await changes_of(side, "second")
        await side.caught_up()
        assert await side.view.get(a_prompt("second").id) is not None


class Choking(ConfigurationsProjection):
    """Chokes on one text, until it is told to swallow it."""

    name: ClassVar[str] = NAME
    choke = True
    applied: ClassVar[list[tuple[UUID, int]]] = []

    async def apply(self, events: Sequence[Recorded], view: Any) -> None:
        for entry in events:
            if self.choke and getattr(entry.event, "text", None) == "poison":
                raise ValueError("canary: what a person wrote")
        await super().apply(events, view)


async def test_a_poison_event_sets_only_its_stream_aside_and_a_requeue_takes_it_back_in_order(side: ReadSide):
    projection = Choking()
    model = ReadModel(projection=projection, writer=CONFIGURATIONS.writer)
    sick, well = a_prompt("sick"), a_prompt("well")
    async with running(side.runner([model])):
        await side.record(sick, well)
        sick.change(sick.definition | {"text": "poison"})
        await side.record(sick)
        sick.change(sick.definition | {"text": "after"})
        well.change(well.definition | {"text": "after"})
        await side.record(sick, well)
        await side.caught_up()
        [letter] = await administration(side, model).dead_letters()
        assert (letter.stream, letter.position, letter.error) == (sick.id, 3, "ValueError")
        row = await side.view.get(well.id)
        assert row is not None and row.version == 2
        row = await side.view.get(sick.id)
        assert row is not None and row.version == 1
        assert (await administration(side, model).status())[0].state == "quarantined"

        await administration(side, model).requeue(letter.id)
        while (await administration(side, model).dead_letters())[0].attempts != 2:
            await asyncio.sleep(0.01)  # it still chokes: tried again, and set aside again

        projection.choke = False
        await administration(side, model).requeue(letter.id)
        while await administration(side, model).dead_letters():
            await asyncio.sleep(0.01)
        row = await side.view.get(sick.id)
        assert row is not None and row.version == 3
        before = await checksum(side)
        await rebuilt(side)
        assert await checksum(side) == before


async def test_what_does_not_exist_can_not_be_rebuilt_or_requeued(side: ReadSide):
    with pytest.raises(NotFound):
        await administration(side).rebuild("nothing_v1")
    with pytest.raises(NotFound):
        await administration(side).requeue(UUID(int=0))


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
async def test_what_dies_as_it_leaves_a_request_has_left_all_of_it_or_nothing(side: ReadSide, moment: str):
    await changes(side, 2, 1)
    async with running(side.runner()):
        await side.caught_up()
        before = await checksum(side)
    key = IdempotencyKey(key="k", scope=b"s", body=b"b")
    with killed_at(f"leave.{moment}"):
        await administration(side).rebuild(NAME, key)
    async with side.pool.connection() as connection:
        cursor = await connection.execute("SELECT rebuild_requested FROM magnet_read.tracking")
        assert await cursor.fetchall() == [(moment == "after_commit",)]
    asked = await administration(side).rebuild(NAME, key)
    assert asked.repeated == (moment == "after_commit")
    async with running(side.runner()):
        while (await administration(side).status(checksums=False))[0].state != "live":
            await asyncio.sleep(0.01)
        assert await checksum(side) == before
    assert await administration(side).rebuild(NAME, key) == Asked(position=asked.position, repeated=True)


async def test_a_rebuild_holds_up_nobody_who_waits_for_the_live_read_model(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
):
    sifted, goes_on = asyncio.Event(), asyncio.Event()
    sift = side.log.sift

    async def held(*arguments: Any) -> Any:
        sifted.set()
        await goes_on.wait()
        return await sift(*arguments)

    monkeypatch.setattr(side.log, "sift", held)
    async with running(side.runner()):
        await side.record(Prompt.create(name="before", definition={"text": "a"}))
        await side.caught_up()
        rebuilding = asyncio.create_task(rebuilt(side))
        await sifted.wait()
        position = await side.record(Prompt.create(name="meanwhile", definition={"text": "a"}))
        assert await side.positions.wait(NAME, position, PATIENCE)
        assert not rebuilding.done()
        goes_on.set()
        await rebuilding


async def test_an_owner_that_was_overtaken_can_not_empty_what_its_successor_builds(side: ReadSide):
    old, new = (Batches(side.pool, CONFIGURATIONS, schema=f"{NAME}__next", fence=fence) for fence in (1, 2))
    await old.make_anew()
    await new.make_anew()
    await new.apply([], expected=0, position=7)
    with pytest.raises(Fenced):
        await old.make_anew()
    assert await administration(side).position(f"{NAME}__next") == 7


async def test_what_another_owner_made_anew_does_not_go_live(side: ReadSide):
    emptied = asyncio.Event()

    async def empty(pool: Any, schema: str, before: Any) -> dict[str, int]:
        """Do what another owner does, as soon as everything is built."""
        if schema == f"{NAME}__next" and not emptied.is_set():
            emptied.set()
            async with pool.connection() as connection:
                [fence] = await (
                    await connection.execute("SELECT fence FROM magnet_read.tracking WHERE projection = %s", [NAME])
                ).fetchone()
            await Batches(pool, CONFIGURATIONS, schema=schema, fence=fence + 1).make_anew()
        return {}

    model = ReadModel(projection=CONFIGURATIONS.projection, writer=CONFIGURATIONS.writer, upkeep=empty)
    async with running(side.runner([model])):
        await changes(side, 5, 2)
        await side.caught_up()
        before = await checksum(side)
        await rebuilt(side)
        assert emptied.is_set()
        assert await checksum(side) == before


async def test_a_rebuild_that_fails_is_tried_again_and_the_live_one_goes_on(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adapters.projection_runner.runner.BUILD_AGAIN", 0.01)
    sift, failures = side.log.sift, iter([Busy(), Invalid(), RuntimeError()])

    async def failing(*arguments: Any) -> Any:
        if error := next(failures, None):
            raise error
        return await sift(*arguments)

    monkeypatch.setattr(side.log, "sift", failing)
    async with running(side.runner()):
        await changes(side, 5, 2)
        await side.caught_up()
        await rebuilt(side)
        assert next(failures, None) is None
        await changes_of(side, "later")
        await side.caught_up()


async def test_an_unexpected_error_does_not_end_a_projection(side: ReadSide, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.projection_runner.ownership.LONGEST_PAUSE", 0.01)
    follow, failures = side.log.follow, iter([Busy(), Invalid(), RuntimeError()])

    async def failing(*arguments: Any) -> Any:
        if error := next(failures, None):
            raise error
        return await follow(*arguments)

    monkeypatch.setattr(side.log, "follow", failing)
    async with running(side.runner()):
        await changes_of(side, "one")
        await side.caught_up()
        assert next(failures, None) is None
