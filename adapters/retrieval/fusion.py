"""Making one order of what vectors found and what words found, and of what several queries found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.retrieval import Mode, Search, weighed

FIRST_RANKS = 60
"""How little the first ranks differ; the value of the paper that reciprocal rank fusion comes from."""


@dataclass(kw_only=True, slots=True, eq=False)
class Candidate:
    """A passage that was found: cosine similarity (-1..1) and rank by words (0 and up), None where not found so.

    `factors` are those of its source and of its age, None where nothing weighs. `told` is what is to be told of the passage,
    where that is known already. What one query found has each passage once. (There are hundreds for a search: neither they
    nor their scores are hashed, compared or frozen.)
    """

    id: UUID
    vector: float | None
    lexical: float | None
    factors: tuple[float, float] | None = None
    told: Sequence[Any] | None = None


@dataclass(slots=True, eq=False)
class Scored:
    """A candidate with its score, 0..1; where it was weighed, `fused` is what it was before."""

    candidate: Candidate
    score: float
    fused: float | None = None


def by_vector(candidates: Sequence[Candidate]) -> list[Scored]:
    """Return those found by vectors; the score is the cosine similarity."""
    return in_turn(Scored(each, each.vector) for each in candidates if each.vector is not None)


def by_words(candidates: Sequence[Candidate]) -> list[Scored]:
    """Return those found by words; the score is the share of the best one's rank."""
    best = max((each.lexical for each in candidates if each.lexical is not None), default=0.0)
    return in_turn(
        Scored(each, each.lexical / best if best else 0.0) for each in candidates if each.lexical is not None
    )


def fused(candidates: Sequence[Candidate], vector_weight: float) -> list[Scored]:
    """Return all, scored by both: each side's scores are spread over 0..1, and weighted."""
    vectors = _spread([each.vector for each in candidates])
    words = _spread([each.lexical for each in candidates])
    return in_turn(
        Scored(each, vector_weight * vector + (1 - vector_weight) * word)
        for each, vector, word in zip(candidates, vectors, words, strict=True)
    )


def by_ranks(candidates: Sequence[Candidate], vector_weight: float) -> list[Scored]:
    """Return all, scored by their ranks on both sides, weighted; 1 is the first of both."""
    sides = ((by_vector(candidates), vector_weight), (by_words(candidates), 1 - vector_weight))
    scores = dict.fromkeys(candidates, 0.0)
    for side, weight in sides:
        for rank, each in enumerate(side, 1):
            scores[each.candidate] += weight * _reciprocal(rank)
    return in_turn(Scored(each, score) for each, score in scores.items())


def merged(found: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Return what several queries found, scored by the ranks there; 1 is the first of all.

    Of each side, a candidate has its best score of any query.
    """
    if len(found) == 1:
        return list(found[0])
    scores: dict[UUID, float] = {}
    best: dict[UUID, Candidate] = {}
    for each in found:
        for rank, scored in enumerate(each, 1):
            candidate = scored.candidate
            scores[candidate.id] = scores.get(candidate.id, 0.0) + _reciprocal(rank) / len(found)
            best[candidate.id] = _better(best.get(candidate.id, candidate), candidate)
    return in_turn(Scored(best[id], score) for id, score in scores.items())


def by_weight(found: Sequence[Scored]) -> list[Scored]:
    """Return what was found, its scores multiplied by the factors of its sources and ages."""
    weighty = []
    for each in found:
        source, age = each.candidate.factors or (1.0, 1.0)
        weighty.append(Scored(each.candidate, weighed(each.score, source * age), fused=each.score))
    return in_turn(weighty)


def in_order(search: Search, mode: Mode, candidates: Sequence[Candidate]) -> list[Scored]:
    """Return what one query found, without what is below the threshold."""
    match mode:
        case "vector":
            ordered = by_vector(candidates)
        case "lexical":
            ordered = by_words(candidates)
        case _:
            fuse = by_ranks if search.fusion == "rrf" else fused
            ordered = fuse(candidates, search.vector_weight)
    least = search.threshold
    return [each for each in ordered if least is None or each.score >= least]


def _reciprocal(rank: int) -> float:
    """Return what a rank counts for: reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009), the first being 1."""
    return (FIRST_RANKS + 1) / (FIRST_RANKS + rank)


def _better(one: Candidate, other: Candidate) -> Candidate:
    return Candidate(
        id=one.id,
        vector=_higher(one.vector, other.vector),
        lexical=_higher(one.lexical, other.lexical),
        factors=one.factors,
        told=one.told or other.told,
    )


def _higher(one: float | None, other: float | None) -> float | None:
    known = [score for score in (one, other) if score is not None]
    return max(known, default=None)


def _spread(scores: Sequence[float | None]) -> Sequence[float]:
    """Return the scores with the lowest at 0 and the highest at 1; one that is not there is 0."""
    known = [score for score in scores if score is not None]
    if not known:
        return [0.0] * len(scores)
    lowest, highest = min(known), max(known)
    width = highest - lowest
    return [0.0 if score is None else (score - lowest) / width if width else 1.0 for score in scores]


def in_turn(found: Iterable[Scored]) -> list[Scored]:
    """Return the best first; where scores are equal, in the order of ids."""
    return sorted(found, key=lambda each: (-each.score, each.candidate.id.int))
