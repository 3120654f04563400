"""Passages as people change them: edited, switched off, written by hand; kept when texts are cut anew."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.passages import Addressed, NotWritten
from domain.errors import Invalid
from domain.knowledge_source import KnowledgeSource
from domain.retrieval import Search
from projections.source_passages import PassagesQuery, SourcePassage
from tests.support.indexing import ASKED, Indexing, embedded, installed, worker
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.rebuilding import build_anew

TEXT = "Holidays are thirty days.\nThey are paid.\nAsk before you go."


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    async with installed(database, tmp_path) as made:
        yield made


async def listed(indexing: Indexing, **more: Any) -> list[SourcePassage]:
    await indexing.settled()
    query = PassagesQuery(**{"source": indexing.source, "groups": None, "limit": 100, **more})
    return list((await indexing.container.passages_view.page(query))[0])


async def passage(indexing: Indexing, text: str) -> SourcePassage:
    [found] = [each for each in await listed(indexing) if each.text == text]
    return found


async def change(indexing: Indexing, said: str, /, **changes: Any) -> None:
    """Change the passage that says this."""
    found = await passage(indexing, said)
    name = None if found.manual else found.name
    at = Addressed(source=indexing.source, document=found.document, passage=name)
    await indexing.container.passages.change(at, changes, ASKED)
    await indexing.settled()


async def rebuilt(indexing: Indexing) -> tuple[str, str]:
    """Return the checksum of what searches read, and that of a rebuild."""
    administration = indexing.container.administration

    async def checksum() -> str:
        return next(each.checksum for each in await administration.status() if each.name == "passages_v1") or ""

    before = await checksum()
    await build_anew(administration, "passages_v1")
    await indexing.settled()
    return before, await checksum()


async def test_an_edited_passage_is_found_by_its_new_text_and_cites_the_range_of_the_old_one(indexing: Indexing):
    await indexing.models()
    [id] = await indexing.add({"a": TEXT})
    await change(indexing, "They are paid.", text="Holidays cost you nothing, salaries go on.")
    search = Search(query="salaries go on", sources=[indexing.source], groups=None, mode="vector", limit=1)
    [found] = (await indexing.container.searcher.search(search)).passages
    assert found.text == "Holidays cost you nothing, salaries go on."
    assert TEXT[found.start : found.end] == "They are paid."
    assert (found.document_id, found.document_version) == (id, 1)
    assert await indexing.found("paid", mode="lexical") == []
    assert embedded(indexing.server).count("Ask before you go.") == 1  # the others are not embedded again


async def test_a_disabled_passage_is_found_by_no_search_and_is_no_neighbour(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": TEXT})
    await change(indexing, "They are paid.", disabled=True)
    for mode in ("vector", "lexical", "hybrid"):
        assert "They are paid." not in await indexing.found("they are paid", mode=mode)
    around = await indexing.found("thirty", mode="lexical", window=2)
    assert around == ["Holidays are thirty days.", "Ask before you go."]
    assert [each.text for each in await listed(indexing, disabled=True)] == ["They are paid."]
    await change(indexing, "They are paid.", disabled=False)
    assert await indexing.found("they are paid", mode="vector", limit=1) == ["They are paid."]
    assert await indexing.found("paid", mode="lexical") == ["They are paid."]


async def test_a_passage_is_disabled_while_the_provider_is_down(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": TEXT})
    await indexing.settled()
    calls = len(indexing.server.requests)
    await change(indexing, "They are paid.", disabled=True)
    assert await indexing.found("paid", mode="lexical") == []
    assert len(indexing.server.requests) == calls


async def test_changes_survive_a_new_version_and_another_way_of_cutting(indexing: Indexing):
    await indexing.add({"a": TEXT})
    await change(indexing, "They are paid.", text="Paid in full.")
    await change(indexing, "Ask before you go.", disabled=True)
    await indexing.add({"a": f"A new beginning.\n{TEXT}"})
    assert [each.text for each in await listed(indexing)] == [
        "A new beginning.",
        "Holidays are thirty days.",
        "Paid in full.",
        "Ask before you go.",
    ]
    await indexing.change(chunking={"size": 128, "overlap": 0})
    edited, disabled = await listed(indexing, edited=True), await listed(indexing, disabled=True)
    assert ([each.text for each in edited], [each.text for each in disabled]) == (
        ["Paid in full."],
        ["Ask before you go."],
    )
    assert edited[0].original == "They are paid."
    assert await indexing.found("ask") == []


async def test_an_edit_whose_text_is_gone_is_kept_and_told_as_orphaned(indexing: Indexing):
    await indexing.add({"a": TEXT})
    await change(indexing, "They are paid.", text="Paid in full.")
    await indexing.add({"a": "Holidays are thirty days.\nNothing is paid."})
    await indexing.settled()
    assert await indexing.found("full") == []
    [orphan] = await listed(indexing, orphaned=True)
    assert (orphan.text, orphan.orphaned, orphan.edited) == ("Paid in full.", True, True)
    await indexing.add({"a": TEXT})
    assert await listed(indexing, orphaned=True) == []
    assert await indexing.found("full") == ["Paid in full."]


async def test_a_passage_says_again_what_was_cut_there(indexing: Indexing):
    await indexing.add({"a": TEXT})
    await change(indexing, "They are paid.", text="Paid in full.")
    await change(indexing, "Paid in full.", text=None)
    assert await indexing.found("paid") == ["They are paid."]
    assert await listed(indexing, edited=True) == []


async def test_a_passage_that_is_written_by_hand_is_found_as_it_is_and_never_cut(indexing: Indexing):
    await indexing.models()
    text = "Line one.\nLine two of the same passage."
    given = {"text": text, "title": "Hint", "url": "https://example.com/h", "metadata": {"kind": "hint"}}
    await indexing.container.passages.write(indexing.source, given, ASKED)
    await indexing.settled()
    assert await indexing.found("same passage", mode="vector") == [text]
    [manual] = await listed(indexing, manual=True)
    assert (manual.text, manual.title, manual.metadata) == (text, "Hint", {"kind": "hint"})
    await change(indexing, text, text="Another hint.", title="Other")
    assert await indexing.found("hint", mode="lexical") == ["Another hint."]
    await change(indexing, "Another hint.", disabled=True)
    await change(indexing, "Another hint.", text="A third hint.")
    assert await indexing.found("hint", mode="lexical") == []


async def test_only_what_was_written_by_hand_is_removed_as_a_passage(indexing: Indexing):
    await indexing.add({"a": TEXT})
    added = await indexing.container.passages.write(indexing.source, {"text": "By hand."}, ASKED)
    cut = await passage(indexing, "They are paid.")
    at = Addressed(source=indexing.source, document=cut.document, passage=cut.name)
    with pytest.raises(NotWritten):
        await indexing.container.passages.remove(at, ASKED)
    id = UUID(added.documents[0]["id"])
    await indexing.container.passages.remove(Addressed(source=indexing.source, document=id, passage=None), ASKED)
    assert [each.text for each in await listed(indexing, manual=True)] == []


@pytest.mark.parametrize(("changes", "pointer"), [({"text": "  "}, "/text"), ({"title": "x"}, "/title")])
async def test_a_change_that_can_not_be_is_refused_where_it_is_wrong(indexing: Indexing, changes, pointer: str):
    await indexing.add({"a": TEXT})
    with pytest.raises(Invalid) as refusal:
        await change(indexing, "They are paid.", **changes)
    assert refusal.value.errors[0].pointer == pointer


async def test_an_edit_waits_for_the_provider_and_the_old_text_is_found_meanwhile(indexing: Indexing):
    await indexing.models()
    [id] = await indexing.add({"a": TEXT})
    found = await passage(indexing, "They are paid.")
    indexing.server.refuses = "poison"
    at = Addressed(source=indexing.source, document=id, passage=found.name)
    await indexing.container.passages.change(at, {"text": "poison"}, ASKED)
    async with asyncio.timeout(PATIENCE):
        while not (await indexing.container.jobs.waiting(INDEX_DOCUMENT, [str(id)]))[str(id)].error:
            await asyncio.sleep(0.01)
    assert await indexing.found("paid", mode="lexical") == ["They are paid."]
    indexing.server.refuses = ""
    await indexing.settled()
    assert await indexing.found("poison", mode="lexical") == ["poison"]


async def test_a_rebuild_gives_the_same_passages_with_all_that_was_changed(indexing: Indexing):
    await indexing.models()
    await indexing.add({"a": TEXT, "b": "Lunch is at noon."})
    await change(indexing, "They are paid.", text="Paid in full.")
    await change(indexing, "Ask before you go.", disabled=True)
    await change(indexing, "Lunch is at noon.", disabled=True)
    await change(indexing, "Lunch is at noon.", disabled=False)
    await indexing.container.passages.write(indexing.source, {"text": "By hand."}, ASKED)
    await indexing.settled()
    before, after = await rebuilt(indexing)
    assert before == after


PARAGRAPHS = "Holidays are thirty days.\nThey are paid.\n\nLunch is at noon.\nIt is free."
PARENTS = PARAGRAPHS.split("\n\n")


async def parented(indexing: Indexing) -> None:
    """Have small parts found, and the paragraphs that they are of given."""
    await indexing.models()
    await indexing.change(chunking={"strategy": "parent_child", "size": 16, "overlap": 0, "parent_size": 64})
    await indexing.add({"a": PARAGRAPHS})
    await indexing.settled()


async def test_parts_are_embedded_and_found_and_what_they_are_part_of_is_given_once(indexing: Indexing):
    await parented(indexing)
    assert sorted(embedded(indexing.server)) == sorted(PARAGRAPHS.replace("\n\n", "\n").split("\n"))
    for mode in ("vector", "lexical", "hybrid"):
        assert await indexing.found("holidays paid", mode=mode, limit=1) == PARENTS[:1]
    assert sorted(await indexing.found("holidays paid lunch free", mode="hybrid")) == sorted(PARENTS)
    search = Search(query="free", sources=[indexing.source], groups=None, mode="lexical")
    [found] = (await indexing.container.searcher.search(search)).passages
    assert PARAGRAPHS[found.start : found.end] == found.text == PARENTS[1]
    assert await indexing.found("paid", mode="lexical", window=1) == PARENTS
    assert [each.text for each in await listed(indexing)] == PARENTS


async def test_what_parts_are_part_of_is_edited_and_disabled_with_them(indexing: Indexing):
    await parented(indexing)
    await change(indexing, PARENTS[0], text="Holidays are forty days.\nSalaries go on.")
    assert await indexing.found("salaries", mode="lexical") == ["Holidays are forty days.\nSalaries go on."]
    assert await indexing.found("salaries go on", mode="vector", limit=1) == [
        "Holidays are forty days.\nSalaries go on."
    ]
    assert await indexing.found("paid", mode="lexical") == []
    await change(indexing, PARENTS[1], disabled=True)
    assert await indexing.found("free", mode="lexical") == []
    assert PARENTS[1] not in await indexing.found("it is free", mode="vector")
    before, after = await rebuilt(indexing)
    assert before == after


async def test_an_edit_whose_parts_can_not_be_cut_is_told_as_failed(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch
):
    await parented(indexing)
    monkeypatch.setattr(indexing.container.jobs, "_first_pause", 3600.0)
    indexing.reader.uncuttable = "recursive"
    await change(indexing, PARENTS[0], text="Holidays are forty days.")
    [found] = {each.document for each in await listed(indexing)}
    document = await indexing.document(found)
    assert (document.status, document.failure) == ("indexed", {"code": "unreadable", "reason": "It can't be cut so."})
    assert await indexing.found("paid", mode="lexical") == PARENTS[:1]


async def test_tables_of_an_earlier_version_are_completed_at_the_start(database: Database, tmp_path: Path):
    async with installed(database, tmp_path) as indexing:
        await indexing.add({"a": TEXT})
        await indexing.settled()
    with psycopg.connect(database.owner_dsn) as owner:  # as they were before passages could be changed
        owner.execute("DROP TABLE passages_v1.passage_edits, passages_v1.written, passages_v1.parted")
        owner.execute(
            "ALTER TABLE passages_v1.passages DROP COLUMN searched, DROP COLUMN parent, DROP COLUMN edit,"
            " DROP COLUMN disabled"
        )
    async with worker(database, tmp_path, PlainReader()) as container:
        indexing = Indexing(container=container, database=database, reader=PlainReader(), server=indexing.server)
        indexing.source = KnowledgeSource.create_id("handbook")
        await change(indexing, "They are paid.", text="Paid in full.")
        assert await indexing.found("full") == ["Paid in full."]
