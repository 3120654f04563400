"""The read model of configuration things, kept up to date by the runner."""

from collections.abc import AsyncIterator

import orjson
import pytest

from domain.errors import Invalid
from domain.model import Model
from domain.prompt import Prompt
from domain.provider import Provider
from projections.configurations import ListQuery, after_cursor, labelled
from tests.support.log import ReadSide, read_side, running
from tests.support.postgres import Database


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made, running(made.runner()):
        yield made


def a_prompt(name: str = "p", **definition: object) -> Prompt:
    return Prompt.create(name=name, definition={"text": "a", **definition})


async def test_a_thing_is_read_as_its_public_document(side: ReadSide):
    provider = Provider.create(name="oa", definition={"type": "openai", "base_url": "https://a.example.com"})
    provider.set_secret("api_key", hint="wxyz")
    model = Model.create(name="m", definition={"provider": str(provider.id), "model": "gpt", "kind": "chat"})
    await side.record(provider, model)
    await side.caught_up()
    row = await side.view.get(model.id)
    assert row is not None
    shown = orjson.loads(row.document)
    assert shown["provider"] == {"id": str(provider.id), "name": "oa"}
    assert (shown["version"], shown["archived"]) == (1, False)
    assert "labels" not in shown
    row = await side.view.get(provider.id)
    assert row is not None
    shown = orjson.loads(row.document)
    assert (shown["key_set"], shown["key_hint"], shown["version"]) == (True, "wxyz", 2)


async def test_a_draft_is_told_and_a_label_shows_what_it_points_at(side: ReadSide):
    prompt = a_prompt()
    prompt.change(prompt.definition | {"text": "b"})
    await side.record(prompt)
    await side.caught_up()
    row = await side.view.get(prompt.id)
    assert row is not None
    shown = orjson.loads(row.document)
    assert (shown["text"], shown["draft"], shown["version"], shown["live_version"]) == ("b", True, 2, 1)
    live = labelled(row, "live", {})
    assert live is not None and (live["text"], live["version"]) == ("a", 1)
    assert labelled(row, "none", {}) is None


async def test_numbers_and_texts_survive_byte_for_byte(side: ReadSide):
    strange = [1e22, -0.0, 2**53 + 1, "\u202e", "e\u0301", "é", "\u0301" * 100, "'\";--", "{{7*7}}", "%s%n"]
    prompt = a_prompt(variables={"v": {"schema": {"enum": strange}}})
    await side.record(prompt)
    await side.caught_up()
    row = await side.view.get(prompt.id)
    assert row is not None
    assert orjson.dumps(strange).decode() in row.document


async def test_a_list_is_stable_under_inserts(side: ReadSide):
    for number in range(6):
        await side.record(a_prompt(f"p{number}"))
    await side.caught_up()
    first = await side.view.page(ListQuery(kind="prompt", limit=4))
    await side.record(a_prompt("later"))
    await side.caught_up()
    assert first.next_cursor is not None
    rest = await side.view.page(ListQuery(kind="prompt", limit=4, after=after_cursor(first.next_cursor)))
    names = [orjson.loads(item)["name"] for item in [*first.items, *rest.items]]
    assert names == ["p5", "p4", "p3", "p2", "p1", "p0"]
    assert rest.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "MTIz=", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "é", "A" * 1000])
def test_what_is_no_cursor_is_refused(cursor: str):
    with pytest.raises(Invalid) as refusal:
        after_cursor(cursor)
    assert refusal.value.errors[0].pointer == "/cursor"


async def test_lists_filter_by_tag_text_and_archive(side: ReadSide):
    gone = a_prompt("gone", tags=["x"])
    gone.archive()
    await side.record(a_prompt("one", tags=["x", "y"], title="The First"), a_prompt("two", tags=["y"]), gone)
    await side.caught_up()

    async def names(**asked: object) -> list[str]:
        page = await side.view.page(ListQuery(kind="prompt", limit=10, newest_first=False, **asked))  # type: ignore[arg-type]
        return [orjson.loads(item)["name"] for item in page.items]

    assert await names() == ["one", "two"]
    assert await names(tag="x") == ["one"]
    assert await names(text="first") == ["one"]
    assert await names(archived=True) == ["one", "two", "gone"]
    assert await side.view.tags() == [{"tag": "x", "count": 1}, {"tag": "y", "count": 2}]
