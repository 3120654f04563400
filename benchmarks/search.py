"""Searching many passages: what it takes beyond the bare SQL, beside LlamaIndex's PGVectorStore, and what it finds."""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import psycopg

from adapters.postgres.vectors import Halfvec
from adapters.retrieval.searcher import PostgresSearcher, search_session
from api.container import Container
from benchmarks.corpus import SHARES, Corpus, corpus
from benchmarks.database import Databases
from benchmarks.knowledge import SOURCE, knowing, passage_ids, query
from benchmarks.measure import Scale, percentile
from benchmarks.peer_store import Peer, peer, written
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from commands.retrieval.answer_run import Choice, SearchByTool
from domain.retrieval import Mode, Search
from domain.retrieval_tool import RetrievalTool

PASSAGES, DIMENSIONS = 100_000, 1536
SEARCHES = 400
LIMIT = 10
TOOL = "bench"
MODES: Sequence[tuple[Mode, str]] = (("vector", "by meaning"), ("hybrid", "by meaning and words"))

Way = Callable[[int], Awaitable[object]]
"""Answers a question by its number."""


def searching(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Put a corpus into both, ask the same questions, and compare with what is really nearest."""
    given = corpus(scale.count(PASSAGES), DIMENSIONS)
    with (
        tempfile.TemporaryDirectory(prefix="magnet-bench-search-") as place,
        peer(databases, written(given, Path(place))) as theirs,
    ):
        yield from asyncio.run(_measured(databases, scale, given, theirs, Path(place)))


async def _measured(databases: Databases, scale: Scale, given: Corpus, theirs: Peer | None, home: Path) -> list[Row]:
    async with knowing(databases, given, home) as (container, source):
        rows = await _times(container, source, scale, given, theirs)
        return [*rows, *await _recalls(container, source, given)]


async def _times(container: Container, source: UUID, scale: Scale, given: Corpus, theirs: Peer | None) -> list[Row]:
    """Return what searches take, beyond the bare SQL and beside the peer's; all in turn."""
    tool = CreateThing(kind=RetrievalTool, name=TOOL, body={"sources": [SOURCE], "limit": LIMIT})
    made = await container.bus.dispatch(tool, Context(actor=SYSTEM))
    rows: list[Row] = []
    async with await psycopg.AsyncConnection.connect(container.pool.conninfo, autocommit=True) as connection:
        await search_session(connection)
        sought = await _sought(container, given)
        for mode, words in MODES:

            async def ours(number: int, mode: Mode = mode) -> None:
                asked = Search(query=given.questions[number], sources=[source], groups=None, mode=mode, limit=LIMIT)
                assert (await container.searcher.search(asked)).passages

            async def bare(number: int, mode: Mode = mode) -> None:
                await _bare(connection, given, number, mode, sought)

            async def other(number: int, mode: Mode = mode) -> None:
                assert theirs is not None
                theirs.search(number, mode)

            ways: list[Way] = [ours, bare] if theirs is None else [ours, bare, other]
            taken = await in_turn(scale.count(SEARCHES), len(given.questions), ways)
            rows += _compared(words, len(given.texts), taken)

        async def recorded(number: int) -> None:
            choice = Choice(kind=RetrievalTool, id=made.id)
            asked = SearchByTool(tool=choice, query=given.questions[number])
            await container.answer_runs.search(asked, Context(actor=SYSTEM))

        [whole] = await in_turn(scale.count(SEARCHES), len(given.questions), [recorded])
    rows.append(Row(what="search by a tool, recorded as a run, p50", ours=1000 * statistics.median(whole), unit="ms"))
    return rows


def _compared(words: str, passages: int, taken: Sequence[Sequence[float]]) -> list[Row]:
    """Return the rows of one mode, from the seconds of each way."""
    ours, bare, *others = ([1000 * seconds for seconds in way] for way in taken)
    what = f"search of {passages:,} passages {words}"
    found = []
    for name, share, most in (("p50", 0.5, 2), ("p95", 0.95, 5)):
        below = percentile(bare, share)
        found.append(
            Row(
                what=f"{what}, beyond the bare SQL, {name}", ours=percentile(ours, share) - below, unit="ms",
                compared="the SQL itself, ms", theirs=below, most=most,
            )
        )  # fmt: skip
    found += [
        Row(
            what=f"{what}, one after the other", ours=1000 / statistics.median(ours), unit="/s",
            compared="LlamaIndex PGVectorStore", theirs=1000 / statistics.median(other), least=2,
        )
        for other in others
    ]  # fmt: skip
    return found


async def _sought(container: Container, given: Corpus) -> list[str]:
    """Return each question's words that a search looks for: the bare SQL is not to rank more than ours."""
    assert isinstance(container.searcher, PostgresSearcher)
    rarity = container.searcher.rarity
    return [
        " | ".join(f"'{word}'" for word in await rarity.worth_finding(frozenset(question.split())))
        for question in given.questions
    ]


async def _bare(
    connection: psycopg.AsyncConnection, given: Corpus, number: int, mode: Mode, sought: Sequence[str]
) -> None:
    """Ask PostgreSQL itself."""
    vector = Halfvec(given.question_vectors[number].tobytes())
    rows = await (await connection.execute(query("nearest"), {"vector": vector}, binary=True, prepare=True)).fetchall()
    if mode == "hybrid":
        cursor = await connection.execute(query("ranked"), {"words": sought[number]}, binary=True, prepare=True)
        rows += await cursor.fetchall()
    assert rows


async def in_turn(count: int, questions: int, ways: Sequence[Way]) -> list[list[float]]:
    """Return the seconds that each way took for each question, the ways in turn; the first ones are not counted."""
    numbers = itertools.islice(itertools.cycle(range(questions)), count + count // 5 + 5)
    taken: list[list[float]] = [[] for _ in ways]
    for place, number in enumerate(numbers):
        for seconds, way in zip(taken, ways, strict=True):
            began = time.perf_counter()
            await way(number)
            if place >= count // 5 + 5:
                seconds.append(time.perf_counter() - began)
    return taken


async def _recalls(container: Container, source: UUID, given: Corpus) -> list[Row]:
    """Return which share of what is really nearest is found, with filters that leave more or less."""
    known = passage_ids(source, given)
    rows = []
    for field, words, floor in (
        (None, "no filter", 98),
        *((field, f"a filter that leaves 1 in {values:,}", 95) for field, values in SHARES.items()),
    ):
        filter = None if field is None else {"type": "eq", "key": field, "value": 3}
        hits = wanted = 0
        for number, question in enumerate(given.questions):
            asked = Search(query=question, sources=[source], groups=None, mode="vector", limit=LIMIT, filter=filter)
            found = {known[passage.id] for passage in (await container.searcher.search(asked)).passages}
            exact = given.exact(number, LIMIT, field, 3)
            hits += len(found & set(exact))
            wanted += len(exact)
        rows.append(
            Row(what=f"recall of the nearest {LIMIT}, {words}", ours=100 * hits / wanted, unit="%", floor=floor)
        )
    return rows
