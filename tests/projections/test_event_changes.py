"""What events changed, beside what the history of each thing says of it."""

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import END
from adapters.event_store.requests import Request
from adapters.event_store.stretches import StretchReader
from domain.document import Document
from domain.prompt import Prompt
from projections.event_changes import NEAR, events_with_changes
from projections.history import History
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


async def shown(side: ReadSide, positions: set[int] | None = None) -> list[dict[str, Any]]:
    entries = await side.log.read(0, END, LogFilter())
    chosen = [entry for entry in entries if positions is None or entry.position in positions]
    return await events_with_changes(chosen, side.log, StretchReader(side.pool, side.mapper))


async def test_every_choice_of_events_has_the_changes_that_the_history_has(side: ReadSide):
    chance = random.Random(2)
    prompts = [Prompt.create(name=f"p{number}", definition={"text": "a"}) for number in range(3)]
    await side.record(*prompts)
    for number in range(4 * NEAR):
        prompt = chance.choice(prompts[:2] * 5 + prompts[2:])
        prompt.change(prompt.definition | {"text": f"Answer in {number} words.", "title": f"T{number // 3}"})
        if number % 7 == 0:
            prompt.publish(version=prompt.version, label="live", definition=prompt.definition)
        await side.record(prompt)
    history = History(streams=side.store, log=side.log)
    wanted = {
        item["position"]: item["changes"]
        for prompt in prompts
        for item in (await history.page(Prompt, prompt.id, limit=500))["items"]
    }
    assert {event["position"]: event["changes"] for event in await shown(side)} == wanted
    for share in (0.02, 0.1, 0.5):
        some = {position for position in wanted if chance.random() < share}
        assert {e["position"]: e["changes"] for e in await shown(side, some)} == {p: wanted[p] for p in some}


async def test_snapshots_are_gone_on_from(side: ReadSide):
    prompt = Prompt.create(name="p", definition={"text": "a"})
    for number in range(2 * NEAR):
        prompt.change(prompt.definition | {"text": f"Answer in {number} words."})
    await side.record(prompt)
    async with side.pool.connection() as connection:
        stored = side.mapper.to_stored_event(prompt.Snapshot.take(await side.store.at_version(Prompt, prompt.id, NEAR)))
        await connection.execute(
            "INSERT INTO magnet.magnet_snapshots VALUES (%s, %s, %s, %s)",
            (stored.originator_id, stored.originator_version, stored.topic, stored.state),
        )
    [event] = await shown(side, {NEAR + 10})
    assert event["changes"] == [
        {
            "path": "/text",
            "op": "replace",
            "before": f"Answer in {NEAR + 7} words.",
            "after": f"Answer in {NEAR + 8} words.",
        }
    ]


async def test_a_document_is_compared_field_by_field(side: ReadSide):
    document = Document.create(source=uuid4(), external_id="a")
    await side.record(document)
    [created] = await shown(side)
    assert {change["path"]: change["after"] for change in created["changes"]}["/external_id"] == "a"
    assert {change["before"] for change in created["changes"]} == {None}


async def test_an_event_that_this_magnet_cannot_read_has_no_changes_and_neither_has_what_follows_it(
    side: ReadSide, database: Database
):
    prompt = Prompt.create(name="p", definition={"text": "a"})
    other = Prompt.create(name="q", definition={"text": "a"})
    prompt.change(prompt.definition | {"text": "b"})
    prompt.change(prompt.definition | {"text": "c"})
    events = [side.mapper.to_stored_event(event) for event in prompt.collect_events()]
    events[1] = type(events[1])(events[1].originator_id, 2, "prompt.from_the_future", events[1].state)
    await side.appender.append(Request(events=events))
    await side.record(other)
    found = await shown(side)
    assert [event["changes"] is None for event in found] == [False, True, True, False]
    [last] = await shown(side, {3})
    assert last["changes"] is None
