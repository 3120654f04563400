"""How well searches find on sets of questions that are given: SQuAD's form, or BEIR's folders, with a model of one's own.

MAGNET_BENCH_QUESTIONS names files and folders, separated as in PATH; MAGNET_BENCH_MODEL a directory of a model.
"""

import asyncio
import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from api.container import Container
from benchmarks.corpus import Corpus
from benchmarks.database import Databases
from benchmarks.knowledge import knowing, passage_ids
from benchmarks.measure import Scale
from benchmarks.quality import embedded
from benchmarks.table import Row
from domain.retrieval import Mode, Search

QUESTIONS, MODEL = "MAGNET_BENCH_QUESTIONS", "MAGNET_BENCH_MODEL"
MOST = 1000
"""Questions of a set that are asked, taken at even distances."""

DEEP, SHALLOW = 10, 5
Ranked = Sequence[Sequence[int]]


@dataclass(frozen=True)
class QuestionSet:
    """Passages, questions, and for each question the numbers of the passages that answer it."""

    name: str
    passages: Sequence[str]
    questions: Sequence[str]
    relevant: Sequence[frozenset[int]]


def question_sets(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Measure each set: by both, against by meaning alone, by words alone, and LlamaIndex's store with its defaults."""
    given, model = os.environ.get(QUESTIONS), os.environ.get(MODEL)
    if given is None or model is None:
        sys.stderr.write(f"  not run: {QUESTIONS} and {MODEL} name no questions and no directory of a model\n")
        return
    for place in given.split(os.pathsep):
        asked = thinned(read(Path(place)), scale.count(MOST))
        yield from asyncio.run(measured(databases, asked, Path(model).resolve()))


async def measured(databases: Databases, asked: QuestionSet, model: Path) -> list[Row]:
    """Return the rows of a set."""
    made = Corpus(
        per_document=1,
        texts=list(asked.passages),
        vectors=await embedded(model, asked.passages),
        questions=list(asked.questions),
        question_vectors=await embedded(model, asked.questions),
    )
    found: dict[str, Ranked] = {"LlamaIndex's store": llama_index(made)}
    with tempfile.TemporaryDirectory(prefix="magnet-bench-questions-") as home:
        async with knowing(databases, made, Path(home), language="english") as (container, source):
            known = passage_ids(source, made)
            for mode, words in (("hybrid", "both"), ("vector", "meaning alone"), ("lexical", "words alone")):
                found[words] = await ranked(container, source, made.questions, known, mode)
    rows = []
    what = f"{asked.name}: {len(asked.passages):,} passages, {len(asked.questions):,} questions"
    measures: Sequence[tuple[str, Callable[[Ranked], float]]] = (
        (f"recall@{SHALLOW}", lambda ranking: recall(ranking, asked.relevant)),
        (f"MRR@{DEEP}", lambda ranking: mean_reciprocal_rank(ranking, asked.relevant)),
    )
    for name, measure in measures:
        ours = measure(found["both"])
        rows += [
            Row(what=f"{what}: {name} by both", ours=ours, unit="", compared=other, theirs=measure(ranking), least=1)
            for other, ranking in found.items()
            if other != "both"
        ]
    return rows


async def ranked(
    container: Container, source: UUID, questions: Sequence[str], known: Mapping[UUID, int], mode: Mode
) -> list[list[int]]:
    """Return the numbers of the passages that each question finds, the best first."""
    rankings = []
    for question in questions:
        asked = Search(query=question, sources=[source], groups=None, mode=mode, limit=DEEP)
        rankings.append([known[passage.id] for passage in (await container.searcher.search(asked)).passages])
    return rankings


def llama_index(made: Corpus) -> list[list[int]]:
    """Return what LlamaIndex's own store finds with the same passages and vectors."""
    # A second for whoever wants something else of this module.
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery

    store = SimpleVectorStore()
    store.add(
        [
            TextNode(id_=str(number), text=text, embedding=vector.tolist())
            for number, (text, vector) in enumerate(zip(made.texts, made.vectors, strict=True))
        ]
    )
    rankings = []
    for vector in made.question_vectors:
        result = store.query(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=DEEP))
        rankings.append([int(id) for id in result.ids or []])
    return rankings


def recall(rankings: Ranked, relevant: Sequence[frozenset[int]]) -> float:
    """Return the mean share of what answers a question that is among the first ones found."""
    shares = [
        len(wanted & set(ranking[:SHALLOW])) / min(len(wanted), SHALLOW)
        for ranking, wanted in zip(rankings, relevant, strict=True)
    ]
    return float(np.mean(shares))


def mean_reciprocal_rank(rankings: Ranked, relevant: Sequence[frozenset[int]]) -> float:
    """Return the mean of 1 / the place of the first passage that answers; 0 where none does."""
    total = 0.0
    for ranking, wanted in zip(rankings, relevant, strict=True):
        total += next((1 / place for place, number in enumerate(ranking[:DEEP], 1) if number in wanted), 0.0)
    return total / len(relevant)


def read(place: Path) -> QuestionSet:
    """Return the set that a file of SQuAD's form or a folder of BEIR's holds."""
    return beir(place) if place.is_dir() else squad(place)


def squad(file: Path) -> QuestionSet:
    """Read SQuAD's form: paragraphs, each with the questions that it answers."""
    numbers: dict[str, int] = {}
    questions, relevant = [], []
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            number = numbers.setdefault(paragraph["context"], len(numbers))
            for each in paragraph["qas"]:
                if not each.get("is_impossible"):
                    questions.append(each["question"])
                    relevant.append(frozenset({number}))
    return QuestionSet(file.stem, list(numbers), questions, relevant)


def json_lines(file: Path) -> list[Any]:
    """Return what stands in a file's lines; they end with a line feed only: texts may hold other ends of lines as they are."""
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line.strip()]


def beir(folder: Path) -> QuestionSet:
    """Read BEIR's form: corpus.jsonl, queries.jsonl and qrels/test.tsv."""
    corpus = json_lines(folder / "corpus.jsonl")
    numbers = {each["_id"]: number for number, each in enumerate(corpus)}
    passages = [f"{each.get('title', '')}\n{each['text']}".strip() for each in corpus]
    wanted: dict[str, set[int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                wanted.setdefault(row["query-id"], set()).add(numbers[row["corpus-id"]])
    queries = json_lines(folder / "queries.jsonl")
    asked = [each for each in queries if each["_id"] in wanted]
    relevant = [frozenset(wanted[each["_id"]]) for each in asked]
    return QuestionSet(folder.name, passages, [each["text"] for each in asked], relevant)


def thinned(made: QuestionSet, most: int) -> QuestionSet:
    """Return a set with at most so many questions, at even distances; the passages stay."""
    if len(made.questions) <= most:
        return made
    kept = [number * len(made.questions) // most for number in range(most)]
    return QuestionSet(made.name, made.passages, [made.questions[n] for n in kept], [made.relevant[n] for n in kept])
