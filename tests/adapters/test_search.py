"""Searching: what comes back, in which order, and what happens where something is missing or changes."""
# ruff: noqa: RUF001 - texts of other scripts are among those that are searched

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.retrieval import narrowing
from adapters.retrieval.narrowing import LARGE, THOROUGH, USUAL, Narrowing
from adapters.retrieval.survey import Area
from commands.models.model_calls import ModelCallFailed
from domain.references import identify
from domain.retrieval import Search, passage_id, space_name
from domain.unspaced import SIGNS
from tests.support.knowledge import MODEL, SPACE, Knowledge, knowledge
from tests.support.postgres import Database

OTHER_MODEL = identify("model", "other")
OTHER_SPACE = space_name(OTHER_MODEL, "other-32")


@pytest.fixture
async def known(database: Database) -> AsyncIterator[Knowledge]:
    async with knowledge(database) as made:
        yield made


@pytest.mark.parametrize("mode", ["hybrid", "vector", "lexical"])
async def test_each_mode_says_what_it_did_and_scores_every_stage(known: Knowledge, mode: str):
    await known.source()
    await known.add("handbook", "a", "Holidays are thirty days a year.")
    await known.add("handbook", "b", "Lunch is at noon, on thirty tables.")
    found = await known.search("thirty holidays", mode=mode)
    assert found.retrieval == mode
    best = found.passages[0]
    assert best.external_id == "a"
    assert best.scores["vector"] is None if mode == "lexical" else -1 <= best.scores["vector"] <= 1
    assert best.scores["lexical"] is None if mode == "vector" else best.scores["lexical"] > 0
    assert [passage.score for passage in found.passages] == sorted((p.score for p in found.passages), reverse=True)
    again = await known.search("thirty holidays", mode=mode)
    assert again.passages == found.passages


@pytest.mark.parametrize("query", ["fromisoformat", "datetime.fromisoformat", "iso_dates", "dates", "notes"])
async def test_names_of_programs_are_found_by_their_parts_and_whole(known: Knowledge, query: str):
    await known.source()
    await known.add("handbook", "other", "something else")
    await known.add("handbook", "a", "See datetime.fromisoformat and iso_dates in docs/notes.md", title="datetime.date")
    assert [each.external_id for each in (await known.search(query, mode="lexical")).passages] == ["a"]


UNSPACED = {
    "zh": "会议在十点半开始。请带上所有的文件，不要迟到！",
    "ja": "会議室ではポンプがうるさい。Pythonで書かれたログを見てください。",
    "ko": "회의실에서 펌프가 시끄럽습니다.",
    "th": "ปั๊มน้ำในห้องประชุมส่งเสียงดัง",
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("文件", ["zh"]), ("会议几点开始？", ["zh"]), ("迟", ["zh"]), ("うるさいポンプ", ["ja"]), ("ログ", ["ja"]), ("python", ["ja"]),
        ("펌프", ["ko"]), ("회의실", ["ko"]), ("ห้องประชุม", ["th"]), ("报告", []), ("スープ", []), ("전화", []),
    ],
)  # fmt: skip
async def test_words_that_no_blanks_part_are_found_wherever_they_stand(
    known: Knowledge, query: str, expected: list[str]
):
    await known.source()
    for name, text in UNSPACED.items():
        await known.add("handbook", name, text)
    await known.add("handbook", "en", "The meeting begins at half past ten.")
    found = (await known.search(query, mode="lexical")).passages
    assert [each.external_id for each in found][:1] == expected
    marked = await known.searcher.highlight(found[:1], [query])
    for passage in marked:
        words = [passage.text[start:end].lower() for start, end in passage.highlights or ()]
        assert words and all(word in query for word in words), words


async def test_searches_answers_and_checks_agree_on_what_has_no_blanks(known: Knowledge):
    [(signs,)] = await (await known.owner.execute("SELECT magnet.unspaced_signs()")).fetchall()
    assert signs == SIGNS


