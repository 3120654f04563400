"""Retrieval: what is searched for, and the passages that are found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from domain.references import identify
from domain.retrieval_tool import Recency

Mode = Literal["hybrid", "vector", "lexical"]
Fusion = Literal["weighted", "rrf"]
LEAST_FACTOR = 1e-6


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over knowledge sources.

    `groups` are those of whoever asks; None: an admin, who may find everything. `filter` is a JSON
    filter (see domain.filters) whose fields must be known; `fixed_filter` holds besides it, and what
    it does not know matches nothing. `window` adds that many neighbours on either side. `further` are
    queries that are searched for besides, at once; what all of them find becomes one order by its ranks.
    `boosts` are the factors of sources, `pins` the indexes that are searched instead of those that answer.
    `facets` are the fields whose values are counted, `highlight` has matched words told, `explain` how it came to
    its order.
    """

    query: str
    sources: Sequence[UUID]
    groups: frozenset[str] | None
    mode: Mode = "hybrid"
    limit: int = 10
    threshold: float | None = None
    vector_weight: float = 0.6
    fusion: Fusion = "weighted"
    window: int = 0
    further: Sequence[str] = ()
    filter: Mapping[str, Any] | None = None
    fixed_filter: Mapping[str, Any] | None = None
    boosts: Mapping[UUID, float] = field(default_factory=dict)
    recency: Recency | None = None
    pins: Mapping[UUID, int] = field(default_factory=dict)
    facets: Sequence[str] = ()
    highlight: bool = False
    explain: bool = False

    @property
    def queries(self) -> list[str]:
        """All that is searched for."""
        return [self.query, *self.further]


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Where the very text of a passage that was found stands besides."""

    id: UUID
    document_id: UUID
    document_version: int
    external_id: str
    title: str
    url: str | None
    start: int
    end: int
    source_id: UUID


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A piece of a document's version: `start` and `end` are character offsets in its text, `page` from 1.

    `language` is that of the document's text, where it is known. `factors` are what its score was multiplied by, none where nothing weighs; `highlights` the ranges of its text
    that matched, None where nobody asked.
    """

    id: UUID
    text: str
    score: float
    scores: Mapping[str, float | None]
    document_id: UUID
    document_version: int
    external_id: str
    title: str
    url: str | None
    start: int
    end: int
    page: int | None
    heading: str | None
    metadata: Mapping[str, Any]
    source_id: UUID
    language: str | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    also_in: Sequence[Twin] = ()
    highlights: Sequence[tuple[int, int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a passage stood in a stage, from 1, and its score there."""

    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Explained:
    """How a search came to its order.

    `queries` has for each query the places in `vector`, `lexical` and `fused`, by passage; `stages` those in the whole
    of it, `fused`, `weighed` and `rerank`. `statements` tells space, indexes and plan of each statement.
    """

    queries: Sequence[Mapping[str, Mapping[UUID, Place]]]
    stages: Mapping[str, Mapping[UUID, Place]]
    statements: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search gave.

    `retrieval` is the mode that was really possible; `indexes` source id -> index that answered;
    `embeddings` what embedding the query took (commands.models.model_calls.Embedded or ModelCallFailed each); `notes` says why
    less was done than asked for. `rewrite`, `translate`, `multi_query` and `rerank` tell what came of these, in their public form;
    None where they are off. `facets` has for each field how many documents have which value.
    """

    passages: Sequence[Passage]
    retrieval: Mode
    filter: Mapping[str, Any] | None
    timings_ms: Mapping[str, float]
    indexes: Mapping[str, int]
    embeddings: Sequence[Any] = field(default_factory=tuple)
    notes: Sequence[str] = ()
    rewrite: Mapping[str, Any] | None = None
    multi_query: Mapping[str, Any] | None = None
    translate: Mapping[str, Any] | None = None
    rerank: Mapping[str, Any] | None = None
    facets: Mapping[str, Any] | None = None
    explained: Explained | None = None


def space_name(model: UUID, provider_model: str) -> str:
    """Return the name of the space that an embedding model's vectors live in: 16 hex digits."""
    return sha256(f"{model}:{provider_model}".encode()).hexdigest()[:16]


def weighed(score: float, factor: float) -> float:
    """Return a score times a factor; one below 0 goes the same way, up with what counts more."""
    return score * factor if score >= 0 else score / max(factor, LEAST_FACTOR)


def passage_id(document: UUID, version: int, index: int, ordinal: int) -> UUID:
    """Return the id of a document's passage: the same whenever it is made again."""
    return identify("passage", f"{document}:{version}:{index}:{ordinal}")
