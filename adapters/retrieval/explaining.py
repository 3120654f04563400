"""Telling how a search came to its order: places in each stage, and the plans of its statements."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from adapters.retrieval.fusion import Candidate, Scored, by_vector, in_turn
from adapters.retrieval.rows import Rows
from domain.retrieval import Place

EXPLAIN = b"EXPLAIN (ANALYZE, BUFFERS) "


async def plan_of(rows: Rows, query: bytes, values: Mapping[str, Any]) -> str:
    """Return PostgreSQL's plan of a statement, with what carrying it out once more took."""
    return "\n".join(line for (line,) in await rows.of(EXPLAIN + query, values))


def places_of(candidates: Sequence[Candidate], ordered: Sequence[Scored]) -> Mapping[str, Mapping[UUID, Place]]:
    """Return where what one query found stands in each stage; by words, a passage's score is its rank there."""
    words = in_turn(Scored(each, each.lexical) for each in candidates if each.lexical is not None)
    return {"vector": places(by_vector(candidates)), "lexical": places(words), "fused": places(ordered)}


def places(ordered: Sequence[Scored]) -> Mapping[UUID, Place]:
    """Return the places of an order."""
    return {each.candidate.id: Place(rank=rank, score=each.score) for rank, each in enumerate(ordered, 1)}