async def test_a_long_text_without_blanks_and_a_long_query_of_it_are_taken(known: Knowledge):
    await known.source()
    signs = [chr(0x20000 + number * 7919 % 40_000) for number in range(100_000)]
    await known.add("handbook", "long", "".join(signs))
    assert len((await known.search("".join(signs[:10_000]), mode="lexical")).passages) == 1


async def test_the_limit_cuts_and_the_threshold_leaves_out(known: Knowledge):
    await known.source()
    for number in range(5):
        await known.add("handbook", f"{number}", f"apples and pears {number}")
    await known.add("handbook", "far", "bicycle pump")
    assert len((await known.search("apples", limit=3)).passages) == 3
    found = await known.search("apples and pears 1", mode="vector", limit=100, threshold=0.8)
    assert {"1"} <= {passage.external_id for passage in found.passages} < {"0", "1", "2", "3", "4"} | {"far"}
    assert all(passage.score >= 0.8 for passage in found.passages)


async def test_hybrid_search_makes_one_order_by_scores_or_by_ranks_and_weights_the_two_sides(known: Knowledge):
    await known.source()
    for name, text in (("a", "red apples"), ("b", "red red red stones"), ("c", "apples of all colours, red ones too")):
        await known.add("handbook", name, text)
    for fusion in ("weighted", "rrf"):
        for weight, alone in ((1.0, "vector"), (0.0, "lexical")):
            both = await known.search("red apples", fusion=fusion, vector_weight=weight)
            alike = [p.external_id for p in (await known.search("red apples", mode=alone)).passages]
            assert [p.external_id for p in both.passages][: len(alike)] == alike, (fusion, weight)
    by_ranks = (await known.search("red apples", fusion="rrf", vector_weight=0.5)).passages
    assert by_ranks[0].external_id == "a"
    assert by_ranks[0].score == 1.0, "the first of both sides"
    for passage in by_ranks:
        places = [
            sorted((p.scores[side] for p in by_ranks if p.scores[side] is not None), reverse=True)
            for side in ("vector", "lexical")
        ]
        ranks = [place.index(passage.scores[s]) + 1 for place, s in zip(places, ("vector", "lexical"), strict=True)]
        assert passage.score == pytest.approx(sum(0.5 * 61 / (60 + rank) for rank in ranks))


@pytest.mark.parametrize("mode", ["hybrid", "vector", "lexical"])
async def test_several_queries_are_embedded_together_searched_at_once_and_become_one_order(known: Knowledge, mode: str):
    await known.source()
    for text in ("green pears", "blue plums", "old stones", "green plums"):
        await known.add("handbook", text, text)
    alone = [await known.texts(query, mode=mode) for query in ("green pears", "blue plums")]
    before = len(known.models.calls)
    found = await known.search("green pears", mode=mode, further=["blue plums"])
    told = [passage.text for passage in found.passages]
    scores: dict[str, float] = {}
    for each in alone:
        for rank, text in enumerate(each, 1):
            scores[text] = scores.get(text, 0.0) + 61 / (60 + rank) / 2
    assert {passage.text: passage.score for passage in found.passages} == pytest.approx(scores)
    assert [scores[text] for text in told] == sorted(scores.values(), reverse=True)
    assert known.models.calls[before:] == ([] if mode == "lexical" else [["green pears", "blue plums"]])


async def test_several_queries_narrowed_by_a_filter_and_by_groups_find_what_each_may(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "green pears", metadata={"n": 1})
    await known.add("handbook", "b", "blue plums", metadata={"n": 1}, acl=["staff"])
    await known.add("handbook", "c", "blue plums and pears", metadata={"n": 2})
    one = {"type": "eq", "key": "n", "value": 1}
    for groups, expected in ((frozenset({"staff"}), {"a", "b"}), (frozenset({"other"}), {"a"}), (None, {"a", "b"})):
        found = await known.search("pears", groups=groups, further=["plums", "?"], filter=one)
        assert {passage.external_id for passage in found.passages} == expected


