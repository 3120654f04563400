"""Dry runs: what a changed projection would make of the log, compared with what is there, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from adapters.postgres.configurations import PostgresConfigurationsWriter
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.trial import Trial, TrialFailed, try_out
from domain.errors import NotFound
from projections.configurations import ConfigurationsProjection, ThingRow
from tests.adapters.test_projection_runner import a_prompt, changes, checksum
from tests.support.log import CONFIGURATIONS, ReadSide, read_side, running
from tests.support.postgres import Database


class Louder(PostgresConfigurationsWriter):
    """A changed view: titles in capitals, and prompts called p3 are left out."""

    async def save(self, rows: Sequence[ThingRow]) -> None:
        kept = [replace(row, title=f"{row.name}!") for row in rows if row.name != "p3"]
        await super().save(kept)


class Failing(ConfigurationsProjection):
    """A changed projection that can't take one stream."""

    async def apply(self, events: Sequence[Any], view: Any) -> None:
        if any(entry.stream == a_prompt("p1").id for entry in events):
            raise ValueError
        await super().apply(events, view)


CHANGED = ReadModel(projection=ConfigurationsProjection(), writer=Louder)


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


async def tried(side: ReadSide, model: ReadModel, examples: int = 2) -> Trial:
    return await try_out(side.pool, side.log, model, examples=examples)


def schemas(database: Database) -> set[str]:
    with psycopg.connect(database.owner_dsn) as connection:
        found = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace").fetchall()}
        row = connection.execute("SELECT count(*) FROM magnet_read.tracking WHERE projection LIKE '%dry'").fetchone()
    assert row == (0,)
    return found


async def test_the_same_code_makes_no_difference(side: ReadSide, database: Database):
    async with running(side.runner()):
        await changes(side, 20, 3)
        await side.caught_up()
        before, there = await checksum(side), schemas(database)
        trial = await tried(side, CONFIGURATIONS)
        assert (trial.same_checksum, trial.differences, trial.set_aside) == (True, [], 0)
        assert trial.position == await side.log.head()
        assert await checksum(side) == before and schemas(database) == there


async def test_a_changed_view_is_told_row_by_row_and_field_by_field(side: ReadSide, database: Database):
    async with running(side.runner()):
        await changes(side, 6, 2)
        await side.caught_up()
        before, there = await checksum(side), schemas(database)
        trial = await tried(side, CHANGED)
        assert not trial.same_checksum
        [things] = [each for each in trial.differences if each.changed]
        assert (things.added, things.removed, things.changed) == (0, 1, 5)
        assert len(things.examples) == 2
        told = await tried(side, CHANGED, examples=100)
        [things] = [each for each in told.differences if each.changed]
        gone = [then for then, now in things.examples if then is not None and now is None]
        assert [row["name"] for row in gone] == ["p3"]
        assert all(now["title"] == f"{then['name']}!" for then, now in things.examples if then and now)
        assert await checksum(side) == before and schemas(database) == there


async def test_what_a_changed_projection_can_not_take_is_counted(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 3, 1)
        await side.caught_up()
        trial = await tried(side, ReadModel(projection=Failing(), writer=PostgresConfigurationsWriter))
        assert (trial.set_aside, trial.same_checksum) == (1, False)


async def test_the_live_one_may_go_on_meanwhile(side: ReadSide):
    async with running(side.runner()):
        await changes(side, 5, 2)
        writing = asyncio.create_task(changes_of_others(side))
        trial = await tried(side, CONFIGURATIONS)
        await writing
        assert trial.same_checksum


async def changes_of_others(side: ReadSide) -> None:
    for number in range(30):
        await side.record(a_prompt(f"other{number}"))


async def test_what_can_not_be_compared_is_said_so(side: ReadSide, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.projection_runner.trial.PATIENCE", 0.2)
    await changes(side, 1, 1)
    with pytest.raises(NotFound):
        await tried(side, CONFIGURATIONS)
    async with running(side.runner()):
        await side.caught_up()
    await side.record(a_prompt("later"))
    with pytest.raises(TrialFailed):
        await tried(side, CONFIGURATIONS)
