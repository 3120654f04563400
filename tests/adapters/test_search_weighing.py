"""What sources and age weigh, indexes that are asked for, facets, matched words, and texts that stand in several places."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.retrieval import passages
from adapters.retrieval.highlighting import ranges_of
from domain.errors import Invalid
from domain.filters import as_text
from domain.references import identify
from domain.retrieval import Search, weighed
from domain.retrieval_tool import Recency
from tests.support.knowledge import SPACE, Knowledge, knowledge
from tests.support.postgres import Database

BOTH = pytest.mark.parametrize("mode", ["lexical", "vector", "hybrid"])


def days_ago(days: float) -> str:
    return as_text(datetime.now(UTC) - timedelta(days=days))


@pytest.fixture
async def known(database: Database) -> AsyncIterator[Knowledge]:
    """Two sources with a text in common, dates, and groups."""
    async with knowledge(database) as made:
        for name in ("handbook", "wiki"):
            await made.source(name, metadata={"changed": {"path": "changed", "type": "time"}}, language="english")
        await made.add("handbook", "new", "lunch is served at noon", metadata={"changed": days_ago(1), "kind": "food"})
        await made.add(
            "handbook", "old", "lunch was served at one", metadata={"changed": days_ago(900), "kind": ["food", "past"]}
        )
        await made.add("wiki", "copy", "lunch is served at noon", metadata={"kind": "food", "floor": 2})
        await made.add("wiki", "undated", "the lunches, well-known, of http://food.example/menu \U0001f35c lunch")
        await made.add("wiki", "secret", "lunch is served at noon", acl=["kitchen"], metadata={"kind": "secret"})
        await made.side.caught_up("passages_v1")
        yield made


async def order(known: Knowledge, *sources: str, **asked: Any) -> list[str]:
    found = await known.search("lunch served", *sources, **{"groups": frozenset(), **asked})
    return [passage.external_id for passage in found.passages]


@BOTH
async def test_what_counts_more_comes_first_and_its_scores_are_told(known: Knowledge, mode: str):
    wiki = known.sources["wiki"].id
    for factor in (100.0, 0.01):
        found = await known.search("lunch served", groups=frozenset(), mode=mode, boosts={wiki: factor}, explain=True)
        # The worst of all in hybrid search has 0 points, whatever they are multiplied by.
        of_wiki = [passage.source_id == wiki for passage in found.passages if passage.scores["fused"]]
        assert of_wiki == sorted(of_wiki, reverse=factor > 1)
        for passage in found.passages:
            expected = factor if passage.source_id == wiki else 1.0
            assert passage.factors == {"source": expected, "age": 1.0}
            assert passage.score == passage.scores["weighed"] == weighed(passage.scores["fused"] or 0.0, expected)
        assert found.explained is not None
        ranks = [found.explained.stages["weighed"][passage.id].rank for passage in found.passages]
        assert ranks == sorted(ranks)
        assert any("magnet_events" not in each["plan"] for each in found.explained.statements)


@BOTH
async def test_newer_documents_count_for_more_by_a_field_and_one_without_it_is_very_old(known: Knowledge, mode: str):
    recency = Recency(field="changed", half_life_days=30, weight=1)
    found = await known.search("lunch", groups=frozenset(), mode=mode, recency=recency)
    ages = {passage.external_id: passage.factors["age"] for passage in found.passages}
    assert ages["new"] == pytest.approx(0.5 ** (1 / 30), abs=1e-3)
    assert ages["old"] == pytest.approx(0.5**30, rel=1e-2)
    assert ages["undated"] == 0
    half = await known.search("lunch", groups=frozenset(), recency=recency.model_copy(update={"weight": 0.5}))
    assert {passage.factors["age"] for passage in half.passages if passage.external_id == "undated"} == {0.5}


async def test_without_a_field_the_age_is_that_of_the_newest_version(known: Knowledge):
    await known.owner.execute("ALTER TABLE magnet.magnet_events DISABLE TRIGGER USER")
    await known.owner.execute(
        "UPDATE magnet.magnet_events SET recorded_at = now() - interval '10 days' WHERE originator_id = %s",
        [known.documents["handbook", "new"].id],
    )
    recency = Recency(half_life_days=10, weight=0.8)
    found = await known.search("lunch", "handbook", recency=recency)
    ages = {passage.external_id: passage.factors["age"] for passage in found.passages}
    assert ages["new"] == pytest.approx(0.6, abs=1e-3)
    assert ages["old"] == pytest.approx(1.0, abs=1e-3)


async def test_a_field_that_is_no_time_weighs_nothing_whatever_it_holds(known: Knowledge):
    for name, value in (("a", "9999-99-99T99:99:99Z"), ("b", "infinity"), ("c", "'; DROP TABLE x; --"), ("d", 5)):
        await known.add("wiki", name, f"needle {name}", metadata={"x') --": value})
    found = await known.search("needle", recency=Recency(field="x') --", half_life_days=1, weight=1))
    assert {passage.factors["age"] for passage in found.passages} == {0.0}


async def test_a_search_asks_the_index_that_it_names(known: Knowledge):
    handbook = known.sources["handbook"]
    handbook.build_index(embedding_model=str(identify("model", "other")), space=None)
    await known.record("handbook")
    await known.index("handbook", "new", 2, "lunch by the second index")
    assert await order(known, "handbook", pins={handbook.id: 2}) == ["new"]
    second = await known.search("lunch", "handbook", pins={handbook.id: 2})
    assert (second.indexes, second.passages[0].text) == ({str(handbook.id): 2}, "lunch by the second index")
    assert (await known.search("lunch", "handbook")).indexes == {str(handbook.id): 1}
    handbook.switch_index(2)
    await known.record("handbook")
    assert sorted(await order(known, "handbook", pins={handbook.id: 1})) == ["new", "old"]
    with pytest.raises(Invalid) as refused:
        await known.search("lunch", "handbook", pins={handbook.id: 3})
    assert (refused.value.error_code, refused.value.errors[0].pointer) == (
        "unknown_index",
        f"/index_version/{handbook.id}",
    )


async def test_facets_count_the_documents_that_were_found_and_that_the_caller_may_find(known: Knowledge):
    found = await known.search("lunch", groups=frozenset(), facets=["kind", "floor"], limit=1)
    assert found.facets == {
        "kind": {
            "values": [{"value": "food", "documents": 3}, {"value": "past", "documents": 1}],
            "further": 0,
            "missing": 1,
            "documents": 4,
        },
        "floor": {"values": [{"value": 2, "documents": 1}], "further": 0, "missing": 3, "documents": 4},
    }
    everything = await known.search("lunch", facets=["kind"])
    assert {"value": "secret", "documents": 1} in (everything.facets or {})["kind"]["values"]
    search = Search(query="", sources=[known.sources["wiki"].id], groups=None, facets=["kind", "x') --"])
    with pytest.raises(Invalid) as refused:
        await known.searcher.check(search)
    assert [(error.pointer, error.code) for error in refused.value.errors] == [("/facets/1", "unknown_field")]


async def test_matched_words_are_told_by_their_places_as_the_search_has_them(known: Knowledge):
    found = await known.search("lunches known menu", "wiki", groups=frozenset())
    passages = await known.searcher.highlight(found.passages, ["lunches known menu", "noon"])
    marked = {
        passage.external_id: [passage.text[start:end] for start, end in passage.highlights or ()]
        for passage in passages
    }
    assert marked == {"undated": ["lunches", "known", "menu", "lunch"], "copy": ["lunch", "noon"]}


PIECES = [
    "<b>",
    "<a href='x",
    "&amp;",
    "http://x.y/lunch?q=1",
    "me@lunch.org",
    "well-known",
    "1.5e3",
    "Lunch",
    " ",
    "\n",
]
PIECES += [
    "\u00a0",
    "\x02",
    "\x03",
    "e\u0301",
    "\U0001f35c",
    "'",
    "\\",
    "over-lunch-break",
    "a" * 3000,
    " " * 3000,
    "🍜" * 600,
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: f"{''.join(pieces)} lunch"))
async def test_whatever_a_text_holds_its_matched_words_are_told_by_their_places(known: Knowledge, text: str):
    found = await known.search("noon", "handbook")
    [passage] = [replace(each, text=text) for each in found.passages if each.external_id == "new"]
    [marked] = await known.searcher.highlight([passage], ["lunch ' \\ | & !"])
    words = [text[start:end].lower() for start, end in marked.highlights or ()]
    assert words
    assert set(words) == {"lunch"}
    assert marked.highlights is not None
    assert marked.highlights[-1] == (len(text) - len("lunch"), len(text))


@pytest.mark.parametrize(
    ("marked", "ranges"),
    [("", []), ("a", []), ("\x02a\x03", [(0, 1)]), ("\U0001f35c \x02ab\x03 \x02c\x03", [(2, 4), (5, 6)])],
)
def test_signs_in_a_text_are_told_as_ranges_of_the_text_without_them(marked: str, ranges: list[tuple[int, int]]):
    assert ranges_of(marked) == ranges


@BOTH
async def test_the_same_text_is_given_once_with_where_it_stands_besides(known: Knowledge, mode: str):
    found = await known.search("lunch served at noon", groups=frozenset(), mode=mode)
    texts = [passage.text for passage in found.passages]
    assert len(texts) == len(set(texts)) == 3
    [first] = [passage for passage in found.passages if passage.external_id in ("new", "copy")]
    assert {first.external_id, *(twin.external_id for twin in first.also_in)} == {"new", "copy"}
    everything = await known.search("lunch served at noon", mode=mode)
    [first] = [passage for passage in everything.passages if passage.also_in]
    assert {first.external_id, *(twin.external_id for twin in first.also_in)} == {"new", "copy", "secret"}


@pytest.mark.parametrize("looked_at", [passages.NEXT, 1])
async def test_what_stands_twice_takes_no_place_of_others(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch, looked_at: int
):
    monkeypatch.setattr(passages, "NEXT", looked_at)
    for number in range(4):
        await known.source(f"copy-{number}", space=SPACE)
        await known.add(f"copy-{number}", "again", "lunch is served at noon")
    found = await known.search("lunch served noon", groups=frozenset(), limit=3)
    assert len({passage.text for passage in found.passages}) == 3
    assert max(len(passage.also_in) for passage in found.passages) == 5
