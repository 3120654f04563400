"""Who finds what: documents' groups, inside the SQL."""

import re
from collections.abc import AsyncIterator

import pytest

from adapters.retrieval import narrowing
from tests.support.knowledge import Knowledge, knowledge
from tests.support.postgres import Database

STAFF = frozenset({"staff"})


@pytest.fixture(params=["few", "many"])
async def known(request: pytest.FixtureRequest, database: Database, monkeypatch) -> AsyncIterator[Knowledge]:
    if request.param == "many":
        monkeypatch.setattr(narrowing, "FEWEST", 0)
        monkeypatch.setattr(narrowing, "MOST_EXACT", 0)
    async with knowledge(database) as made:
        yield made


async def names(known: Knowledge, groups: frozenset[str] | None, **asked) -> set[str]:
    found = await known.search("needle", groups=groups, **asked)
    return {passage.external_id for passage in found.passages}


@pytest.mark.parametrize("mode", ["lexical", "vector", "hybrid"])
async def test_a_document_is_found_by_its_groups_and_by_admins_only(known: Knowledge, mode: str):
    await known.source()
    await known.add("handbook", "open", "needle one")
    await known.add("handbook", "staff", "needle two", acl=["staff", "board"])
    await known.add("handbook", "closed", "needle three", acl=[])
    assert await names(known, frozenset(), mode=mode) == {"open"}
    assert await names(known, STAFF, mode=mode) == {"open", "staff"}
    assert await names(known, None, mode=mode) == {"open", "staff", "closed"}


async def test_a_sources_groups_hold_for_documents_without_their_own(known: Knowledge):
    await known.source(acl=["staff"])
    await known.add("handbook", "inherits", "needle one")
    await known.add("handbook", "own", "needle two", acl=["guests"])
    assert await names(known, STAFF) == {"inherits"}
    assert await names(known, frozenset({"guests"})) == {"own"}
    assert await names(known, frozenset()) == set()


async def test_access_that_is_taken_away_holds_at_once_and_wider_access_opens_no_earlier_text(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "needle old", acl=["staff"])
    await known.add("handbook", "a", "needle new", acl=["guests"], indexed=False)  # the old text answers still
    assert await names(known, STAFF) == set()
    assert await names(known, frozenset({"guests"})) == set()
    assert await names(known, frozenset({"guests", "staff"})) == {"a"}
    await known.index("handbook", "a", 1, "needle new")
    assert await names(known, frozenset({"guests"})) == {"a"}


async def test_a_window_brings_no_passage_that_may_not_be_found(known: Knowledge):
    await known.source()
    await known.add("handbook", "open", "needle one", "beside it")
    await known.add("handbook", "closed", "beside needle", acl=[])
    found = await known.search("needle", groups=STAFF, window=3)
    assert {passage.external_id for passage in found.passages} == {"open"}


async def test_words_find_the_best_that_a_caller_may_find_behind_many_better_ones_that_are_not_for_them(
    known: Knowledge,
):
    await known.source()
    await known.add("handbook", "closed", *(f"needle needle {number}" for number in range(150)), acl=[])
    await known.add(
        "handbook", "staff", *(f"a needle among other words, {number}" for number in range(3)), acl=["staff"]
    )
    await known.add("handbook", "worse", "a needle among other words and still others, and many more", acl=["staff"])
    found = (await known.search("needle", groups=STAFF, mode="lexical")).passages
    assert [passage.external_id for passage in found] == ["staff"] * 3 + ["worse"]
    assert {passage.external_id for passage in (await known.search("needle", mode="lexical")).passages} == {"closed"}


async def test_a_filter_and_access_hold_together(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "needle one", acl=["staff"], metadata={"n": 1})
    await known.add("handbook", "b", "needle two", acl=["board"], metadata={"n": 1})
    await known.add("handbook", "c", "needle three", acl=["staff"], metadata={"n": 2})
    either = {"type": "or", "filters": [{"type": "eq", "key": "n", "value": 1}, {"type": "exists", "key": "n"}]}
    assert await names(known, STAFF, filter={"type": "eq", "key": "n", "value": 1}) == {"a"}
    assert await names(known, STAFF, filter=either) == {"a", "c"}


async def test_words_are_looked_for_in_the_few_documents_that_fit_and_not_in_all_again_for_each(known: Knowledge):
    await known.source()
    await known.add("handbook", "staff", "needle two", acl=["staff"])
    found = await known.search("needle", groups=STAFF, mode="lexical", explain=True)
    assert found.explained is not None
    [asked] = found.explained.statements
    plan = str(asked["plan"])
    few = plan.partition("CTE Scan on matching m")[2].partition("->  CTE Scan")[0]
    # Words are compared with what a document's passages say: no index of all passages is read for it.
    assert re.search(r"->  Subquery Scan on e .*\n +Filter: \(e\.words @@ ", few), plan
    assert "(words @@" not in few, plan
