"""Chunks transformed by a chat model: embedded or given so, asked for once, within what it may cost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.knowledge import transforming
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.passages import Addressed
from commands.knowledge.reading import Chunk
from domain.errors import Invalid
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.prompt import Prompt
from domain.retrieval import Search
from projections.source_passages import PassagesQuery
from tests.support.indexing import ASKED, Indexing, embedded, installed
from tests.support.model_server import Received, Reply, refused
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

TEXT = "It hums.\nIt stands still."


def situated(request: Received) -> Reply:
    """Answer as a model that situates chunks: by which of the two lines it is."""
    asked = request.body["messages"][-1]["content"]
    return Reply(text="About the pump's noise." if "<chunk>\nIt hums." in asked else "About the pump's faults.")


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    async with installed(database, tmp_path) as made:
        await made.models(prices=[{"input": "1"}])
        made.server.default = situated
        prices = [{"input": "1000", "output": "1000"}]
        await made.make(Model, "writer", provider="house", model="writer-1", kind="chat", default=True, prices=prices)
        yield made


def asked(indexing: Indexing) -> list[Any]:
    """Return all requests that the chat model got."""
    return [each.body for each in indexing.server.requests if each.path.endswith("/chat/completions")]


async def found(indexing: Indexing, query: str, **more: Any) -> Any:
    search = Search(query=query, sources=[indexing.source], groups=None, **more)
    return (await indexing.container.searcher.search(search)).passages


async def test_a_chunk_is_found_by_what_situates_it_and_given_as_it_is(indexing: Indexing):
    await indexing.change(transformation={})
    await indexing.add({"a": TEXT})
    await indexing.settled()
    assert sorted(embedded(indexing.server)) == [
        "About the pump's faults.\n\nIt stands still.",
        "About the pump's noise.\n\nIt hums.",
    ]
    assert [each.text for each in await found(indexing, "faults", mode="lexical")] == ["It stands still."]
    [first] = await found(indexing, "noise pump", mode="vector", limit=1)
    assert (first.text, TEXT[first.start : first.end]) == ("It hums.", "It hums.")
    assert f"<document>\n{TEXT}\n</document>" in asked(indexing)[0]["messages"][1]["content"]


async def test_a_chunk_is_given_as_the_model_made_it_where_that_is_wanted(indexing: Indexing):
    await indexing.change(transformation={"mode": "replace", "give": "transformed", "instructions": "Summarize."})
    await indexing.add({"a": TEXT})
    await indexing.settled()
    [first] = await found(indexing, "noise", mode="lexical")
    assert (first.text, TEXT[first.start : first.end]) == ("About the pump's noise.", "It hums.")
    assert asked(indexing)[0]["messages"][0]["content"] == "Summarize."


async def test_a_model_is_asked_once_and_what_it_made_is_kept(indexing: Indexing):
    await indexing.change(transformation={})
    await indexing.add({"a": TEXT})
    await indexing.settled()
    calls = len(asked(indexing))
    await indexing.change(chunking={"size": 128, "overlap": 0})
    await indexing.settled()
    assert (await indexing.thing()).index == (await indexing.thing()).newest_index
    assert len(asked(indexing)) == calls == 2
    assert [each.text for each in await found(indexing, "faults", mode="lexical")] == ["It stands still."]


async def test_a_saved_prompt_is_asked_with_the_document_and_the_chunk(indexing: Indexing):
    text = "{{ title }}: {{ document }} <chunk>\n{{ chunk }}"
    prompt = await indexing.make(Prompt, "situate", text=text)
    await indexing.change(transformation={"prompt": str(prompt), "mode": "append"})
    await indexing.add({"a": TEXT}, title="Pump")
    await indexing.settled()
    assert f"Pump: {TEXT} <chunk>\nIt hums." in [each["messages"][0]["content"] for each in asked(indexing)]
    assert "It hums.\n\nAbout the pump's noise." in embedded(indexing.server)


async def test_what_transforming_took_is_a_run_with_its_cost(indexing: Indexing):
    await indexing.change(transformation={})
    await indexing.add({"a": TEXT})
    await indexing.settled()
    assert await indexing.container.reached("runs_v1", await indexing.container.log.head(), PATIENCE)
    runs = indexing.rows(
        "SELECT outcome, output > 0, amount > 0 FROM runs_v1.runs WHERE kind = 'indexing' AND output > 0"
    )
    assert runs == [("completed", True, True)]


async def test_a_document_waits_and_says_why_where_what_it_may_cost_is_spent(indexing: Indexing):
    await indexing.change(transformation={"cost_limit": {"amount": "0.00001"}})
    [id] = await indexing.add({"a": "One line."})
    await indexing.settled()
    [late] = await indexing.add({"b": "It hums."})
    async with asyncio.timeout(PATIENCE):
        while not (error := (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(late)]))[str(late)].error):
            await asyncio.sleep(0.01)
    assert "cost_limit" in error and "0.00001" in error
    assert [(await indexing.document(each)).status for each in (id, late)] == ["indexed", "pending"]
    index = (await indexing.thing()).newest_index
    await indexing.change(transformation={"cost_limit": {"amount": "100"}})
    await indexing.settled()
    assert (await indexing.document(late)).status == "indexed"
    assert (await indexing.thing()).newest_index == index  # what it may cost makes no other chunks


async def test_a_passage_that_is_edited_is_transformed_as_what_it_says_then(indexing: Indexing):
    await indexing.change(transformation={})
    [id] = await indexing.add({"a": TEXT})
    await indexing.settled()
    query = PassagesQuery(source=indexing.source, groups=None, limit=10)
    first, _ = (await indexing.container.passages_view.page(query))[0]
    assert (first.text, first.original) == ("It hums.", None)
    at = Addressed(source=indexing.source, document=id, passage=first.name)
    await indexing.container.passages.change(at, {"text": "It rattles."}, ASKED)
    await indexing.settled()
    [found_now] = await found(indexing, "rattles", mode="lexical")
    edited, _ = (await indexing.container.passages_view.page(query))[0]
    assert (found_now.text, edited.original, edited.edited, edited.pending) == ("It rattles.", "It hums.", True, False)
    assert "About the pump's faults.\n\nIt rattles." in embedded(indexing.server)


@pytest.mark.parametrize("answer", [refused(400, "content_filter"), Reply(text="")], ids=["refused", "nothing said"])
async def test_a_chunk_that_a_model_does_not_transform_keeps_no_other_document_waiting(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch, answer: Any
):
    await indexing.change(transformation={})
    await indexing.settled()
    monkeypatch.setattr(indexing.container.jobs, "_first_pause", 3600.0)
    indexing.server.script_for("writer-1", answer)
    ids = [str(id) for id in await indexing.add({name: f"It hums {name}." for name in "abc"})]
    async with asyncio.timeout(PATIENCE):
        while not any(each.error for each in (await indexing.container.jobs.waiting(INDEX_DOCUMENT, ids)).values()):
            await asyncio.sleep(0.01)
    waiting = await indexing.container.jobs.waiting(INDEX_DOCUMENT, ids)
    assert len(waiting) == 1
    await indexing.container.jobs.ask(INDEX_DOCUMENT, list(waiting))
    await indexing.settled()
    assert [(await indexing.document(UUID(id))).status for id in ids] == ["indexed"] * 3


async def test_a_limit_needs_a_price(indexing: Indexing):
    await indexing.change(transformation={"cost_limit": {"amount": "1", "currency": "EUR"}})
    [id] = await indexing.add({"a": "It hums."})
    async with asyncio.timeout(PATIENCE):
        while not (error := (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(id)]))[str(id)].error):
            await asyncio.sleep(0.01)
    assert "no price in EUR" in error


async def test_a_model_that_can_not_write_is_refused_where_it_is_named(indexing: Indexing):
    model = str(Model.create_id("embedding"))
    with pytest.raises(Invalid) as refusal:
        await indexing.change(transformation={"model": model})
    assert refusal.value.errors[0].pointer == "/transformation/model"


def test_of_a_long_document_what_is_around_the_chunk_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transforming, "MOST_OF_DOCUMENT", 10)
    text = "abcdefghijklmnopqrstuvwxyz"
    assert transforming.document_around(text, Chunk(start=0, end=2, text="ab")) == "abcdefghij"
    assert transforming.document_around(text, Chunk(start=12, end=14, text="mn")) == "ijklmnopqr"
    assert transforming.document_around(text, Chunk(start=24, end=26, text="yz")) == "qrstuvwxyz"


@pytest.mark.parametrize(
    "transformation",
    [{"embed": "original", "give": "original"}, {"instructions": "x", "prompt": "situate"}],
)
def test_a_transformation_that_serves_nothing_or_asks_twice_is_refused(transformation: dict[str, Any]):
    with pytest.raises(Invalid) as refusal:
        KnowledgeSource.create(name="a", definition={"type": "files", "transformation": transformation})
    assert refusal.value.errors[0].pointer == "/transformation"
