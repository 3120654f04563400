"""Upkeep of vectors: moved and indexed while they are searched, replaced and built anew; nothing is lost or doubled."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from adapters.postgres.passages import upkeep
from adapters.postgres.passages.spaces import LONGEST_INLINE
from adapters.projection_runner import upkeep as tending
from tests.support.knowledge import SPACE, Knowledge, knowledge
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

SCHEMA = "passages_v1"


@pytest.fixture
async def known(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Knowledge]:
    """Knowledge whose upkeep works on small numbers, and only when a test asks for it."""
    for name, value in {"SMALL": 20, "MOST_FRESH": 5, "INTO_INDEX": 3, "INTO_TABLE": 7, "LEAST_COUNTED": 10}.items():
        monkeypatch.setattr(upkeep, name, value)
    monkeypatch.setattr(tending, "EVERY", 3600.0)
    async with knowledge(database) as made:
        yield made


async def in_order(known: Knowledge) -> None:
    """Have upkeep done once."""
    await known.side.caught_up(SCHEMA)
    await upkeep.keep_passages(known.side.pool, SCHEMA)


async def tables(known: Knowledge, space: str = SPACE) -> tuple[int, int, bool | None]:
    """Return how many vectors are fresh and how many are not, and whether the index is there and whole."""
    await known.side.caught_up(SCHEMA)
    row = await (
        await known.owner.execute(
            f"SELECT (SELECT count(*) FROM {SCHEMA}.fresh_{space}), (SELECT count(*) FROM {SCHEMA}.main_{space}),"
            f" (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{SCHEMA}.nearest_{space}'))"
        )
    ).fetchone()
    assert row is not None
    return row


async def filled(known: Knowledge, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        await known.add("handbook", f"{number}", f"needle number {number} of many")


async def test_how_common_words_are_is_counted_again_when_there_are_many_passages_more(known: Knowledge):
    async def counted() -> int:
        query = "SELECT reltuples FROM pg_class WHERE oid = 'passages_v1.passages'::regclass"
        row = await (await known.owner.execute(query)).fetchone()
        assert row is not None
        return int(row[0])

    await known.source()
    for first, count, seen in ((0, 9, -1), (9, 1, 10), (10, 5, 10), (15, 1, 16)):
        await filled(known, count, first=first)
        await in_order(known)
        assert await counted() == seen


async def test_words_that_wait_for_their_index_are_put_into_it_before_they_are_counted_and_when_nothing_grows(
    known: Knowledge,
):
    async def waiting() -> int:
        """Return how many pages of words waited, which are put into the index by asking."""
        query = "SELECT gin_clean_pending_list('passages_v1.passages_words_idx')"
        row = await (await known.owner.execute(query)).fetchone()
        assert row is not None
        return int(row[0])

    await known.source()
    await filled(known, 20)
    await known.side.caught_up(SCHEMA)
    await upkeep.count_words(known.side.pool, SCHEMA)
    assert await waiting() == 0
    await filled(known, 5, first=20)
    await known.side.caught_up(SCHEMA)
    assert await waiting() > 0
    await filled(known, 5, first=25)
    await in_order(known)
    assert await waiting() == 0


async def test_few_vectors_stay_where_they_are_compared_with_one_by_one(known: Knowledge):
    await known.source()
    await filled(known, 20)
    await in_order(known)
    assert await tables(known) == (20, 0, None)


async def test_many_vectors_are_moved_and_indexed_and_searches_find_the_same(known: Knowledge):
    await known.source()
    await filled(known, 30)
    before, checksum = await known.search("needle number 7", mode="vector"), await known.checksum()
    await in_order(known)
    assert await tables(known) == (0, 30, True)
    assert (await known.search("needle number 7", mode="vector")).passages == before.passages
    assert await known.checksum() == checksum
    await filled(known, 5, first=30)
    await in_order(known)
    assert await tables(known) == (5, 30, True)
    await filled(known, 1, first=35)
    await in_order(known)
    assert await tables(known) == (0, 36, True)
    assert len(await known.texts("needle", mode="vector", limit=100)) == 36


async def test_what_still_grows_is_indexed_when_it_no_longer_does(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await known.side.caught_up(SCHEMA)
    left = await upkeep.keep_passages(known.side.pool, SCHEMA, {})
    assert (left, await tables(known)) == ({SPACE: 30}, (30, 0, None))
    assert len(await known.texts("needle", mode="vector", limit=100)) == 30
    await filled(known, 1, first=30)
    await known.side.caught_up(SCHEMA)
    left = await upkeep.keep_passages(known.side.pool, SCHEMA, left)
    assert (left, await tables(known)) == ({SPACE: 31}, (31, 0, None))
    assert await upkeep.keep_passages(known.side.pool, SCHEMA, left) == {}
    assert await tables(known) == (0, 31, True)
    await filled(known, 9, first=31)
    await known.side.caught_up(SCHEMA)
    left = await upkeep.keep_passages(known.side.pool, SCHEMA, {})
    assert (left, await tables(known)) == ({SPACE: 40}, (9, 31, True))
    assert await upkeep.keep_passages(known.side.pool, SCHEMA, left) == {}
    assert await tables(known) == (0, 40, True)


async def test_what_grows_beyond_what_can_be_compared_with_is_indexed_meanwhile(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "MOST_GROWING", 25)
    await known.source()
    await filled(known, 26)
    await known.side.caught_up(SCHEMA)
    assert await upkeep.keep_passages(known.side.pool, SCHEMA, {}) == {}
    assert await tables(known) == (0, 26, True)


async def test_the_owner_looks_again_at_what_it_left(database: Database, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"SMALL": 20, "MOST_FRESH": 5}.items():
        monkeypatch.setattr(upkeep, name, value)
    monkeypatch.setattr(tending, "EVERY", 0.01)
    monkeypatch.setattr(tending, "LATER", 0.02)
    async with knowledge(database) as known:
        await known.source()
        await filled(known, 30)
        async with asyncio.timeout(PATIENCE):
            # What came after the index was built may wait, up to MOST_FRESH.
            while not ((seen := await tables(known))[2] and seen[0] <= 5 and seen[0] + seen[1] == 30):
                await asyncio.sleep(0.01)


async def test_the_index_is_what_a_search_walks(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await in_order(known)
    async with known.side.pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        cursor = await connection.execute(
            f"EXPLAIN SELECT id FROM {SCHEMA}.main_{SPACE} ORDER BY embedding <=>"
            f" (SELECT embedding FROM {SCHEMA}.main_{SPACE} LIMIT 1) LIMIT 10"
        )
        plan = str(await cursor.fetchall())
    assert f"nearest_{SPACE}" in plan


async def test_an_index_that_is_outgrown_is_built_anew(known: Knowledge):
    await known.source()
    await filled(known, 21)
    await in_order(known)
    oid = "SELECT to_regclass(%s)::oid"
    first = await (await known.owner.execute(oid, [f"{SCHEMA}.nearest_{SPACE}"])).fetchone()
    await filled(known, 90, first=21)
    await in_order(known)
    assert await tables(known) == (0, 111, True)
    assert await (await known.owner.execute(oid, [f"{SCHEMA}.nearest_{SPACE}"])).fetchone() != first
    assert len(await known.texts("needle", mode="vector", limit=100)) == 100


async def test_an_index_that_is_outgrown_while_it_is_filled_is_built_anew(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "MOST_GROWING", 6)
    await known.source()
    await filled(known, 60)
    await in_order(known)
    await filled(known, 12, first=60)
    await known.side.caught_up(SCHEMA)
    moved = upkeep._Keeper._move
    builds: list[int] = []

    async def and_more(self: upkeep._Keeper, rows: int, at_once: int) -> int:
        builds.append(rows)
        if len(builds) == 1:
            await filled(known, 40, first=72)
            await known.side.caught_up(SCHEMA)
        return await moved(self, rows, at_once)

    monkeypatch.setattr(upkeep._Keeper, "_move", and_more)
    await upkeep.keep_passages(known.side.pool, SCHEMA)
    assert builds == [6, 46]
    assert await tables(known) == (0, 112, True)


async def test_an_index_is_built_by_one_process_where_processes_can_not_share_the_memory_it_takes(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for bound in ("LEAST_MEMORY", "MOST_MEMORY"):
        monkeypatch.setattr(upkeep, bound, 10**12)
    await known.source()
    await filled(known, 30)
    await known.side.caught_up(SCHEMA)
    await known.owner.execute(f"ALTER TABLE {SCHEMA}.main_{SPACE} SET (parallel_workers = 2)")  # though it is small
    with monkeypatch.context() as without:
        without.setattr(upkeep, "NO_ROOM", ())
        with pytest.raises(psycopg.errors.DiskFull):
            await in_order(known)
    await in_order(known)
    assert await tables(known) == (0, 30, True)


async def test_what_is_replaced_or_removed_goes_wherever_it_is(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await in_order(known)
    await filled(known, 3, first=30)
    for name in ("0", "31"):
        await known.add("handbook", name, f"needle replaced {name}")
        gone = known.documents["handbook", f"{int(name) + 1}"]
        gone.remove(cause="request")
        await known.side.record(gone)
    found = {passage.external_id: passage.text for passage in (await known.search("needle", limit=100)).passages}
    assert found.keys() == {str(number) for number in range(33)} - {"1", "32"}
    assert found["0"] == "needle replaced 0"
    fresh, main, _ = await tables(known)
    assert fresh + main == 31


async def test_an_index_whose_building_was_interrupted_is_built_again(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await in_order(known)
    async with known.owner.transaction():
        await known.owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [f"{SCHEMA}.nearest_{SPACE}"]
        )
    assert await tables(known) == (0, 30, False)
    await in_order(known)
    assert await tables(known) == (0, 30, True)


async def test_upkeep_that_is_left_in_the_middle_of_an_index_leaves_the_searches_and_goes_on_later(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await known.side.caught_up(SCHEMA)
    async with await known.owner.connect(known.side.dsn) as blocking:
        await blocking.execute(f"SELECT 1 FROM {SCHEMA}.sources FOR UPDATE")  # the build waits for what is under way
        await blocking.execute(f"DELETE FROM {SCHEMA}.main_{SPACE} WHERE false")
        keeping = asyncio.create_task(upkeep.keep_passages(known.side.pool, SCHEMA))
        async with asyncio.timeout(PATIENCE):
            while (await tables(known))[2] is None:
                await asyncio.sleep(0.01)
        assert len(await known.texts("needle", mode="vector", limit=100)) == 30
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
    assert await tables(known) == (0, 30, False)
    async with known.side.pool.connection() as connection:
        assert await (await connection.execute("SHOW maintenance_work_mem")).fetchone() == ("64MB",)
    await in_order(known)
    assert await tables(known) == (0, 30, True)


async def test_vectors_that_are_too_long_for_an_index_stay_and_are_found(database: Database, known: Knowledge):
    known.models.dimensions = LONGEST_INLINE + 1
    await known.source()
    await filled(known, 22)
    await in_order(known)
    assert await tables(known) == (22, 0, None)
    assert len(await known.texts("needle", mode="vector", limit=100)) == 22


async def test_a_table_that_was_emptied_gives_its_room_back(known: Knowledge):
    await known.source()
    await filled(known, 60)
    await known.side.caught_up(SCHEMA)
    size = f"SELECT pg_relation_size('{SCHEMA}.fresh_{SPACE}')"
    before = await (await known.owner.execute(size)).fetchone()
    await in_order(known)
    after = await (await known.owner.execute(size)).fetchone()
    assert before is not None and after is not None
    assert after[0] == 0 < before[0]


@asynccontextmanager
async def somebody_who_sees_all_that_there_is(known: Knowledge) -> AsyncIterator[None]:
    """Have a transaction for which no row may go."""
    async with await psycopg.AsyncConnection.connect(known.owner.info.dsn) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.execute("SELECT 1")
        yield


async def room(known: Knowledge) -> int:
    query = f"SELECT pg_relation_size('{SCHEMA}.fresh_{SPACE}')"
    row = await (await known.owner.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


async def test_room_of_what_was_moved_that_somebody_may_still_see_is_given_back_when_they_have_gone(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "NODE", 0)  # a page is much then
    await known.source()
    await filled(known, 30)
    await known.side.caught_up(SCHEMA)
    async with somebody_who_sees_all_that_there_is(known):
        building = asyncio.create_task(upkeep.keep_passages(known.side.pool, SCHEMA))
        async with asyncio.timeout(PATIENCE):
            while (await tables(known))[:2] != (0, 30):
                await asyncio.sleep(0.01)
    assert await building == {}
    assert (await tables(known), await room(known)) == ((0, 30, True), 0)
    await filled(known, 6, first=30)
    await known.side.caught_up(SCHEMA)
    async with somebody_who_sees_all_that_there_is(known):
        left = await upkeep.keep_passages(known.side.pool, SCHEMA)
        assert (left, await tables(known)) == ({SPACE: 36}, (0, 36, True))
    assert await upkeep.keep_passages(known.side.pool, SCHEMA, left) == {}
    assert await room(known) == 0


async def test_a_long_table_of_which_only_the_end_was_moved_late_gives_its_room_back(
    known: Knowledge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "NODE", 0)  # a page is much then
    await known.source()
    await filled(known, 30)
    await in_order(known)
    fresh = f"{SCHEMA}.fresh_{SPACE}"
    # Such as somebody leaves who saw all of it until the first vacuum was over: PostgreSQL leaves dead rows alone that
    # are on fewer than one in 50 pages, and gives back no page before them.
    await known.owner.execute(
        f"INSERT INTO {fresh} (place, shelf, id, embedding) SELECT m.place, m.shelf, gen_random_uuid(), m.embedding"
        f" FROM (SELECT * FROM {SCHEMA}.main_{SPACE} LIMIT 1) AS m, generate_series(1, 10000)"
    )
    await known.owner.execute(f"DELETE FROM {fresh} WHERE ctid <> (SELECT max(ctid) FROM {fresh})")
    await known.owner.execute(f"VACUUM (TRUNCATE false) {fresh}")
    await known.owner.execute(f"DELETE FROM {fresh}")
    assert await room(known) > 0
    assert await upkeep.keep_passages(known.side.pool, SCHEMA) == {}
    assert await room(known) == 0


async def test_a_model_that_is_built_anew_is_in_order_before_it_is_read(known: Knowledge):
    await known.source()
    await filled(known, 30)
    await in_order(known)
    checksum = await known.checksum()
    await known.rebuild()
    assert await tables(known) == (0, 30, True)
    assert await known.checksum() == checksum
    assert len(await known.texts("needle", mode="vector", limit=100)) == 30


async def test_the_owner_keeps_the_tables_in_order_while_all_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Searches, replacements, moves, index builds and rebuilds at once: every search finds every document once."""
    for name, value in {"SMALL": 20, "MOST_FRESH": 5, "INTO_INDEX": 3, "INTO_TABLE": 7, "OUTGROWN": 1}.items():
        monkeypatch.setattr(upkeep, name, value)
    monkeypatch.setattr(tending, "EVERY", 0.01)
    monkeypatch.setattr(tending, "LATER", 0.02)
    async with knowledge(database) as known:
        await known.source()
        await filled(known, 30)
        await known.side.caught_up(SCHEMA)
        stop = asyncio.Event()

        async def searching(mode: str) -> int:
            searches = 0
            while not stop.is_set():
                found = await known.search("needle", mode=mode, limit=100, settled=False)
                assert found.retrieval == mode
                names = [passage.external_id for passage in found.passages]
                assert sorted(names, key=int) == [str(number) for number in range(30)], "a search lost or doubled one"
                searches += 1
            return searches

        searches = [asyncio.create_task(searching(mode)) for mode in ("hybrid", "vector", "vector")]
        try:
            for again in range(3):
                for number in range(30):
                    await known.add("handbook", f"{number}", f"needle number {number} again {again}")
                await known.rebuild()
        finally:
            stop.set()
            counts = await asyncio.gather(*searches)
        assert min(counts) > 5
        fresh, main, indexed = await tables(known)
        assert (fresh + main, indexed) == (30, True)
