"""Every filter of the log finds what reading all of it finds, in order, from any position, by whatever index."""

import itertools
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL

from adapters.event_store import choosing
from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import END
from adapters.event_store.requests import Metadata, Request
from adapters.postgres.reading import rows_of
from domain.model import Model
from domain.prompt import Prompt
from projections.recorded import LogEntry
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database

REASONS = [None, None, "Because", "it was TOO long: 100 %", "Ümläut ÄNDERT", "a", "ab", "back\\slash_under", "x" * 1000]
ACTORS = [
    ("api_key", str(uuid4()), "anna"),
    ("api_key", str(uuid4()), "bert"),
    ("local", "local", "local"),
    ("x", "anna", "y"),
]


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


async def written(side: ReadSide, count: int = 120) -> list[LogEntry]:
    """Write prompts and models by several actors for several reasons; return the whole log."""
    chance = random.Random(3)
    things: list[Any] = []
    for number in range(count):
        if not things or chance.random() < 0.4:
            kind = chance.choice([Prompt, Prompt, Model])
            definition = {"text": "a"} if kind is Prompt else {"provider": str(uuid4()), "model": "m", "kind": "chat"}
            thing = kind.create(name=f"t{number}", definition=definition)
            things.append(thing)
        else:
            thing = chance.choice(things)
            thing.change(thing.definition | {"title": f"Title {number}"})
        actor = chance.choice(ACTORS)
        metadata = Metadata(
            actor_type=actor[0],
            actor_id=actor[1],
            actor_name=actor[2],
            correlation_id=f"r{number // 4}",
            reason=chance.choice(REASONS),
        )
        events = [side.mapper.to_stored_event(event) for event in thing.collect_events()]
        await side.appender.append(Request(events=events, metadata=metadata))
    return await side.log.read(0, END, LogFilter())


def asked(entries: list[LogEntry]) -> list[LogFilter]:
    """Return filters of every sort, alone and two at a time."""
    middle = entries[len(entries) // 2]
    single: list[dict[str, Any]] = [
        {"aggregate": middle.stream},
        {"aggregate": uuid4()},
        {"types": ["prompt.created"]},
        {"types": ["model.created", "prompt.described", "prompt.described", "nothing.ever"]},
        {"types": []},
        {"kind": "prompt"},
        {"kind": "model"},
        {"kind": "mod"},
        {"kind": "%"},
        {"actor": "anna"},
        {"actor": ACTORS[0][1]},
        {"actor": "local"},
        {"correlation": middle.correlation_id},
        {"since": middle.recorded_at},
        {"until": middle.recorded_at},
        {"since": entries[0].recorded_at - timedelta(days=1), "until": entries[-1].recorded_at + timedelta(days=1)},
        {"since": entries[-1].recorded_at + timedelta(microseconds=1)},
        *(
            {"reason": part}
            for part in ("BECAUSE", "too LONG: 100 %", "ä", "änd", "_", "%", "b", "ab", "x" * 500, "\\")
        ),
    ]
    pairs = [one | other for one, other in itertools.combinations(single, 2) if not one.keys() & other.keys()]
    return [LogFilter(**each) for each in [*single, *pairs]]


@pytest.mark.parametrize("near", [0, 5, 10_000])
async def test_every_filter_and_every_two_find_what_reading_everything_finds(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch, near: int
):
    monkeypatch.setattr(choosing, "NEAR", near)
    entries = await written(side)
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    for number, filter in enumerate(asked(entries)):
        wanted = [entry.position for entry in entries if filter.fits(entry)]
        assert [entry.position for entry in await side.log.read(0, END, filter)] == wanted, filter
        after = number % len(entries)
        some = [position for position in wanted if position > after][:3]
        assert [entry.position for entry in await side.log.read(after, 3, filter)] == some, (filter, after)


@pytest.mark.parametrize(
    ("asked_for", "leads"),
    [
        (LogFilter(types=["prompt.created"], actor="nobody"), "actor"),
        (LogFilter(types=["prompt.archived"], actor="anna"), "types"),
        (LogFilter(kind="prompt", reason="never said"), "reason"),
        (LogFilter(types=["nothing.ever"], reason="never said", actor="nobody"), "types"),
    ],
)
async def test_of_several_filters_the_one_that_leads_to_the_fewest_is_followed(
    side: ReadSide, asked_for: LogFilter, leads: str
):
    await written(side)
    query = choosing.counting(asked_for)
    assert query is not None
    values = {"after": 0, "limit": choosing.COUNTED, **asked_for.parameters}
    [counts] = await rows_of(side.pool, query, values, binary=True)
    assert choosing.rarest(asked_for, counts) == leads


def test_where_it_is_clear_what_leads_nothing_is_counted():
    for asked_for in (LogFilter(), LogFilter(kind="prompt"), LogFilter(aggregate=uuid4(), types=["prompt.created"])):
        assert choosing.counting(asked_for) is None


async def test_the_events_of_a_thing_are_found_without_going_through_the_positions_of_the_log(
    side: ReadSide, database: Database
):
    entries = await written(side)
    asked_for = LogFilter(aggregate=entries[5].stream)
    values = {"after": 0, "limit": 51, "heaviest": END, **asked_for.parameters}
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE magnet.magnet_events")
        connection.execute("SET enable_seqscan = off")  # the log is short here; a long one is never read whole
        plan = str(connection.execute(SQL("EXPLAIN (FORMAT JSON) ") + choosing.statement(asked_for), values).fetchone())
    assert "magnet_events_pkey" in plan
    assert "BitmapAnd" not in plan


async def test_a_page_of_a_log_of_which_no_statistics_are_known_is_not_sought_in_all_that_follows(
    side: ReadSide, database: Database
):
    await written(side)
    values = {"after": 10, "limit": 20, "heaviest": END, **LogFilter().parameters}
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        for misled in ("SET enable_indexscan = off", "SET enable_seqscan = off"):  # as by a guess in a log that is long
            connection.execute(misled)
        query = SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + choosing.statement(LogFilter())
        [[plan]] = connection.execute(query, values).fetchall()
    assert max(rows_met(plan[0]["Plan"])) == 20


def rows_met(node: dict[str, Any]) -> list[float]:
    """Return how many rows each step of a plan has had."""
    return [node["Actual Rows"] * node["Actual Loops"], *itertools.chain(*map(rows_met, node.get("Plans", [])))]


async def test_what_is_read_ends_with_the_event_that_makes_it_heavy(side: ReadSide):
    entries = await written(side, 20)
    first = sum(entry.size for entry in entries[:5])
    assert [entry.position for entry in await side.log.read(0, 20, LogFilter(), first)] == [1, 2, 3, 4, 5]
    assert [entry.position for entry in await side.log.read(0, 20, LogFilter(), first + 1)] == [1, 2, 3, 4, 5, 6]
    assert [entry.position for entry in await side.log.read(3, 20, LogFilter(kind="prompt"), 1)] == [
        next(entry.position for entry in entries[3:] if entry.topic.startswith("prompt."))
    ]
