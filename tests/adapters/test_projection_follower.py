"""What a follower does with events that a projection can't take, and with a database that is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import pytest

from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import SQL, Fenced, ReadModel
from adapters.projection_runner.follower import LEAST, Follower
from domain.checkpoint import Checkpoint
from domain.prompt import Prompt
from projections.configurations import ConfigurationsProjection
from projections.recorded import Recorded
from tests.support.dying import killed_at
from tests.support.log import CONFIGURATIONS, ReadSide, read_side, running
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew

EVENTS = 240


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


class Disturbed(ConfigurationsProjection):
    """Raises what it is told to, and counts how often it is called."""

    def __init__(self, disturb: Callable[[Recorded], Exception | None]) -> None:
        self.disturb = disturb
        self.calls = 0

    async def apply(self, events: Sequence[Recorded], view: Any) -> None:
        self.calls += 1
        for entry in events:
            error = self.disturb(entry)
            if error is not None:
                raise error
        await super().apply(events, view)


def model_of(projection: Disturbed) -> ReadModel:
    return ReadModel(projection=projection, writer=CONFIGURATIONS.writer)


async def prompts(side: ReadSide, count: int) -> list[Prompt]:
    made = [Prompt.create(name=f"p{number}", definition={"text": "a"}) for number in range(count)]
    assert await side.record(*made) == count
    return made


def of_no_concern(number: int = 1) -> Checkpoint:
    """Something that the read model of configurations does not take."""
    return Checkpoint.create(size=number, root="", note="")


async def letters(side: ReadSide, model: ReadModel) -> list[tuple[int, str]]:
    found = await ProjectionAdministration(side.pool, side.log, [model]).dead_letters()
    return [(letter.position, letter.error) for letter in found]


async def test_a_poison_event_in_a_large_batch_is_found_by_halving(side: ReadSide):
    poison = Disturbed(lambda entry: ValueError() if entry.position == 100 else None)
    made = await prompts(side, EVENTS)
    async with running(side.runner([model_of(poison)])):
        await side.caught_up()
    assert await letters(side, model_of(poison)) == [(100, "ValueError")]
    assert poison.calls < 30
    for position, prompt in enumerate(made, 1):
        assert (await side.view.get(prompt.id) is None) == (position == 100)


async def test_a_limit_of_postgres_sets_a_stream_aside_instead_of_stopping_all(side: ReadSide):
    limit = Disturbed(lambda entry: psycopg.errors.ProgramLimitExceeded() if entry.position == 2 else None)
    await prompts(side, 3)
    async with running(side.runner([model_of(limit)])):
        await side.caught_up()
    assert await letters(side, model_of(limit)) == [(2, "ProgramLimitExceeded")]


async def test_a_database_that_is_away_sets_nothing_aside(side: ReadSide):
    failures = iter([psycopg.OperationalError(), psycopg.errors.AdminShutdown(), psycopg.errors.DiskFull()])
    away = Disturbed(lambda entry: next(failures, None))
    made = await prompts(side, 3)
    async with running(side.runner([model_of(away)])):
        await side.caught_up()
    assert await letters(side, model_of(away)) == []
    for prompt in made:
        assert await side.view.get(prompt.id) is not None


async def test_an_event_that_can_be_taken_the_second_time_is_not_set_aside(side: ReadSide):
    failures = iter([ValueError(), ValueError()])
    shaky = Disturbed(lambda entry: next(failures, None))
    [prompt] = await prompts(side, 1)
    async with running(side.runner([model_of(shaky)])):
        await side.caught_up()
    assert await letters(side, model_of(shaky)) == []
    assert await side.view.get(prompt.id) is not None


async def owner(side: ReadSide, model: ReadModel = CONFIGURATIONS) -> Follower:
    """The follower of a process that has just taken the read model over."""
    async with side.pool.connection() as connection:
        await connection.execute(SQL["register"], {"projection": CONFIGURATIONS.name})
        cursor = await connection.execute(SQL["take_over"], {"projection": CONFIGURATIONS.name})
        position, fence = await cursor.fetchone() or (0, 0)
    follower = Follower(side.log, side.pool, model, schema=model.name, fence=fence, position=position)
    await follower.batches.make_schema()
    return follower


async def written(side: ReadSide) -> int:
    return await ProjectionAdministration(side.pool, side.log, [CONFIGURATIONS]).position(CONFIGURATIONS.name)


async def test_events_that_change_no_row_are_passed_over_without_writing_so_each_time(side: ReadSide):
    await prompts(side, 2)
    follower = await owner(side)
    await follower.step()
    head = await side.record(of_no_concern(1), of_no_concern(2))
    await follower.step()
    assert (follower.position, await written(side), follower.unwritten) == (head, 2, True)
    head = await side.record(of_no_concern(3), Prompt.create(name="late", definition={"text": "a"}))
    await follower.step()
    assert (follower.position, await written(side), follower.unwritten) == (head, head, False)
    head = await side.record(of_no_concern(4))
    await follower.step()
    await follower.settle()
    assert (follower.position, await written(side), follower.unwritten) == (head, head, False)


async def test_who_was_overtaken_while_it_passed_over_events_writes_nothing_more(side: ReadSide):
    await prompts(side, 2)
    follower = await owner(side)
    await follower.step()
    await side.record(of_no_concern())
    await follower.step()
    successor = await owner(side)
    with pytest.raises(Fenced):
        await follower.settle()
    await side.record(Prompt.create(name="late", definition={"text": "a"}))
    with pytest.raises(Fenced):
        await follower.step()
    await successor.step()
    assert successor.position == await written(side) == await side.log.head()


@pytest.mark.parametrize("rest", [0, 3])
async def test_what_came_while_a_section_was_read_ahead_is_looked_for_at_once(side: ReadSide, rest: int):
    await prompts(side, LEAST + rest)
    follower = await owner(side)
    assert await follower.step()
    assert follower.position == LEAST
    head = await side.record(Prompt.create(name="late", definition={"text": "a"}))
    while await follower.step():
        pass
    assert follower.position == head


AT_EACH_COMMIT = pytest.mark.parametrize("moment", ["before_commit", "after_commit"])


async def assert_holds(side: ReadSide, made: Sequence[Prompt], model: ReadModel = CONFIGURATIONS) -> None:
    """Let another owner go on, and see that the rows are those of the log, none lost and none doubled."""
    administration = ProjectionAdministration(side.pool, side.log, [model])
    async with running(side.runner([model])):
        await side.caught_up()
        while any(letter.requeue_requested for letter in await administration.dead_letters()):
            await asyncio.sleep(0.01)
        for prompt in made:
            row = await side.view.get(prompt.id)
            assert row is not None and row.version == prompt.version
        [before] = await administration.status()
        await build_anew(administration, model.name)
        [after] = await administration.status()
        assert (before.checksum, before.position) == (after.checksum, after.position)


@AT_EACH_COMMIT
async def test_an_owner_that_dies_as_it_notes_what_it_passed_over_is_followed_by_one_that_goes_on_there(
    side: ReadSide, moment: str
):
    made = await prompts(side, 2)
    follower = await owner(side)
    await follower.step()
    await side.record(of_no_concern())
    await follower.step()
    with killed_at(f"pass_over.{moment}"):
        await follower.settle()
    assert await written(side) == (2 if moment == "before_commit" else 3)
    late = Prompt.create(name="late", definition={"text": "a"})
    await side.record(late)
    await assert_holds(side, [*made, late])


@AT_EACH_COMMIT
async def test_an_owner_that_dies_as_it_sets_a_stream_aside_leaves_it_for_once(side: ReadSide, moment: str):
    model = model_of(Disturbed(lambda entry: ValueError() if entry.position == 2 else None))
    first, _, third = await prompts(side, 3)
    follower = await owner(side, model)
    with killed_at(f"park.{moment}"):
        await follower.step()
    set_aside = [] if moment == "before_commit" else [(2, "ValueError")]
    assert (await letters(side, model), await written(side)) == (set_aside, 1 + len(set_aside))
    await assert_holds(side, [first, third], model)
    [letter] = await ProjectionAdministration(side.pool, side.log, [model]).dead_letters()
    assert (letter.position, letter.attempts) == (2, 1)


@AT_EACH_COMMIT
async def test_an_owner_that_dies_as_it_takes_a_stream_back_leaves_it_whole(side: ReadSide, moment: str):
    poison = Disturbed(lambda entry: ValueError() if entry.position == 2 else None)
    model = model_of(poison)
    made = await prompts(side, 3)
    follower = await owner(side, model)
    await follower.step()
    made[1].change(made[1].definition | {"text": "b"})
    await side.record(made[1])
    await follower.step()
    administration = ProjectionAdministration(side.pool, side.log, [model])
    [letter] = await administration.dead_letters()
    poison.disturb = lambda entry: None
    await administration.requeue(letter.id)
    with killed_at(f"take_back.{moment}"):
        await follower.refresh()
    row = await side.view.get(made[1].id)
    assert (row is None) == (moment == "before_commit")
    await assert_holds(side, made, model)
    assert await letters(side, model) == []
