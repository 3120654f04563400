"""A thing's past, read from the log."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from adapters.event_store.log import LogFilter
from domain.errors import Invalid, NotFound
from domain.model import Model
from domain.prompt import Prompt
from domain.provider import Provider
from projections.history import History, changes
from tests.support.log import ReadSide, read_side, running
from tests.support.postgres import Database


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


@pytest.fixture
def history(side: ReadSide) -> History:
    return History(streams=side.store, log=side.log)


async def a_prompt(side: ReadSide, *texts: str) -> Prompt:
    """Record a prompt with a version for each text."""
    prompt = Prompt.create(name="p", definition={"text": texts[0]})
    for text in texts[1:]:
        prompt.change(prompt.definition | {"text": text})
    await side.record(prompt)
    return prompt


async def test_a_history_tells_each_version_the_newest_first(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a", "b")
    prompt.publish_newest()
    await side.record(prompt)
    page = await history.page(Prompt, prompt.id)
    assert [(i["version"], i["position"], i["type"]) for i in page["items"]] == [
        (3, 3, "prompt.published"),
        (2, 2, "prompt.text_changed"),
        (1, 1, "prompt.created"),
    ]
    assert page["items"][0]["changes"] == [{"path": "/labels/live", "op": "replace", "before": 1, "after": 3}]
    assert page["items"][1]["changes"] == [{"path": "/text", "op": "replace", "before": "a", "after": "b"}]
    assert {"path": "/text", "op": "add", "before": None, "after": "a"} in page["items"][2]["changes"]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_the_pages_of_a_history_make_up_the_whole_in_both_orders(
    side: ReadSide, history: History, oldest_first: bool
):
    prompt = await a_prompt(side, *"abcdefg")
    whole = (await history.page(Prompt, prompt.id))["items"]
    if oldest_first:
        whole.reverse()
    pages: list[Any] = []
    cursor = None
    while True:
        page = await history.page(Prompt, prompt.id, limit=3, cursor=cursor, oldest_first=oldest_first)
        pages += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == whole and len(whole) == 7


async def test_reading_a_history_leaves_cached_past_states_as_they_are(side: ReadSide, history: History):
    prompt = await a_prompt(side, *"abc")
    before = await history.at_version(Prompt, prompt.id, 1)
    await history.page(Prompt, prompt.id, limit=2)
    assert await history.at_version(Prompt, prompt.id, 1) == before


async def test_what_is_no_cursor_and_what_is_no_such_thing_are_refused(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a")
    with pytest.raises(Invalid):
        await history.page(Prompt, prompt.id, cursor="-1")
    for kind, id in ((Prompt, uuid4()), (Provider, prompt.id)):
        with pytest.raises(NotFound):
            await history.page(kind, id)
        with pytest.raises(NotFound):
            await history.diff(kind, id, 1, 1)
        with pytest.raises(NotFound):
            await history.at_label(kind, id, "live")


async def test_a_diff_goes_both_ways(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a", "b", "c")
    assert await history.diff(Prompt, prompt.id, 1, 3) == {
        "from": 1,
        "to": 3,
        "changes": [{"path": "/text", "op": "replace", "before": "a", "after": "c"}],
    }
    assert (await history.diff(Prompt, prompt.id, 3, 1))["changes"][0]["after"] == "a"
    assert (await history.diff(Prompt, prompt.id, 2, 2))["changes"] == []
    for version in (0, 4, -1):
        with pytest.raises(NotFound):
            await history.diff(Prompt, prompt.id, 1, version)


async def test_a_diff_shows_references_by_name(side: ReadSide, history: History):
    one, two = (
        Provider.create(name=name, definition={"type": "openai", "base_url": "https://a.example.com"})
        for name in ("one", "two")
    )
    model = Model.create(name="m", definition={"provider": str(one.id), "model": "gpt", "kind": "chat"})
    model.change(model.definition | {"provider": str(two.id)})
    await side.record(one, two, model)
    assert (await history.diff(Model, model.id, 1, 2))["changes"] == [
        {
            "path": "/provider",
            "op": "replace",
            "before": {"id": str(one.id), "name": "one"},
            "after": {"id": str(two.id), "name": "two"},
        }
    ]


async def test_a_past_version_is_the_document_of_then(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a")
    async with running(side.runner()):
        await side.caught_up()
        row = await side.view.get(prompt.id)
        prompt.change(prompt.definition | {"text": "b"})
        prompt.publish_newest()
        await side.record(prompt)
        await side.caught_up()
        newest = await side.view.get(prompt.id)
    assert row is not None and newest is not None
    assert await history.at_version(Prompt, prompt.id, 1) == row.document.encode()
    assert await history.at_version(Prompt, prompt.id, 3) == newest.document.encode()


async def test_a_time_finds_the_version_of_then(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a")
    [created] = await side.log.read(0, 1, LogFilter())
    prompt.change(prompt.definition | {"text": "b"})
    await side.record(prompt)
    [changed] = await side.log.read(1, 1, LogFilter())

    async def text_at(time: datetime) -> str:
        return str(orjson.loads(await history.as_of(Prompt, prompt.id, time))["text"])

    assert await text_at(created.recorded_at) == "a"
    assert await text_at(changed.recorded_at - timedelta(microseconds=1)) == "a"
    assert await text_at(changed.recorded_at) == "b"
    with pytest.raises(NotFound):
        await history.as_of(Prompt, prompt.id, created.recorded_at - timedelta(microseconds=1))


async def test_a_label_shows_what_it_points_at(side: ReadSide, history: History):
    prompt = await a_prompt(side, "a", "b")
    live = orjson.loads(await history.at_label(Prompt, prompt.id, "live"))
    assert (live["text"], live["version"], live["live_version"], live["draft"]) == ("a", 1, 1, True)
    with pytest.raises(NotFound) as refusal:
        await history.at_label(Prompt, prompt.id, "none")
    assert refusal.value.error_code == "unknown_label"


async def test_the_past_is_read_through_snapshots_too(side: ReadSide, history: History):
    texts = [f"t{number}" for number in range(1, 251)]
    prompt = await a_prompt(side, *texts)
    async with side.pool.connection() as connection:
        for version in (100, 200):
            past = await side.store.at_version(Prompt, prompt.id, version)
            stored = side.mapper.to_stored_event(past.Snapshot.take(past))
            await connection.execute(
                "INSERT INTO magnet.magnet_snapshots VALUES (%s, %s, %s, %s)",
                [prompt.id, version, stored.topic, stored.state],
            )
    fresh = History(streams=type(side.store)(side.pool, side.appender, side.mapper), log=side.log)
    for version in (99, 100, 101, 199, 201, 250):
        assert await fresh.at_version(Prompt, prompt.id, version) == await history.at_version(
            Prompt, prompt.id, version
        )
    assert orjson.loads(await fresh.at_version(Prompt, prompt.id, 250))["text"] == "t250"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, [("/a", "replace", 1, 1.0)]),
        ({"a": 1}, {"a": True}, [("/a", "replace", 1, True)]),
        ({"a": None}, {}, [("/a", "remove", None, None)]),
        ({}, {"a": {"b": 1}}, [("/a", "add", None, {"b": 1})]),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, [("/a~1b/~0", "replace", 1, 2)]),
        ({"l": [1, 2]}, {"l": [1, 3]}, [("/l", "replace", [1, 2], [1, 3])]),
        ({"l": [{"x": 1}, {"x": 2}]}, {"l": [{"x": 1}, {"x": 3}]}, [("/l/1/x", "replace", 2, 3)]),
        ({"l": [{"x": 1}]}, {"l": []}, [("/l", "replace", [{"x": 1}], [])]),
        ({"a": 2**53 + 1}, {"a": 2**53}, [("/a", "replace", 2**53 + 1, 2**53)]),
        ({"a": "é"}, {"a": "e\u0301"}, [("/a", "replace", "é", "e\u0301")]),
    ],
)
def test_each_value_that_differs_is_named(before: Any, after: Any, expected: list[Any]):
    told = [(c["path"], c["op"], c["before"], c["after"]) for c in changes(before, after)]
    assert [(*e[:2], repr(e[2]), repr(e[3])) for e in told] == [(*e[:2], repr(e[2]), repr(e[3])) for e in expected]