async def test_the_threshold_is_that_of_each_query_by_itself(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "green pears")
    await known.add("handbook", "b", "blue plums")
    found = await known.search("green pears", mode="vector", further=["blue plums"], threshold=0.99)
    assert [passage.external_id for passage in found.passages] in (["a", "b"], ["b", "a"])
    assert {passage.score for passage in found.passages} == {0.5}


async def test_a_window_gives_each_passage_once_by_document_in_the_order_of_first_hits(known: Knowledge):
    await known.source()
    await known.add("handbook", "long", "zero", "needle one", "two", "needle needle three", "four", "five", "six")
    await known.add("handbook", "short", "nothing", "needle needle needle", "end")
    found = await known.search("needle", mode="lexical", window=1)
    hits = [passage for passage in found.passages if passage.score]
    assert len(hits) == 3
    told = [(passage.external_id, passage.text) for passage in found.passages]
    long = [("long", text) for text in ("zero", "needle one", "two", "needle needle three", "four")]
    short = [("short", text) for text in ("nothing", "needle needle needle", "end")]
    first = max(hits, key=lambda passage: passage.score).external_id
    assert told == (short + long if first == "short" else long + short)


async def test_what_was_replaced_while_it_was_reranked_stays_as_it_was_found_without_neighbours(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "zero", "needle one", "two")
    await known.add("handbook", "b", "nothing", "needle needle", "end")
    found = (await known.search("needle", mode="lexical")).passages
    assert [p.text for p in await known.searcher.widen(found, 0)] == [p.text for p in found]
    turned = list(reversed(found))
    widened = [(p.external_id, p.text) for p in await known.searcher.widen(turned, 1)]
    whole = {"a": ["zero", "needle one", "two"], "b": ["nothing", "needle needle", "end"]}
    assert widened == [(p.external_id, text) for p in turned for text in whole[p.external_id]]
    await known.add("handbook", "a", "nothing of the kind")
    await known.side.caught_up("passages_v1")
    whole["a"] = ["needle one"]
    widened = [(p.external_id, p.text) for p in await known.searcher.widen(turned, 1)]
    assert widened == [(p.external_id, text) for p in turned for text in whole[p.external_id]]


async def test_a_provider_that_is_down_leaves_the_words_and_the_answer_says_so(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "Holidays are thirty days a year.")
    failure = ModelCallFailed(code="connection_failed", details={"provider": "house", "upstream_status": None})
    known.models.failure = failure
    found = await known.search("thirty holidays")
    assert (found.retrieval, [passage.external_id for passage in found.passages]) == ("lexical", ["a"])
    assert found.notes == ["Searched by words only: the query could not be embedded (connection_failed)."]
    assert found.embeddings == [failure]
    with pytest.raises(ModelCallFailed):
        await known.search("thirty holidays", mode="vector")
    known.models.failure = None
    assert (await known.search("thirty holidays", mode="vector")).retrieval == "vector"


async def test_sources_without_vectors_are_searched_by_words_beside_those_with_them(known: Knowledge):
    await known.source()
    await known.source("words", space=None)
    await known.add("handbook", "a", "thirty holidays")
    await known.add("words", "b", "thirty lunches")
    found = await known.search("thirty")
    assert found.retrieval == "hybrid"
    assert {passage.external_id for passage in found.passages} == {"a", "b"}
    assert (await known.search("thirty", "words")).retrieval == "lexical"
    assert (await known.search("nothing of it", "words")).passages == []


async def test_a_source_that_is_a_small_part_of_its_space_is_searched_whole(known: Knowledge):
    await known.source()
    await known.source("small")
    for number in range(150):
        await known.add("handbook", f"{number}", f"apples and pears {number}")
    await known.add("small", "lone", "a bicycle")
    found = await known.search("apples and pears 1", "small", mode="vector")
    assert [passage.external_id for passage in found.passages] == ["lone"]


