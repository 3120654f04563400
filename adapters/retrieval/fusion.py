"""Making one order of what vectors found and what words found, and of what several queries found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.retrieval import Mode, Search, weighed

FIRST_RANKS = 60
"""How little the first ranks differ; the value of the paper that reciprocal rank fusion comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A passage that was found: cosine similarity (-1..1) and rank by words (0 and up), None where not found so.

    `factors` are those of its source and of its age, None where nothing weighs.
    """

    id: UUID
    vector: float | None
    lexical: float | None
    factors: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A candidate with its score, 0..1; where it was weighed, `fused` is what it was before."""

    candidate: Candidate
    score: float
    fused: float | None = None


def by_vector(candidates: Sequence[Candidate]) -> list[Scored]:
    """Return those found by vectors; the score is the cosine similarity."""
    return _ordered({each: each.vector for each in candidates if each.vector is not None})


def by_words(candidates: Sequence[Candidate]) -> list[Scored]:
    """Return those found by words; the score is the share of the best one's rank."""
    best = max((each.lexical for each in candidates if each.lexical is not None), default=0.0)
    return _ordered({each: each.lexical / best if best else 0.0 for each in candidates if each.lexical is not None})


def fused(candidates: Sequence[Candidate], vector_weight: float) -> list[Scored]:
    """Return all, scored by both: each side's scores are spread over 0..1, and weighted."""
    vectors = _spread({each: each.vector for each in candidates if each.vector is not None})
    words = _spread({each: each.lexical for each in candidates if each.lexical is not None})
    return _ordered(
        {
            each: vector_weight * vectors.get(each, 0.0) + (1 - vector_weight) * words.get(each, 0.0)
            for each in candidates
        }
    )


def by_ranks(candidates: Sequence[Candidate], vector_weight: float) -> list[Scored]:
    """Return all, scored by their ranks on both sides, weighted; 1 is the first of both."""
    sides = ((by_vector(candidates), vector_weight), (by_words(candidates), 1 - vector_weight))
    scores = dict.fromkeys(candidates, 0.0)
    for side, weight in sides:
        for rank, each in enumerate(side, 1):
            scores[each.candidate] += weight * _reciprocal(rank)
    return _ordered(scores)


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
    return _ordered({best[id]: score for id, score in scores.items()})


def by_weight(found: Sequence[Scored]) -> list[Scored]:
    """Return what was found, its scores multiplied by the factors of its sources and ages."""
    weighty = []
    for each in found:
        source, age = each.candidate.factors or (1.0, 1.0)
        weighty.append(Scored(candidate=each.candidate, score=weighed(each.score, source * age), fused=each.score))
    return sorted(weighty, key=lambda each: (-each.score, each.candidate.id.bytes))


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
    )


def _higher(one: float | None, other: float | None) -> float | None:
    known = [score for score in (one, other) if score is not None]
    return max(known, default=None)


def _spread(scores: Mapping[Candidate, float]) -> Mapping[Candidate, float]:
    """Return the scores with the lowest at 0 and the highest at 1."""
    if not scores:
        return {}
    lowest, highest = min(scores.values()), max(scores.values())
    width = highest - lowest
    return {each: (score - lowest) / width if width else 1.0 for each, score in scores.items()}


def _ordered(scores: Mapping[Candidate, float]) -> list[Scored]:
    found = [Scored(candidate=each, score=score) for each, score in scores.items()]
    return sorted(found, key=lambda each: (-each.score, each.candidate.id.bytes))
