"""The texts of what was found, with their neighbours where a window is asked for."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql as statements

from adapters.postgres.arrays import uuids
from adapters.retrieval.fusion import Scored
from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.retrieval import Passage, Twin

NEXT, FURTHER = 20, 100
"""Candidates besides those that are wanted among which the same texts are looked for; more where too few others are left.

Each takes some microseconds. The same texts stand next to each other in an order, or not far.
"""


PASSAGES, AROUND = (
    statements.SQL(SQL[name]).format(told=statements.SQL(SQL["told"])).as_bytes(None)
    for name in ("passages", "passages_around")
)


async def fetched(rows: Rows, found: Sequence[Scored], limit: int, window: int) -> list[Passage]:
    """Return the first passages of an order, each text once, or with their neighbours by document."""
    if not found:
        return []
    passages = await _distinct(rows, found[: limit + NEXT], limit)
    if len(passages) < limit and len(found) > limit + NEXT:
        passages = await _distinct(rows, found[: limit + FURTHER], limit)
    return await widened(rows, passages, window)


async def _distinct(rows: Rows, found: Sequence[Scored], limit: int) -> list[Passage]:
    """Return the first passages of an order, each text once, with where it stands besides."""
    told = [each.candidate.told for each in found]
    if not all(told):
        told = await rows.of(PASSAGES, {"ids": uuids([each.candidate.id for each in found])})
    scored = {each.candidate.id: each for each in found}
    return [
        _passage(first, scored[first[0]], [_twin(_passage(row, scored[row[0]])) for row in twins])
        for first, *twins in islice(_by_text(row for row in told if row), limit)
    ]


def _by_text(told: Iterable[Sequence[Any]]) -> Iterable[Sequence[Sequence[Any]]]:
    """Return what is told of the passages of each text, the first ones first."""
    texts: dict[str, list[Sequence[Any]]] = {}
    for row in told:
        texts.setdefault(row[1], []).append(row)
    return texts.values()


async def given(rows: Rows, ids: Sequence[UUID]) -> list[Passage]:
    """Return passages that no search found, in the order of their ids, each text once."""
    told = await rows.of(PASSAGES, {"ids": uuids(ids)})
    return [_passage(first, None) for first, *_ in _by_text(told)]


def told_ids(passages: Sequence[Passage]) -> set[UUID]:
    """Return the ids of passages, and of those with the same texts."""
    return {passage.id for passage in passages} | {twin.id for passage in passages for twin in passage.also_in}


async def widened(rows: Rows, passages: Sequence[Passage], window: int) -> list[Passage]:
    """Return passages with their neighbours; what has been replaced in the meantime stays without any."""
    if not passages or not window:
        return list(passages)
    there = {passage.id: passage for passage in passages}
    for row in await _around(rows, list(there), window):
        there.setdefault(row[0], _passage(row, None))
    return _by_document(there.values(), passages)


async def _around(rows: Rows, ids: Sequence[UUID], window: int) -> list[Any]:
    return await rows.of(AROUND, {"ids": uuids(ids), "window": window})


def _by_document(passages: Iterable[Passage], hits: Sequence[Passage]) -> list[Passage]:
    """Return each passage once, by document in the order of first hits, and by position inside."""
    order: dict[UUID, int] = {}
    for hit in hits:
        order.setdefault(hit.document_id, len(order))
    return sorted(passages, key=lambda each: (order.get(each.document_id, len(order)), each.start, each.end))


def _twin(passage: Passage) -> Twin:
    return Twin(
        id=passage.id,
        document_id=passage.document_id,
        document_version=passage.document_version,
        external_id=passage.external_id,
        title=passage.title,
        url=passage.url,
        start=passage.start,
        end=passage.end,
        source_id=passage.source_id,
    )


def _passage(row: Sequence[Any], scored: Scored | None, twins: Sequence[Twin] = ()) -> Passage:
    candidate = scored.candidate if scored else None
    weighty = scored is not None and scored.fused is not None
    return Passage(
        id=row[0],
        text=row[1],
        score=scored.score if scored else 0.0,
        scores={
            "vector": candidate.vector if candidate else None,
            "lexical": candidate.lexical if candidate else None,
            "fused": None if scored is None else scored.score if scored.fused is None else scored.fused,
            "weighed": scored.score if scored and weighty else None,
            "rerank": None,
        },
        document_id=row[2],
        document_version=row[3],
        external_id=row[4],
        title=row[5],
        url=row[6],
        start=row[7],
        end=row[8],
        page=row[9],
        heading=row[10],
        metadata=orjson.loads(row[11]),
        source_id=row[12],
        language=row[13],
        also_in=twins,
        factors=dict(zip(("source", "age"), candidate.factors, strict=True)) if candidate and candidate.factors else {},
    )