async def test_what_is_archived_or_removed_is_found_no_more(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "needle one")
    gone = await known.add("handbook", "b", "needle two")
    gone.remove(cause="request")
    await known.side.record(gone)
    assert await known.texts("needle") == ["needle one"]
    known.sources["handbook"].archive()
    await known.record("handbook")
    assert await known.texts("needle") == []


async def test_a_rebuild_gives_the_same_checksum_and_the_same_results(known: Knowledge):
    await known.source(metadata={"n": {"path": "n", "type": "number"}})
    for number in range(20):
        await known.add("handbook", f"{number}", f"needle {number}", f"more {number}", metadata={"n": number})
    before, checksum = await known.search("needle 3"), await known.checksum()
    position = await known.rebuild()
    assert position == await known.side.log.head()
    assert await known.checksum() == checksum
    after = await known.search("needle 3")
    assert (after.passages, after.indexes) == (before.passages, before.indexes)


async def test_searches_during_a_rebuild_and_a_new_index_never_fail_and_never_mix_models(known: Knowledge):
    source = await known.source()
    texts = {f"{number}": f"needle number {number}" for number in range(30)}
    for name, text in texts.items():
        await known.add("handbook", name, text)
    await known.side.caught_up("passages_v1")
    stop = asyncio.Event()

    async def searching(mode: str) -> list[int]:
        seen = []
        while not stop.is_set():
            found = await known.search("needle number 7", mode=mode, limit=100, settled=False)
            assert found.retrieval == mode
            assert found.notes == []
            assert len(found.passages) == len(texts), "a search found less while an index was switched"
            best = found.passages[0]
            index = found.indexes[str(source.id)]
            assert best.id == passage_id(known.documents["handbook", "7"].id, 1, index, 0)
            if mode == "lexical":
                assert not found.embeddings
            else:
                assert best.scores["vector"] == pytest.approx(1, abs=0.01)
                assert found.embeddings
            seen.append(index)
        return seen

    searches = [asyncio.create_task(searching(mode)) for mode in ("hybrid", "vector", "lexical")]
    try:
        source.build_index(embedding_model=str(OTHER_MODEL), space=OTHER_SPACE)
        await known.record("handbook")
        for name, text in texts.items():
            await known.index("handbook", name, 2, text)
        await known.rebuild()
        for index in (2, 1, 2, 1, 2):
            source.switch_index(index)
            await known.record("handbook")
            await known.side.caught_up("passages_v1")
            await asyncio.sleep(0.02)
        await known.rebuild()
    finally:
        stop.set()
        seen = await asyncio.gather(*searches)
    assert [set(each) for each in seen] == [{1, 2}] * 3
    assert known.models.asked == {(MODEL, SPACE), (OTHER_MODEL, OTHER_SPACE)}


@pytest.mark.parametrize("mode", ["hybrid", "vector"])
async def test_a_model_that_has_another_name_by_now_embeds_the_query_as_it_did_the_index(known: Knowledge, mode: str):
    await known.source()
    for number in range(30):
        await known.add("handbook", f"{number}", f"needle number {number}")
    known.models.names[MODEL] = "tiny-33"
    best, *_ = (await known.search("needle number 7", mode=mode, limit=100)).passages
    assert (best.external_id, best.scores["vector"]) == ("7", pytest.approx(1, abs=0.01))


async def test_a_large_index_is_walked_more_thoroughly_and_only_by_the_search_that_needs_it(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    narrowed = Narrowing(condition=None, parameters={}, ranked=1)
    for whole, thoroughness in ((LARGE - 1, USUAL), (LARGE, THOROUGH)):
        area = Area(space=SPACE, model=MODEL, dimensions=32, whole=whole)
        assert narrowed.values(Search(query="", sources=[], groups=None), area)["thoroughness"] == thoroughness
    monkeypatch.setattr(narrowing, "LARGE", 0)
    await known.source()
    await known.add("handbook", "a", "needle")
    assert await known.texts("needle", mode="vector") == ["needle"]
    for each in await known.searcher._rows.of(b"SELECT current_setting('hnsw.ef_search')", {}):
        assert each == (USUAL,)
