"""Look-ups that are gathered into one query."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from adapters.postgres.gathering import MOST, Gathered


class Table:
    """Answers a query when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.rows = {number: f"row {number}" for number in range(1000)}
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def read(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.asked.append(list(keys))
        seen = {key: self.rows[key] for key in keys if key in self.rows}
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return seen


async def waiting(table: Table, gathered: Gathered[int, str], *keys: int) -> list["asyncio.Task[str | None]"]:
    tasks = [asyncio.create_task(gathered.get(key)) for key in keys]
    while not table.asked:
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_a_query_runs_goes_into_the_next_one_each_key_once():
    table = Table()
    gathered = Gathered(table.read)
    first = await waiting(table, gathered, 1)
    rest = [asyncio.create_task(gathered.get(key)) for key in (2, 3, 2, 5000)]
    await asyncio.sleep(0)
    table.go.set()
    assert await asyncio.gather(*first, *rest) == ["row 1", "row 2", "row 3", "row 2", None]
    assert table.asked == [[1], [2, 3, 5000]]


async def test_a_look_up_sees_what_was_there_when_it_was_asked_for_and_not_what_a_running_query_saw():
    table = Table()
    gathered = Gathered(table.read)
    [first] = await waiting(table, gathered, 1)
    table.rows[1] = "newer"
    second = asyncio.create_task(gathered.get(1))
    await asyncio.sleep(0)
    table.go.set()
    assert (await first, await second) == ("row 1", "newer")


async def test_an_error_is_that_of_all_who_asked_in_that_query_and_of_no_others():
    table = Table()
    gathered = Gathered(table.read)
    tasks = await waiting(table, gathered, 1, 2)
    table.error = ValueError("away")
    table.go.set()
    for task in tasks:
        with pytest.raises(ValueError, match="away"):
            await task
    table.error = None
    assert await gathered.get(3) == "row 3"


async def test_who_gives_up_takes_nothing_from_the_others_and_queries_are_bounded():
    table = Table()
    gathered = Gathered(table.read)
    tasks = await waiting(table, gathered, 0)
    tasks += [asyncio.create_task(gathered.get(key)) for key in range(1, MOST + 11)]
    await asyncio.sleep(0)
    tasks[5].cancel()
    table.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [value for value in found if isinstance(value, str)] == [f"row {n}" for n in range(MOST + 11) if n != 5]
    assert [len(keys) for keys in table.asked] == [1, MOST, 10]


async def test_a_query_that_hangs_holds_up_only_those_who_asked_in_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.postgres.gathering.PATIENCE", 0.0)
    table, stuck = Table(), asyncio.Event()

    async def read(keys: Sequence[int]) -> Mapping[int, str]:
        table.asked.append(list(keys))
        if 1 in keys:
            await stuck.wait()
        return {key: table.rows[key] for key in keys}

    gathered = Gathered(read)
    [first] = await waiting(table, gathered, 1)
    assert await asyncio.gather(gathered.get(2), gathered.get(3)) == ["row 2", "row 3"]
    assert await gathered.get(4) == "row 4"
    assert not first.done()
    stuck.set()
    assert await first == "row 1"
    assert table.asked == [[1], [2, 3], [4]]


async def test_many_keys_are_looked_up_together_with_what_else_waits():
    table = Table()
    gathered = Gathered(table.read)
    [first] = await waiting(table, gathered, 1)
    rest = [asyncio.ensure_future(gathered.of([2, 5000])), asyncio.ensure_future(gathered.of([2, 3]))]
    await asyncio.sleep(0)
    table.go.set()
    assert [set(found) & {2, 3, 5000} for found in await asyncio.gather(*rest)] == [{2, 3}, {2, 3}]
    assert (await first, table.asked) == ("row 1", [[1], [2, 5000, 3]])
