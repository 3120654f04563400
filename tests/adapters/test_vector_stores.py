"""Vectors in another store: found as PostgreSQL finds them, gone with their documents, and never anybody else's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.plugins.vector_store import PluginVectorStore
from adapters.postgres.passages import upkeep
from adapters.postgres.passages.stored import StoredPassages
from adapters.projection_runner import upkeep as tending
from adapters.retrieval import narrowing, nearest
from adapters.retrieval.searcher import PostgresSearcher
from commands.retrieval.vector_store import Entry
from domain.passage_edits import PassageName
from domain.references import identify
from domain.retrieval import space_name
from tests.support.knowledge import DIMENSIONS, SPACE, Knowledge, knowledge, vector
from tests.support.postgres import Database
from tests.support.vector_stores import made

OTHER_SPACE = space_name(identify("model", "other"), "other-32")
SCHEMA = "passages_v1"


@dataclass(kw_only=True)
class Stored:
    """Knowledge whose vectors another store searches; None: PostgreSQL itself, of which the same is expected."""

    known: Knowledge
    store: PluginVectorStore | None
    keeper: StoredPassages | None

    async def kept(self) -> None:
        """Have upkeep done once."""
        await self.known.side.caught_up(SCHEMA)
        if self.keeper is None:
            await upkeep.keep_passages(self.known.side.pool, SCHEMA)
        else:
            await self.keeper.keep(self.known.side.pool, SCHEMA)

    async def entries(self, space: str = SPACE) -> set[Entry]:
        """Return what the store has in a space, by its own word; what stands in PostgreSQL, where there is none."""
        if self.store is None:
            query = (
                f"SELECT p.place, p.ordinal, substring(pl.chunking for 4) FROM {SCHEMA}.main_{space} v"
                f" JOIN {SCHEMA}.passages p ON p.id = v.id JOIN {SCHEMA}.places pl ON pl.id = v.place"
            )
            rows = await (await self.known.owner.execute(query)).fetchall()
            return {Entry(place=row[0], ordinal=row[1], cut=row[2]) for row in rows}
        return set(await self.store.nearest(space, DIMENSIONS, vector("needle"), 10_000))

    async def by_itself(self, query: str, **asked: Any) -> Any:
        """Search by PostgreSQL alone, which compares with every vector."""
        alone, self.known.searcher = (
            self.known.searcher,
            PostgresSearcher(self.known.searcher._rows._pool, self.known.models),
        )
        try:
            return await self.known.search(query, **asked)
        finally:
            self.known.searcher = alone


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        more = ["chroma"] if metafunc.config.getoption("--chroma") else []
        metafunc.parametrize("kind", ["pgvector", "simple", "qdrant", *more])


@pytest.fixture
async def stored(
    database: Database, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stored]:
    for name, value in {"SMALL": 3, "MOST_FRESH": 0, "INTO_INDEX": 3, "INTO_TABLE": 7}.items():
        monkeypatch.setattr(upkeep, name, value)
    for name in ("FEWEST", "MOST_EXACT"):  # whatever a filter leaves, it is not compared with one by one
        monkeypatch.setattr(narrowing, name, 0)
    monkeypatch.setattr(tending, "EVERY", 3600.0)
    store, plugin = (None, None) if kind == "pgvector" else made(kind, tmp_path)
    async with knowledge(database, store) as known:
        yield Stored(known=known, store=store, keeper=None if store is None else StoredPassages(store))
    if store is not None:
        await store.close()
    if hasattr(plugin, "stop"):
        plugin.stop()


async def filled(known: Knowledge, count: int, *, source: str = "handbook", acl: list[str] | None = None) -> None:
    for number in range(count):
        await known.add(source, f"{acl}{number}", f"needle number {number} of many", f"hay {number}", acl=acl)


async def test_what_is_stored_elsewhere_is_found_in_the_same_order_with_the_same_scores(stored: Stored):
    known = stored.known
    await known.source()
    await filled(known, 6)
    await stored.kept()
    assert len(await stored.entries()) == 12
    await known.add("handbook", "new", "needle number 2 that nobody has stored yet")
    for mode in ("vector", "hybrid"):
        found = await known.search("needle number 2", mode=mode, limit=100)
        expected = await stored.by_itself("needle number 2", mode=mode, limit=100)
        assert (found.retrieval, found.notes) == (mode, [])
        assert [each.text for each in found.passages] == [each.text for each in expected.passages]
        assert [each.score for each in found.passages] == pytest.approx([each.score for each in expected.passages])
    assert "needle number 2 that nobody has stored yet" in {each.text for each in found.passages}
    async with known.side.pool.connection() as connection:
        cursor = await connection.execute(f"SELECT count(*) FROM {SCHEMA}.main_{SPACE}")
        assert (await cursor.fetchall()) == [(12,)]


async def test_what_is_replaced_or_removed_is_not_found_and_leaves_the_store(stored: Stored):
    known = stored.known
    await known.source()
    await filled(known, 5)
    await stored.kept()
    before = await stored.entries()
    await known.add("handbook", "None1", "another text")
    known.documents["handbook", "None2"].remove(cause="deleted")
    await known.side.record(known.documents["handbook", "None2"])
    texts = await known.texts("needle number 1", mode="vector", limit=100)
    assert "another text" in texts
    assert not {"needle number 1 of many", "hay 1", "needle number 2 of many", "hay 2"} & set(texts)
    await stored.kept()
    after = await stored.entries()
    assert len(after) == 7
    assert len(after & before) == 6
    assert await known.texts("needle number 1", mode="vector", limit=100) == texts


async def test_nobody_finds_what_others_may_find_however_near_it_is(stored: Stored, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nearest, "FIRST", 2)
    known = stored.known
    await known.source()
    await filled(known, 12, acl=["theirs"])
    await known.add("handbook", "ours", "something quite different", acl=["ours"])
    await stored.kept()
    for mode in ("vector", "hybrid"):
        found = await known.search("needle number 3", mode=mode, groups=frozenset({"ours"}), limit=10)
        assert [each.text for each in found.passages] == ["something quite different"]
    await known.search("needle number 3", mode="vector", groups=frozenset(), limit=10)
    assert (await known.search("needle", mode="vector", groups=frozenset({"nobody"}))).passages == []


async def test_a_filter_leaves_what_it_leaves_of_the_nearest(stored: Stored, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nearest, "FIRST", 2)
    known = stored.known
    await known.source()
    for number in range(20):
        await known.add("handbook", f"{number}", f"needle number {number}", metadata={"rare": number % 10 == 0})
    await stored.kept()
    asked = {"mode": "vector", "filter": {"type": "eq", "key": "rare", "value": True}}
    found, expected = await known.search("needle number 5", **asked), await stored.by_itself("needle number 5", **asked)
    assert {each.external_id for each in found.passages} == {"0", "10"}
    assert [each.id for each in found.passages] == [each.id for each in expected.passages]
    assert found.notes == []


async def test_vectors_of_two_models_are_never_compared(stored: Stored):
    known = stored.known
    await known.source()
    await known.source("other", space=OTHER_SPACE)
    await filled(known, 5)
    await known.add("other", "a", *[f"needle of another kind {number}" for number in range(5)])
    await stored.kept()
    assert (len(await stored.entries()), len(await stored.entries(OTHER_SPACE))) == (10, 5)
    assert not await stored.entries() & await stored.entries(OTHER_SPACE)
    assert len(await known.texts("needle", "other", mode="vector", limit=100)) == 5
    assert len(await known.texts("needle", mode="vector", limit=100)) == 15


async def test_a_source_is_found_among_others_whose_vectors_lie_beside_its_own(stored: Stored):
    known = stored.known
    await known.source()
    await known.source("small")
    await filled(known, 10)
    await known.add("small", "a", "a needle")
    await stored.kept()
    assert await known.texts("needle number 3", "small", mode="vector") == ["a needle"]


async def test_a_disabled_passage_is_not_found_until_it_is_enabled(stored: Stored):
    known = stored.known
    await known.source()
    await filled(known, 4)
    await stored.kept()
    document = known.documents["handbook", "None1"]
    [(start, end, sha256)] = await (
        await known.owner.execute(
            "SELECT p.start_at, p.end_at, encode(c.text_sha256, 'hex') FROM passages_v1.passages p"
            " JOIN passages_v1.places pl ON pl.id = p.place"
            " JOIN magnet.chunks c ON c.chunking = pl.chunking AND c.ordinal = p.ordinal WHERE p.text = 'hay 1'"
        )
    ).fetchall()
    name = PassageName(start=start, end=end, sha256=sha256)
    for there in (False, True):
        document.disable(name, disabled=not there)
        await known.side.record(document)
        assert ("hay 1" in await known.texts("hay 1", mode="vector", limit=100)) is there
        await stored.kept()
        assert ("hay 1" in await known.texts("hay 1", mode="vector", limit=100)) is there


async def test_the_read_model_is_built_anew_and_finds_the_same(stored: Stored):
    known = stored.known
    await known.source()
    await filled(known, 6)
    await stored.kept()
    entries, before = await stored.entries(), await known.search("needle number 4", mode="vector")
    await known.rebuild()
    assert (await known.search("needle number 4", mode="vector")).passages == before.passages
    await stored.kept()
    assert (await known.search("needle number 4", mode="vector")).passages == before.passages
    assert await stored.entries() == entries
