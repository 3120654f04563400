"""How well searches find, on a real corpus: by the first line of a docstring of the standard library, the rest of it."""

import ast
import asyncio
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np

from adapters.local_embeddings.models import LocalEmbeddings
from api.container import Container
from benchmarks.corpus import Corpus
from benchmarks.database import Databases
from benchmarks.knowledge import knowing, passage_ids
from benchmarks.local_embeddings import called
from benchmarks.measure import Scale
from benchmarks.table import Row
from domain.retrieval import Mode, Search

QUESTIONS = 1000
SHORTEST, LONGEST = 40, 2000
"""Characters of a body: less says too little, and more would be several passages."""

FOUND_WITHIN = 10
NOT_OURS = frozenset({"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "__pycache__"})
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def quality(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Search for bodies by their first lines, in each mode, and compare the mean reciprocal ranks."""
    found = docstrings()
    found = found[:: max(1, round(1 / scale.size))]
    given = os.environ.get("MAGNET_BENCH_MODEL")
    if given is None:
        sys.stderr.write("  not run: by meaning, and by both, for MAGNET_BENCH_MODEL names no directory of a model\n")
    yield from asyncio.run(_measured(databases, scale, found, None if given is None else Path(given).resolve()))


async def _measured(
    databases: Databases, scale: Scale, found: Sequence[tuple[str, str]], model: Path | None
) -> list[Row]:
    asked = found[:: max(1, len(found) // scale.count(QUESTIONS))]
    bodies, questions = [body for _, body in found], [line for line, _ in asked]
    meant = {line: number for number, (line, _) in enumerate(found)}
    made = Corpus(
        per_document=1,
        texts=bodies,
        vectors=await embedded(model, bodies),
        questions=questions,
        question_vectors=await embedded(model, questions),
    )
    wanted = [meant[line] for line in questions]
    with tempfile.TemporaryDirectory(prefix="magnet-bench-quality-") as home:
        async with knowing(databases, made, Path(home), language="english") as (container, source):
            known = passage_ids(source, made)

            async def rank(mode: Mode) -> float:
                return await mean_reciprocal_rank(container, source, made, known, wanted, mode)

            what = f"of {len(bodies):,} docstrings, the one of a first line: MRR"
            lexical = await rank("lexical")
            if model is None:
                return [Row(what=f"{what}, by words", ours=lexical, unit="")]
            hybrid, vector = await rank("hybrid"), await rank("vector")
    return [
        Row(what=f"{what}, by both", ours=hybrid, unit="", compared="by words alone", theirs=lexical, above=1),
        Row(what=f"{what}, by both", ours=hybrid, unit="", compared="by meaning alone", theirs=vector, above=1),
    ]


async def mean_reciprocal_rank(
    container: Container,
    source: UUID,
    made: Corpus,
    known: Mapping[UUID, int],
    wanted: Sequence[int],
    mode: Mode,
) -> float:
    """Return the mean of 1 / the place at which the wanted passage is found; 0 where it is not among the first."""
    total = 0.0
    for question, number in zip(made.questions, wanted, strict=True):
        asked = Search(query=question, sources=[source], groups=None, mode=mode, limit=FOUND_WITHIN)
        for place, passage in enumerate((await container.searcher.search(asked)).passages, 1):
            if known[passage.id] == number:
                total += 1 / place
    return total / len(wanted)


async def embedded(model: Path | None, texts: Sequence[str]) -> np.ndarray:
    """Return the texts' vectors; without a model such as mean nothing, which no one compares."""
    if model is None:
        return np.ones((len(texts), 8), dtype=np.float32)
    local = LocalEmbeddings()
    try:
        vectors, _ = await local.embed(await called(local, model), list(texts))
    finally:
        await local.close()
    return np.array([np.frombuffer(vector, dtype="<f4") for vector in vectors])


def docstrings() -> list[tuple[str, str]]:
    """Return (first line, rest) of every docstring of this Python's standard library that has both, each line once."""
    found: dict[str, str] = {}
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if NOT_OURS.isdisjoint(path.parts):
            for line, body in _of(path):
                found.setdefault(line, body)
    return list(found.items())


def _of(path: Path) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # a template of source text, not a module
    for node in ast.walk(tree):
        if isinstance(node, Documented):
            line, _, body = (ast.get_docstring(node) or "").partition("\n\n")
            body = body.strip()
            if len(line.split()) >= 3 and "\n" not in line and SHORTEST <= len(body) <= LONGEST:
                yield line, body
