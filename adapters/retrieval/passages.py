"""The texts of what was found, with their neighbours where a window is asked for."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson

from adapters.retrieval.fusion import Scored
from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.retrieval import Passage


async def fetched(rows: Rows, chosen: Sequence[Scored], window: int) -> list[Passage]:
    """Return the chosen passages in their order, or with their neighbours by document."""
    if not chosen:
        return []
    scored = {each.candidate.id: each for each in chosen}
    if window:
        found = [_passage(row, scored.get(row[0])) for row in await _around(rows, list(scored), window)]
        return _by_document(found, [each for id in scored for each in found if each.id == id])
    values = {"ids": list(scored)}
    by_id = {row[0]: _passage(row, scored[row[0]]) for row in await rows.of(SQL["passages"], values)}
    return [by_id[id] for id in scored if id in by_id]


async def widened(rows: Rows, passages: Sequence[Passage], window: int) -> list[Passage]:
    """Return passages with their neighbours; what has been replaced in the meantime stays without any."""
    if not passages or not window:
        return list(passages)
    there = {passage.id: passage for passage in passages}
    for row in await _around(rows, list(there), window):
        there.setdefault(row[0], _passage(row, None))
    return _by_document(there.values(), passages)


async def _around(rows: Rows, ids: Sequence[UUID], window: int) -> list[Any]:
    return await rows.of(SQL["passages_around"], {"ids": ids, "window": window})


def _by_document(passages: Iterable[Passage], hits: Sequence[Passage]) -> list[Passage]:
    """Return each passage once, by document in the order of first hits, and by position inside."""
    order: dict[UUID, int] = {}
    for hit in hits:
        order.setdefault(hit.document_id, len(order))
    return sorted(passages, key=lambda each: (order.get(each.document_id, len(order)), each.start, each.end))


def _passage(row: Sequence[Any], scored: Scored | None) -> Passage:
    candidate = scored.candidate if scored else None
    return Passage(
        id=row[0],
        text=row[1],
        score=scored.score if scored else 0.0,
        scores={
            "vector": candidate.vector if candidate else None,
            "lexical": candidate.lexical if candidate else None,
            "fused": scored.score if scored else None,
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
    )
