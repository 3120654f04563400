"""Searching a million passages: as quick as people wait for, nearly exact, and each finds all of what is theirs.

MAGNET_BENCH_PASSAGES says how many; without it nothing is run, since a million take about a quarter of an hour to be indexed.

Texts and vectors are put where ingestion puts them, in bulk: nothing is parsed, cut or embedded. From there on all is done as
it always is, while searches might come: events, the read model that follows them, and the index of vectors, which is
built anew as it is outgrown.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

from api.container import Container
from benchmarks.database import Databases
from benchmarks.knowledge import knowing, passage_ids
from benchmarks.large_corpus import ALL, FEW, LargeCorpus, large_corpus
from benchmarks.measure import Scale, percentile
from benchmarks.search import LIMIT, SEARCHES, in_turn
from benchmarks.table import Row
from domain.retrieval import Mode, Search

MANY = "MAGNET_BENCH_PASSAGES"
DIMENSIONS = 384
FEWEST = 1000
"""Passages for which there are enough neighbours to be found."""

MODES: tuple[Mode, ...] = ("hybrid", "vector")


def many_passages(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Put the passages in, say how long that took, and search them."""
    given = os.environ.get(MANY, "")
    if not given:
        sys.stderr.write(
            f"  not run: {MANY} does not say how many passages; 1000000 take a quarter of an hour and 10 GB of disk\n"
        )
        return
    if not given.isdecimal() or int(given) < FEWEST:
        raise ValueError(f"{MANY} is a number of passages, {FEWEST} or more.")
    corpus = large_corpus(int(given), DIMENSIONS)
    with tempfile.TemporaryDirectory(prefix="magnet-bench-many-") as home:
        yield from asyncio.run(_measured(databases, scale, corpus, Path(home)))


async def _measured(databases: Databases, scale: Scale, corpus: LargeCorpus, home: Path) -> list[Row]:
    took: dict[str, float] = {}
    async with knowing(databases, corpus, home, language="english", took=took) as (container, source):
        what = f"{len(corpus.texts):,} passages of {DIMENSIONS} dimensions"
        known = passage_ids(source, corpus)
        own = frozenset(id for id, number in known.items() if number < corpus.per_document)
        return [
            *(Row(what=f"{what}, {step}", ours=seconds, unit="s") for step, seconds in took.items()),
            *await _times(container, source, corpus, scale, what),
            await _recall(container, source, corpus, known, what),
            *[await _own(container, source, corpus, own, mode) for mode in MODES],
        ]


async def _times(container: Container, source: UUID, corpus: LargeCorpus, scale: Scale, what: str) -> list[Row]:
    """Return how long searches take, by meaning and words, of somebody who may find nearly all."""
    groups = frozenset({ALL})

    async def search(number: int) -> None:
        asked = Search(query=corpus.questions[number], sources=[source], groups=groups, limit=LIMIT)
        assert (await container.searcher.search(asked)).passages

    [taken] = await in_turn(scale.count(SEARCHES), len(corpus.questions), [search])
    return [
        Row(what=f"{what}, hybrid search, {name}", ours=1000 * percentile(taken, share), unit="ms", most=most)
        for name, share, most in (("p50", 0.5, 25), ("p95", 0.95, 60))
    ]


async def _recall(container: Container, source: UUID, corpus: LargeCorpus, known: Mapping[UUID, int], what: str) -> Row:
    """Return which share of what is really nearest is found."""
    hits = 0
    exact = corpus.nearest(LIMIT)
    for question, nearest in zip(corpus.questions, exact, strict=True):
        asked = Search(query=question, sources=[source], groups=frozenset({ALL}), mode="vector", limit=LIMIT)
        found = {known[passage.id] for passage in (await container.searcher.search(asked)).passages}
        hits += len(found & set(nearest))
    wanted = sum(map(len, exact))
    return Row(what=f"{what}, recall of the nearest {LIMIT}", ours=100 * hits / wanted, unit="%", floor=95)


async def _own(container: Container, source: UUID, corpus: LargeCorpus, own: frozenset[UUID], mode: Mode) -> Row:
    """Return for how many questions somebody of the small group finds all of its passages, and no other."""
    right = 0
    for question in corpus.questions:
        asked = Search(query=question, sources=[source], groups=frozenset({FEW}), mode=mode, limit=5 * len(own))
        found = [passage.id for passage in (await container.searcher.search(asked)).passages]
        right += len(found) == len(own) and set(found) == own
    what = f"questions of a group with {len(own)} passages among them that find exactly these, {mode}"
    return Row(what=what, ours=100 * right / len(corpus.questions), unit="%", floor=100)
