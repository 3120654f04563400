"""Reading the log in sections: once for all who ask at the same time, and never older than what they know."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from adapters.event_store import log
from domain.prompt import Prompt
from tests.support.log import ReadSide, read_side
from tests.support.patience import PATIENCE
from tests.support.postgres import Database


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


@pytest.fixture
def held(side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Event]:
    """Sections are handed over only once their events here are set, in the order in which they were read."""
    holding: list[asyncio.Event] = []
    unheld = side.log._rows

    async def rows(query: str, values: Mapping[str, Any]) -> list[Any]:
        found = await unheld(query, values)
        holding.append(release := asyncio.Event())
        await release.wait()
        return found

    monkeypatch.setattr(side.log, "_rows", rows)
    return holding


async def reading(held: list[asyncio.Event], count: int) -> None:
    """Return once that many sections have been read."""
    async with asyncio.timeout(PATIENCE):
        while len(held) < count:
            await asyncio.sleep(0.001)


def prompt(name: str) -> Prompt:
    return Prompt.create(name=name, definition={"text": "a"})


async def test_a_section_is_read_once_for_all_who_ask_at_the_same_time(side: ReadSide, held: list[asyncio.Event]):
    await side.record(prompt("a"))
    asking = [asyncio.create_task(side.log.section(0, 10)) for _ in range(5)]
    await reading(held, 1)
    held[0].set()
    sections = await asyncio.gather(*asking)
    assert [[entry.position for entry in section] for section in sections] == [[1]] * 5
    assert len(held) == 1


async def test_who_asks_while_a_section_is_being_read_sees_what_was_recorded_meanwhile(
    side: ReadSide, held: list[asyncio.Event]
):
    await side.record(prompt("a"))
    before = asyncio.create_task(side.log.section(0, 10))
    await reading(held, 1)
    await side.record(prompt("b"))
    after = asyncio.create_task(side.log.section(0, 10))
    await reading(held, 2)
    for release in held:
        release.set()
    assert [len(await before), len(await after)] == [1, 2]


async def test_who_gives_up_takes_nothing_from_those_who_asked_with_them(side: ReadSide, held: list[asyncio.Event]):
    await side.record(prompt("a"))
    first, second = (asyncio.create_task(side.log.section(0, 10)) for _ in range(2))
    await reading(held, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held[0].set()
    assert len(await second) == 1


async def test_events_of_topics_that_are_passed_over_are_left_out_and_the_way_goes_on(side: ReadSide):
    prompts = [Prompt.create(name=f"p{number}", definition={"text": "a"}) for number in range(4)]
    for prompt in prompts[:2]:
        prompt.archive()
    await side.record(*prompts)
    besides = side.log.topics_besides((type(prompts[0]).Created,))
    assert "prompt.archived" in besides
    assert "prompt.created" not in besides
    for read in (side.log.follow, side.log.sift):
        everything = await read(0, 100, frozenset())
        assert [entry.position for entry in everything.events] == list(range(1, 7))
        some = await read(0, 100, besides)
        assert [entry.position for entry in some.events] == [1, 3, 5, 6]
        assert (some.after, some.upto, some.full) == (0, 6, False)
        nothing = await read(6, 100, besides)
        assert (nothing.events, nothing.upto, nothing.full) == ([], 6, False)
    followed = await side.log.follow(0, 2, besides)
    assert ([entry.position for entry in followed.events], followed.upto, followed.full) == ([1], 2, True)
    sifted = await side.log.sift(0, 2, besides)
    assert ([entry.position for entry in sifted.events], sifted.upto, sifted.full) == ([1, 3], 3, True)


async def test_a_long_way_without_events_that_are_wanted_is_gone_in_parts(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "SPAN", 3)
    prompts = [Prompt.create(name=f"p{number}", definition={"text": "a"}) for number in range(4)]
    await side.record(*prompts)
    passed = frozenset({"prompt.created"})
    first = await side.log.sift(0, 100, passed)
    assert (first.events, first.upto, first.full) == ([], 3, True)
    rest = await side.log.sift(3, 100, passed)
    assert (rest.events, rest.upto, rest.full) == ([], 4, False)


async def test_a_log_may_grow_past_two_thousand_million_events(side: ReadSide):
    await side.record(prompt("a"))
    nothing = await side.log.sift(2**31 - 2, 100, frozenset())
    assert (nothing.events, nothing.upto, nothing.full) == ([], 2**31 - 2, False)
