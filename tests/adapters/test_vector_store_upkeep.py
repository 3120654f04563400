"""A vector store that is filled, fails, loses everything, is exchanged or left: no answer is wrong in silence."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import psycopg
import pytest

from adapters.plugins import vector_store
from adapters.postgres.passages import upkeep
from adapters.postgres.passages.standing import StoredSpace, StoresStanding
from adapters.postgres.passages.stored import StoredPassages
from adapters.projection_runner import upkeep as tending
from adapters.retrieval import narrowing, nearest
from adapters.retrieval.searcher import CUT_SHORT, PostgresSearcher
from commands.retrieval.vector_store import Entry, StoredPlace, VectorStoreUnavailable
from tests.support.knowledge import DIMENSIONS, SPACE, Knowledge, knowledge, vector
from tests.support.postgres import Database
from tests.support.vector_stores import Simple, SimpleConfig, store_of

SCHEMA = "passages_v1"
LOST = "Searched by words only: the vector store could not be asked (vector_store_empty)."
UNREACHED = "Searched by words only: the vector store could not be asked (vector_store_unavailable)."


class ByDocument:
    """Opens a store that has no more than LlamaIndex asks of every one."""

    name = "by_document"
    Config = SimpleConfig

    def __init__(self) -> None:
        from tests.support.llama_stores import OnlyByDocument

        self.opened: Any = OnlyByDocument()

    def open(self, collection: str, dimensions: int, config: SimpleConfig, secrets: Mapping[str, str]) -> Any:
        return self.opened


@pytest.fixture
def plugin() -> Simple:
    return Simple()


@pytest.fixture
async def known(database: Database, plugin: Simple, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Knowledge]:
    monkeypatch.setattr(upkeep, "SMALL", 3)
    for name in ("FEWEST", "MOST_EXACT"):
        monkeypatch.setattr(narrowing, name, 0)
    monkeypatch.setattr(tending, "EVERY", 3600.0)
    async with knowledge(database, store_of(plugin)) as made:
        await made.source()
        for number in range(6):
            await made.add("handbook", f"{number}", f"needle number {number}", f"hay {number}")
        yield made


async def kept(known: Knowledge, plugin: Simple, **config: Any) -> None:
    """Have upkeep done once, as a process does that has just started."""
    await known.side.caught_up(SCHEMA)
    await StoredPassages(store_of(plugin, **config)).keep(known.side.pool, SCHEMA)


def standing(database: Database) -> list[StoredSpace]:
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        return list(StoresStanding(connection, "simple").spaces())


async def test_postgresql_answers_by_itself_until_the_store_has_all(
    database: Database, known: Knowledge, plugin: Simple, monkeypatch: pytest.MonkeyPatch
):
    await known.side.caught_up(SCHEMA)
    await upkeep.keep_passages(known.side.pool, SCHEMA)  # as an installation had it before
    before = await known.search("needle number 3", mode="vector")
    assert (len(before.passages), plugin.asked) == (10, 0)
    plugin.down = True
    await kept(known, plugin)
    assert (await known.search("needle number 3", mode="vector")).passages == before.passages
    plugin.down = False
    await kept(known, plugin)
    found = await known.search("needle number 3", mode="vector")
    assert (found.passages, plugin.asked, "store" in found.timings_ms) == (before.passages, 1, True)
    [space] = standing(database)
    assert (space.asked, space.stored, space.waiting, space.to_remove) == (space.store, 12, 0, 0)


async def test_a_store_that_is_down_leaves_words_and_says_so_and_misses_nothing_afterwards(
    database: Database, known: Knowledge, plugin: Simple
):
    await kept(known, plugin)
    plugin.down = True
    found = await known.search("needle number 3")
    assert (found.retrieval, found.notes) == ("lexical", [UNREACHED])
    with pytest.raises(VectorStoreUnavailable) as refused:
        await known.search("needle number 3", mode="vector")
    assert "nobody answers" in refused.value.why
    assert "nobody answers" not in str(refused.value)
    known.documents["handbook", "3"].remove(cause="deleted")
    await known.side.record(known.documents["handbook", "3"])
    await known.add("handbook", "new", "needle number 7")
    await kept(known, plugin)
    [space] = standing(database)
    assert (space.stored, space.waiting, space.to_remove, plugin.held()) == (12, 1, 1, 12)
    plugin.down = False
    await kept(known, plugin)
    texts = await known.texts("needle number 7", mode="vector", limit=100)
    assert texts[0] == "needle number 7"
    assert (len(texts), plugin.held()) == (11, 11)


async def test_a_store_that_lost_everything_is_noticed_and_filled_anew(
    database: Database, known: Knowledge, plugin: Simple
):
    await kept(known, plugin)
    before = await known.search("needle number 3", mode="vector")
    plugin.kept.clear()
    known.searcher = PostgresSearcher(known.searcher._rows._pool, known.models, store_of(plugin))
    assert (await known.search("needle number 3")).notes == [LOST]
    with pytest.raises(VectorStoreUnavailable) as refused:
        await known.search("needle number 3", mode="vector")
    assert refused.value.error_code == "vector_store_empty"
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        assert StoresStanding(connection, "simple").fill_anew() == 1
    found = await known.search("needle number 3", mode="vector")  # already, by PostgreSQL itself
    assert (found.passages, "store" in found.timings_ms) == (before.passages, True)
    await kept(known, plugin)
    assert (await known.search("needle number 3", mode="vector")).passages == before.passages
    assert plugin.held() == 12
    [space] = standing(database)
    assert space.store.endswith("#2")
    assert (space.asked, space.stored) == (space.store, 12)


async def test_filling_anew_empties_the_store_of_what_nobody_knows_of(
    database: Database, known: Knowledge, plugin: Simple
):
    await kept(known, plugin)
    stray = Entry(place=1, ordinal=7, cut=b"else")
    await store_of(plugin).add(SPACE, DIMENSIONS, [(stray, vector("needle"))])
    assert plugin.held() == 13
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        StoresStanding(connection, "simple").fill_anew()
    await kept(known, plugin)
    assert plugin.held() == 12


async def test_what_a_store_names_that_stands_nowhere_is_left_out(known: Knowledge, plugin: Simple):
    await kept(known, plugin)
    before = await known.search("needle number 3", mode="vector", limit=100)
    store = store_of(plugin)
    [first, *_] = await store.nearest(SPACE, DIMENSIONS, vector("needle number 3"), 1)
    strays = [
        Entry(place=first.place, ordinal=first.ordinal, cut=b"else"),
        Entry(place=2**40, ordinal=0, cut=first.cut),
        Entry(place=first.place, ordinal=99, cut=first.cut),
    ]
    await store.add(SPACE, DIMENSIONS, [(each, vector("needle number 3")) for each in strays])
    assert (await known.search("needle number 3", mode="vector", limit=100)).passages == before.passages


async def test_another_address_is_another_store_and_is_filled_before_it_is_asked(
    database: Database, known: Knowledge, plugin: Simple
):
    await kept(known, plugin)
    elsewhere = Simple()
    known.searcher = PostgresSearcher(known.searcher._rows._pool, known.models, store_of(elsewhere, where="there"))
    found = await known.search("needle number 3", mode="vector", limit=100)
    assert (len(found.passages), elsewhere.asked) == (12, 0)
    await kept(known, elsewhere, where="there")
    found = await known.search("needle number 3", mode="vector", limit=100)
    assert (len(found.passages), elsewhere.asked, elsewhere.held()) == (12, 1, 12)


async def test_a_store_that_is_left_is_no_longer_asked_and_filled_up_when_one_comes_back(
    known: Knowledge, plugin: Simple
):
    await kept(known, plugin)
    await upkeep.keep_passages(known.side.pool, SCHEMA)
    await known.add("handbook", "new", "needle number 7")
    await known.side.caught_up(SCHEMA)
    await upkeep.keep_passages(known.side.pool, SCHEMA)
    assert (await known.texts("needle number 7", mode="vector"))[0] == "needle number 7"
    assert (plugin.asked, plugin.given) == (0, 12)
    await kept(known, plugin)
    assert (await known.texts("needle number 7", mode="vector"))[0] == "needle number 7"
    assert (plugin.asked, plugin.given, plugin.held()) == (1, 13, 13)


async def test_who_is_killed_between_putting_and_noting_leaves_nothing_doubled_or_unknown(
    database: Database, known: Knowledge, plugin: Simple, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    store = store_of(plugin)
    add = store.add

    async def killed(*arguments: Any) -> None:
        await add(*arguments)
        raise Killed

    monkeypatch.setattr(store, "add", killed)
    await known.side.caught_up(SCHEMA)
    with pytest.raises(Killed):
        await StoredPassages(store).keep(known.side.pool, SCHEMA)
    assert (plugin.held(), len(await known.texts("needle", mode="vector", limit=100))) == (12, 12)
    known.documents["handbook", "3"].remove(cause="deleted")
    await known.side.record(known.documents["handbook", "3"])
    await kept(known, plugin)
    assert (plugin.held(), len(await known.texts("needle", mode="vector", limit=100))) == (10, 10)
    [space] = standing(database)
    assert (space.stored, space.waiting, space.to_remove) == (10, 0, 0)


async def test_an_index_is_ready_once_few_of_its_vectors_wait_for_the_store(known: Knowledge, plugin: Simple):
    source = known.sources["handbook"]
    await kept(known, plugin)
    position = await known.side.log.head()
    here, elsewhere = (upkeep.PostgresVectorTables(known.side.pool, indexed=indexed) for indexed in (True, False))
    assert await elsewhere.in_order(source.id, source.index, position)
    assert not await here.in_order(source.id, source.index, position)  # there is no index in PostgreSQL itself


async def test_building_the_read_model_anew_puts_nothing_into_the_store_again(known: Knowledge, plugin: Simple):
    await kept(known, plugin)
    before = await known.search("needle number 3", mode="vector")
    await known.rebuild()
    await kept(known, plugin)
    assert (plugin.given, plugin.held()) == (12, 12)
    assert (await known.search("needle number 3", mode="vector")).passages == before.passages


async def test_where_too_few_of_the_nearest_may_be_found_the_answer_says_so(
    known: Knowledge, plugin: Simple, monkeypatch: pytest.MonkeyPatch
):
    await kept(known, plugin)
    for name, value in {"FIRST": 2, "LAST": 8}.items():
        monkeypatch.setattr(nearest, name, value)
    found = await known.search("needle number 3", mode="vector", explain=True)
    assert (plugin.asked, found.notes) == (2, [CUT_SHORT])
    [told] = found.explained.statements if found.explained else []
    assert told["vector_store"] == {"type": "simple", "asked_for": 8, "cut_short": True}
    monkeypatch.setattr(nearest, "LAST", 100)
    found = await known.search("needle number 3", mode="vector")
    assert found.notes == []


async def test_few_that_a_filter_leaves_are_compared_without_asking_the_store(
    known: Knowledge, plugin: Simple, monkeypatch: pytest.MonkeyPatch
):
    await kept(known, plugin)
    for name in ("FEWEST", "MOST_EXACT"):
        monkeypatch.setattr(narrowing, name, 5_000)
    await known.add("handbook", "ours", "something of ours", acl=["ours"])
    await kept(known, plugin)
    found = await known.texts("needle number 3", mode="vector", groups=frozenset({"ours"}), limit=100)
    assert (len(found), plugin.asked) == (13, 0)


def test_an_id_in_a_store_is_an_entry_and_nothing_else_is() -> None:
    entry = Entry(place=2**40 + 3, ordinal=70_000, cut=b"\x00\xff\x01\x02")
    assert Entry.of(str(entry.id)) == entry
    assert [Entry.of(each) for each in ("", "node-7", None)] == [None, None, None]  # type: ignore[list-item]


async def test_a_store_that_deletes_only_by_document_removes_places() -> None:
    plugin = ByDocument()
    store = store_of(plugin)
    entries = [Entry(place=place, ordinal=ordinal, cut=b"abcd") for place in (5, 6) for ordinal in (0, 1)]
    await store.add(SPACE, 2, [(each, [1.0, 0.5]) for each in entries])
    await store.remove(SPACE, 2, [StoredPlace(place=5, cut=b"abcd", passages=2)])
    assert set(await store.nearest(SPACE, 2, [1.0, 0.0], 10)) == set(entries[2:])
    await store.clear(SPACE, 2, [StoredPlace(place=6, cut=b"abcd", passages=2)])
    assert await store.nearest(SPACE, 2, [1.0, 0.0], 10) == []


async def test_many_vectors_are_removed_by_several_calls(plugin: Simple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_store, "MOST_REMOVED", 2)
    store = store_of(plugin)
    entries = [Entry(place=place, ordinal=ordinal, cut=b"abcd") for place in (5, 6) for ordinal in range(3)]
    await store.add(SPACE, 2, [(each, [1.0, 0.5]) for each in entries])
    await store.remove(SPACE, 2, [StoredPlace(place=place, cut=b"abcd", passages=3) for place in (5, 6)])
    assert plugin.held() == 0


async def test_what_is_opened_must_be_a_store_of_llamaindex() -> None:
    plugin = ByDocument()
    plugin.opened = object()
    with pytest.raises(VectorStoreUnavailable) as refused:
        await store_of(plugin).nearest(SPACE, 2, [1.0, 0.0], 10)
    assert "no BasePydanticVectorStore of LlamaIndex but object" in refused.value.why
