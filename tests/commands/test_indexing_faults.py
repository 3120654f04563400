"""Indexing where something fails or is gone for a while: it harms nothing else, and is made up for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands.configuration import Archive, Restore
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.knowledge_source import SwitchIndex
from commands.knowledge.reading import ReaderDown
from domain.knowledge_source import KnowledgeSource
from tests.support.indexing import ASKED, GIVEN, Indexing, installed
from tests.support.patience import PATIENCE
from tests.support.postgres import Database


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    async with installed(database, tmp_path) as made:
        yield made


async def test_a_text_whose_vector_is_of_zeros_fails_its_document_alone(indexing: Indexing):
    await indexing.models()
    await indexing.settled()
    indexing.server.odd = {"blank": 0.0}
    ids = await indexing.add({"a": "fine", "b": "blank", "c": "good"})
    await indexing.settled()
    found = [await indexing.document(id) for id in ids]
    assert [each.status for each in found] == ["indexed", "failed", "indexed"]
    assert [each["blame"] for each in found[1].failures.values()] == ["document"]
    assert found[1].failure is not None and "a vector of zeros" in found[1].failure["reason"]


async def test_a_text_that_the_model_answers_with_no_number_keeps_no_other_document_waiting(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(indexing.container.jobs, "_first_pause", 3600.0)
    await indexing.models()
    await indexing.settled()
    indexing.server.odd = {"odd": float("nan")}
    ids = await indexing.add({"a": "fine", "b": "odd", "c": "good"})
    async with asyncio.timeout(PATIENCE):
        while [(await indexing.document(id)).status for id in ids] != ["indexed", "pending", "indexed"]:
            await asyncio.sleep(0.01)
        while not (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(ids[1])]))[str(ids[1])].error:
            await asyncio.sleep(0.01)
    indexing.server.odd = {}
    await indexing.container.jobs.ask(INDEX_DOCUMENT, [str(ids[1])])
    await indexing.settled()
    assert (await indexing.document(ids[1])).status == "indexed"


async def test_a_document_that_one_index_can_not_cut_is_found_in_the_one_that_answers(indexing: Indexing):
    await indexing.add({"a": "first text"})
    await indexing.settled()
    await indexing.change(chunking={"strategy": "sentence", "size": 128, "overlap": 0})
    await indexing.settled()
    await indexing.container.bus.dispatch(SwitchIndex(kind=KnowledgeSource, id=indexing.source, index=1), ASKED)
    await indexing.settled()
    indexing.reader.uncuttable = "sentence"
    [id] = await indexing.add({"b": "second text"})
    await indexing.settled()
    document = await indexing.document(id)
    assert (document.indexed, set(document.failures)) == ({"1": 1}, {"2"})
    assert sorted(await indexing.found("text")) == ["first text", "second text"]


async def test_an_index_that_was_being_built_when_its_source_was_archived_is_completed_after_it_is_restored(
    indexing: Indexing,
):
    await indexing.add(GIVEN)
    await indexing.settled()
    indexing.reader.failure = ReaderDown("The processes can't be started.")
    await indexing.change(chunking={"size": 128, "overlap": 0})
    await indexing.container.bus.dispatch(Archive(kind=KnowledgeSource, id=indexing.source), ASKED)
    indexing.reader.failure = None
    await indexing.settled()
    assert (await indexing.thing()).index == 1
    await indexing.container.bus.dispatch(Restore(kind=KnowledgeSource, id=indexing.source), ASKED)
    await indexing.settled()
    assert (await indexing.thing()).index == 2
    assert await indexing.found("holidays") == ["Holidays are thirty days."]


async def test_a_source_that_was_archived_when_its_model_changed_follows_once_it_is_restored(indexing: Indexing):
    await indexing.add(GIVEN)
    await indexing.settled()
    await indexing.container.bus.dispatch(Archive(kind=KnowledgeSource, id=indexing.source), ASKED)
    await indexing.models()
    await indexing.settled()
    await indexing.container.bus.dispatch(Restore(kind=KnowledgeSource, id=indexing.source), ASKED)
    await indexing.settled()
    assert (await indexing.thing()).index == 2
    assert await indexing.found("lunch at noon", mode="vector", limit=1) == ["Lunch is at noon."]
