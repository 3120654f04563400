"""Indexing: documents given are found; what was made is not made again; and what fails says why, and harms no other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.postgres.passages import upkeep
from adapters.projection_runner import upkeep as tending
from commands.jobs import Job
from commands.knowledge import index_building
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.indexing import FEW, MOST
from commands.knowledge.knowledge_source import FILL_INDEX, SwitchIndex
from commands.knowledge.reading import ReaderDown, Scanned
from commands.retrieval import recent_searches
from commands.retrieval.answer_run import Choice, SearchByTool
from domain.knowledge_source import KnowledgeSource
from domain.retrieval_tool import RetrievalTool
from tests.support.indexing import ASKED, GIVEN, Indexing, embedded, installed
from tests.support.model_server import server_error
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    async with installed(database, tmp_path) as made:
        yield made


async def test_documents_are_found_by_their_words_where_there_is_no_model(indexing: Indexing):
    ids = await indexing.add(GIVEN)
    await indexing.settled()
    assert [(await indexing.document(id)).status for id in ids] == ["indexed", "indexed"]
    assert await indexing.found("holidays") == ["Holidays are thirty days."]
    assert embedded(indexing.server) == []


async def test_documents_are_found_by_vectors_of_all_their_chunks(indexing: Indexing):
    await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    assert sorted(embedded(indexing.server)) == sorted(line for text in GIVEN.values() for line in text.splitlines())
    assert await indexing.found("lunch at noon", mode="vector", limit=1) == ["Lunch is at noon."]


async def test_chunks_of_many_documents_share_a_request(indexing: Indexing):
    await indexing.models()
    await indexing.add({f"d{number:03}": f"text {number}" for number in range(300)})
    await indexing.settled()
    assert len(embedded(indexing.server)) == 300
    assert len([each for each in indexing.server.requests if each.path.endswith("/embeddings")]) <= 6


async def test_while_people_search_documents_are_worked_on_in_small_parts(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recent_searches, "RECENT", 3600.0)
    jobs, sizes = indexing.container.jobs, []
    take = jobs.take

    async def noted(kind: str, limit: int) -> list[Job]:
        if kind == INDEX_DOCUMENT:
            sizes.append(limit)
        return await take(kind, limit)

    monkeypatch.setattr(jobs, "take", noted)
    await indexing.models()
    tool = await indexing.make(RetrievalTool, "find", sources=["handbook"])
    await indexing.add({"a": "alone"})
    await indexing.settled()
    assert set(sizes) == {MOST}
    sizes.clear()
    asked = SearchByTool(tool=Choice(kind=RetrievalTool, id=tool), query="alone")
    await indexing.container.answer_runs.search(asked, ASKED)
    await indexing.add({f"{number}": f"text {number}" for number in range(FEW + 1)})
    await indexing.settled()
    assert set(sizes) == {FEW}
    assert len(await indexing.found("text", limit=100)) == FEW + 2


async def test_words_that_stand_on_another_shelf_are_not_made_again(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": "the first text", "b": "the second text"})
    await indexing.settled()
    indexing.rows("UPDATE passages_v1.passages SET words = 'mark' WHERE text = 'the first text' RETURNING id")
    await indexing.models("better")
    await indexing.settled()
    assert indexing.rows(
        "SELECT p.text, p.words::text FROM passages_v1.passages p JOIN passages_v1.shelves s ON s.id = p.shelf"
        " WHERE s.index = 3 ORDER BY p.text"
    ) == [("the first text", "'mark'"), ("the second text", "'second':2 'text':3 'the':1")]


async def test_the_same_text_is_read_cut_and_embedded_once(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": "one text"})
    await indexing.settled()
    await indexing.add({"b": "one text"})
    await indexing.settled()
    assert (indexing.reader.read_names, embedded(indexing.server)) == (["a"], ["one text"])
    assert indexing.rows(
        "SELECT p.text FROM passages_v1.passages p JOIN passages_v1.shelves s ON s.id = p.shelf WHERE s.space IS NOT NULL"
    ) == [("one text",), ("one text",)]
    assert await indexing.found("text", mode="vector") == ["one text"]


async def test_a_new_version_replaces_the_old_one_only_when_it_is_indexed(indexing: Indexing):
    await indexing.add({"a": "the old text"})
    await indexing.settled()
    indexing.reader.failure = ReaderDown("The processes can't be started.")
    [id] = await indexing.add({"a": "the new text"})
    async with asyncio.timeout(PATIENCE):
        while not (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(id)]))[str(id)].error:
            await asyncio.sleep(0.01)
    assert (await indexing.document(id)).status == "pending"
    assert await indexing.found("text") == ["the old text"]
    indexing.reader.failure = None
    await indexing.settled()
    assert await indexing.found("text") == ["the new text"]


async def test_a_document_that_can_not_be_read_fails_with_the_reason_and_others_do_not(indexing: Indexing):
    bad, good = await indexing.add({"bad": "   ", "good": "some text"})
    [image] = await indexing.add({"c.png": "x"}, media_type="image/png")
    await indexing.settled()
    failed, other = await indexing.document(bad), await indexing.document(image)
    assert (failed.status, failed.failure) == ("failed", {"code": "unreadable", "reason": "The document is empty."})
    assert other.failure == {"code": "unsupported_media_type", "reason": "No parser reads image/png."}
    assert (await indexing.document(good)).status == "indexed"


@pytest.mark.parametrize("beside", [{}, {f"d{number}": "some text" for number in range(8)}], ids=["alone", "others"])
async def test_a_document_without_a_byte_fails_with_the_reason_and_others_do_not(
    indexing: Indexing, beside: dict[str, str]
):
    empty = {f"empty{number}": "" for number in range(8)}
    ids = await indexing.add(empty | beside)
    await indexing.settled()
    found = [await indexing.document(id) for id in ids]
    assert {(each.status, each.failure["reason"]) for each in found[:8] if each.failure} == {
        ("failed", "The document is empty.")
    }
    assert [each.status for each in found[8:]] == ["indexed"] * len(beside)


async def test_a_provider_that_is_down_blocks_no_command_and_costs_no_document(indexing: Indexing):
    await indexing.models(routing={"retries": 0})
    indexing.server.script(*[server_error()] * 2)
    ids = await indexing.add(GIVEN)
    await indexing.settled()
    assert [(await indexing.document(id)).status for id in ids] == ["indexed", "indexed"]


async def test_a_text_that_the_model_refuses_fails_its_document_alone(indexing: Indexing):
    await indexing.models()
    indexing.server.refuses = "poison"
    ids = await indexing.add({"a": "fine", "b": "poison", "c": "good"})
    await indexing.settled()
    assert [(await indexing.document(id)).status for id in ids] == ["indexed", "failed", "indexed"]
    assert [each["blame"] for each in (await indexing.document(ids[1])).failures.values()] == ["document"]


async def test_what_embedding_took_is_a_run_whose_cost_is_that_of_its_calls(indexing: Indexing):
    await indexing.models(prices=[{"input": "1"}])
    await indexing.add(GIVEN)
    await indexing.settled()
    head = await indexing.container.log.head()
    assert await indexing.container.reached("runs_v1", head, PATIENCE)
    runs = indexing.rows("SELECT kind, outcome, input, amount > 0 FROM runs_v1.runs WHERE kind = 'indexing'")
    assert [row[:2] for row in runs] == [("indexing", "completed")]
    assert runs[0][2] > 0 and runs[0][3]


async def test_after_a_change_of_chunking_the_old_index_answers_until_the_new_one_is_complete(indexing: Indexing):
    await indexing.add(GIVEN)
    await indexing.settled()
    indexing.reader.failure = ReaderDown("The processes can't be started.")
    await indexing.change(chunking={"size": 128, "overlap": 0})
    thing = await indexing.thing()
    assert (thing.index, thing.newest_index) == (1, 2)
    assert await indexing.found("holidays") == ["Holidays are thirty days."]
    indexing.reader.failure = None
    await indexing.settled()
    assert (await indexing.thing()).index == 2
    assert await indexing.found("holidays") == ["Holidays are thirty days."]


async def test_after_a_change_of_the_embedding_model_all_documents_are_embedded_anew_and_then_it_answers(
    indexing: Indexing,
):
    await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    await indexing.models("better")
    await indexing.settled()
    thing = await indexing.thing()
    assert (thing.index, len(thing.indexes)) == (3, 3)  # by words alone, by the first model, by the second
    assert {row[0] for row in indexing.rows("SELECT count(*) FROM magnet.embeddings GROUP BY space")} == {3}
    assert await indexing.found("lunch at noon", mode="vector", limit=1) == ["Lunch is at noon."]


async def test_a_new_index_answers_once_its_vectors_are_where_searches_are_fast(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tending, "EVERY", 3600.0)
    monkeypatch.setattr(index_building, "LOOK_AGAIN", 0.01)
    async with installed(database, tmp_path) as indexing:
        await indexing.models()
        await indexing.add({f"{number}": f"text {number}" for number in range(8)})
        await indexing.settled()
        before = (await indexing.thing()).index
        for name, value in {"SMALL": 3, "MOST_FRESH": 1}.items():
            monkeypatch.setattr(upkeep, name, value)
        await indexing.models("other")
        async with asyncio.timeout(PATIENCE):
            while not (row := await indexing.job(FILL_INDEX)) or not row.get("looks"):
                await asyncio.sleep(0.01)
        assert await indexing.container.reached("passages_v1", await indexing.container.log.head(), PATIENCE)
        thing = await indexing.thing()
        assert (thing.index, thing.newest_index) == (before, before + 1)
        await upkeep.keep_passages(indexing.container.pool, "passages_v1")
        await indexing.settled()
        assert (await indexing.thing()).index == before + 1
        assert len(await indexing.found("text", mode="vector")) == 8


async def test_documents_given_while_an_index_is_built_are_in_both(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": "first text"})
    await indexing.settled()
    await indexing.models("better", dimensions=32)
    [id] = await indexing.add({"b": "second text"})
    await indexing.settled()
    assert set((await indexing.document(id)).indexed) >= {"2"}
    assert sorted(await indexing.found("text", mode="vector")) == ["first text", "second text"]


async def test_an_index_is_taken_back_and_gets_what_was_given_meanwhile(indexing: Indexing):
    await indexing.add({"a": "first text"})
    await indexing.settled()
    await indexing.change(chunking={"size": 128, "overlap": 0})
    await indexing.settled()
    await indexing.add({"b": "second text"})
    await indexing.settled()
    await indexing.container.bus.dispatch(SwitchIndex(kind=KnowledgeSource, id=indexing.source, index=1), ASKED)
    await indexing.settled()
    assert (await indexing.thing()).index == 1
    assert sorted(await indexing.found("text")) == ["first text", "second text"]


async def test_an_index_that_is_taken_back_answers_until_another_one_is_asked_for(indexing: Indexing):
    await indexing.add({"a": "first text"})
    await indexing.settled()
    await indexing.change(chunking={"size": 128, "overlap": 0})
    await indexing.settled()
    for back in (1, 2, 1):
        await indexing.container.bus.dispatch(SwitchIndex(kind=KnowledgeSource, id=indexing.source, index=back), ASKED)
        await indexing.settled()
        assert (await indexing.thing()).index == back
    await indexing.change(chunking={"size": 256, "overlap": 0})
    await indexing.settled()
    assert (await indexing.thing()).index == 3


async def test_a_document_that_is_removed_while_it_is_indexed_stays_removed(indexing: Indexing):
    await indexing.models()
    [id] = await indexing.add({"a": "some text"})
    await indexing.container.documents.remove(indexing.source, id, ASKED)
    await indexing.settled()
    assert await indexing.found("text") == []


async def test_vectors_of_another_length_than_before_are_refused_in_words(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": "some text"})
    await indexing.settled()
    indexing.server.dimensions = 16
    [id] = await indexing.add({"b": "other text"})
    async with asyncio.timeout(PATIENCE):
        while not (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(id)]))[str(id)].error:
            await asyncio.sleep(0.01)
    [error] = [each.error for each in (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(id)])).values()]
    assert error is not None and "16 numbers" in error


async def test_what_was_stored_is_used_by_a_replay_which_calls_no_provider(indexing: Indexing):
    await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    calls = len(indexing.server.requests)
    await build_anew(indexing.container.administration, "passages_v1")
    await indexing.settled()
    assert await indexing.found("lunch at noon", mode="vector", limit=1) == ["Lunch is at noon."]
    assert len(indexing.server.requests) == calls + 1  # the question's own vector


async def test_the_first_profile_that_fits_a_document_says_how_it_is_cut(indexing: Indexing):
    await indexing.models()
    await indexing.change(
        profiles=[
            {"glob": "notes/*", "chunking": {"strategy": "none"}},
            {"glob": "*.txt", "chunking": {"strategy": "sentence"}},
        ]
    )
    await indexing.add({"notes/a.txt": "one line\nand another", "b.txt": "third line\nfourth line"})
    await indexing.settled()
    assert await indexing.found("another", mode="lexical") == ["one line\nand another"]
    assert await indexing.found("fourth", mode="lexical") == ["fourth line"]


async def test_a_change_of_profiles_makes_nothing_anew_of_what_it_does_not_touch(indexing: Indexing):
    await indexing.models()
    await indexing.add({"notes/a": "one line\nand another", "b": "third line"})
    await indexing.settled()
    cut, before = len(indexing.reader.cut_texts), len(embedded(indexing.server))
    await indexing.change(profiles=[{"glob": "notes/*", "chunking": {"strategy": "none"}}])
    await indexing.settled()
    thing = await indexing.thing()
    assert thing.index == thing.newest_index
    assert indexing.reader.cut_texts[cut:] == ["one line\nand another"]
    assert embedded(indexing.server)[before:] == ["one line\nand another"]


async def test_a_profile_says_whether_a_document_is_read_by_ocr(indexing: Indexing):
    await indexing.change(profiles=[{"glob": "*.pdf", "ocr": "always"}])
    await indexing.add({"a.pdf": "one", "b.txt": "two"})
    await indexing.settled()
    assert (indexing.reader.ocr["a.pdf"], indexing.reader.ocr["b.txt"]) == ("always", "auto")


async def test_what_ocr_has_read_is_not_read_again_after_a_failure_beside_it(indexing: Indexing):
    indexing.reader.scanned["scan"] = Scanned(pages=[1])
    indexing.reader.broken.add("other")
    await indexing.add({"scan": "took long", "other": "is read later"})
    await indexing.settled()
    assert sorted(indexing.reader.read_names) == ["other", "other", "scan"]
    assert await indexing.found("took long", mode="lexical", limit=1) == ["took long"]


async def test_a_profile_names_the_parser_and_a_title_or_path_may_fit_it(indexing: Indexing):
    await indexing.change(profiles=[{"glob": "Pictures*", "parser": "text"}, {"glob": "img/*", "parser": "text"}])
    await indexing.settled()
    [by_title] = await indexing.add({"a.png": "said in a"}, media_type="image/png", title="Pictures of us")
    [by_path] = await indexing.add({"b": "said in b"}, media_type="image/png", metadata={"path": "img/b.png"})
    [neither] = await indexing.add({"c.png": "said in c"}, media_type="image/png")
    await indexing.settled()
    assert [(await indexing.document(id)).status for id in (by_title, by_path, neither)] == [
        "indexed",
        "indexed",
        "failed",
    ]
