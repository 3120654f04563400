"""Searching in PostgreSQL: survey, embed, one statement for each space, fuse, and fetch the texts."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.arrays import texts, uuids
from adapters.postgres.vectors import Halfvec
from adapters.retrieval.conditions import Conditions, access, both
from adapters.retrieval.explaining import places, places_of, plan_of
from adapters.retrieval.facets import counted, must_be_known
from adapters.retrieval.fusion import Candidate, by_weight, in_order, merged
from adapters.retrieval.highlighting import highlighted
from adapters.retrieval.narrowing import Narrowing, most
from adapters.retrieval.nearest import LAST, Near, Nearest
from adapters.retrieval.passages import NEXT, fetched, told_ids, widened
from adapters.retrieval.rarity import Rarity
from adapters.retrieval.rows import Rows
from adapters.retrieval.sampling import sampled
from adapters.retrieval.statements import MOST, SQL, ready_statement
from adapters.retrieval.survey import Area, areas_of, must_be_there
from adapters.retrieval.weighing import by_source, weighing, weights
from adapters.retrieval.words import words_of
from commands.models.model_calls import Embedded, EmbeddingModels, ModelCallFailed
from commands.retrieval.retrieval import Took
from commands.retrieval.vector_store import VectorStore, VectorStoreUnavailable
from domain import filters
from domain.errors import DomainError
from domain.filters import FieldTypes, Filter
from domain.retrieval import Explained, Found, Mode, Passage, Search

TRIES = 5
"""How often a search begins again because an index was switched, or a document replaced, in its middle."""

NOT_ASKED = "Searched by words only: the vector store could not be asked ({code})."
CUT_SHORT = (
    f"The vector store was asked for its {LAST:,} nearest passages, few of which this search may find:"
    " some that are nearer than those given may be missing."
)

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Progress:
    """What one search has done so far; what was embedded stays when it begins again."""

    search: Search
    took: Took | None
    filter: Filter | None
    fixed: Filter | None
    vectors: dict[str | None, list[Halfvec]] = field(default_factory=dict)
    failed: set[str | None] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    embeddings: list[Embedded | ModelCallFailed] = field(default_factory=list)
    milliseconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def clocked(self, stage: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        began = perf_counter()
        try:
            yield
        finally:
            self.milliseconds[stage] += 1000 * (perf_counter() - began)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What PostgreSQL is asked about an area; no query where nothing can be found there."""

    area: Area
    query: bytes | None
    values: Mapping[str, Any]
    near: Near | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one attempt gave; not `whole` where what it searched changed in its middle."""

    mode: Mode
    passages: list[Passage]
    areas: Sequence[Area]
    filter: Mapping[str, Any] | None
    facets: Mapping[str, Any] | None
    explained: Explained | None
    whole: bool


class PostgresSearcher:
    """Searches the passages of the read model."""

    def __init__(self, pool: AsyncConnectionPool, models: EmbeddingModels, store: VectorStore | None = None) -> None:
        """Take a pool whose sessions are set as `search_session` does, and who else says what vectors are near."""
        self._rows = Rows(pool)
        self._nearest = None if store is None else Nearest(self._rows, store)
        self._models = models
        self.rarity = Rarity(lambda: self._rows.of(SQL["frequencies"], {}))

    async def check(self, search: Search) -> None:
        """Raise Invalid for a filter that does not fit, for a facet that no document has, or an index that is not there."""
        if search.filter is not None:
            filters.bind(filters.parse(search.filter), await self._fields(search))
        if search.facets:
            must_be_known(search.facets, await self._fields(search))
        if search.pins:
            must_be_there(search, await self._areas(search))

    async def search(self, search: Search, took: Took | None = None) -> Found:
        """Return the passages that fit best; `took` is told what was embedded for that, however it ends."""
        progress = Progress(
            search=search,
            took=took,
            filter=None if search.filter is None else filters.parse(search.filter),
            fixed=None if search.fixed_filter is None else filters.parse(search.fixed_filter),
        )
        with progress.clocked("total"):
            for left in reversed(range(TRIES)):
                outcome = await self._attempt(progress)
                if outcome.whole:
                    break
                if not left:
                    progress.notes.append("Documents were replaced while they were searched: some may be missing.")
        return Found(
            passages=outcome.passages,
            retrieval=outcome.mode,
            filter=outcome.filter,
            timings_ms={
                stage: round(progress.milliseconds[stage], 3)
                for stage in ("embed", "store", "sql", "fuse", "explain", "total")
                if stage in progress.milliseconds or stage not in ("store", "explain")
            },
            indexes={source: index for area in outcome.areas for source, index in area.indexes.items()},
            embeddings=progress.embeddings,
            notes=progress.notes,
            facets=outcome.facets,
            explained=outcome.explained,
        )

    async def widen(self, passages: Sequence[Passage], window: int) -> Sequence[Passage]:
        """Return passages with as many neighbours on either side, by document in the order of first hits."""
        return await widened(self._rows, passages, window)

    async def sample(
        self, source: UUID, groups: frozenset[str] | None, count: int, *, documents: Sequence[UUID], seed: int
    ) -> tuple[Sequence[Passage], Mapping[str, int]]:
        """Return so many passages of a source at most, spread over its documents, and the index that they are of."""
        return await sampled(self._rows, source, groups, count, documents, seed)

    async def highlight(self, passages: Sequence[Passage], queries: Sequence[str]) -> Sequence[Passage]:
        """Return passages with the ranges of their texts that the queries' words match."""
        return await highlighted(self._rows, passages, queries)

    async def _areas(self, search: Search) -> list[Area]:
        """Return what there is to be searched."""
        values = {
            "sources": uuids(search.sources),
            "queries": texts(search.queries),
            "pins": by_source(search.pins),
            "words": search.mode != "vector",
        }
        return areas_of(await self._rows.of(SQL["survey"], values))

    async def _attempt(self, progress: Progress) -> Outcome:
        """Return what was found once the indexes that answer, and the documents, have been read together."""
        search = progress.search
        with progress.clocked("sql"):
            areas = await self._areas(search)
            must_be_there(search, areas)
            narrowing, filter = await self._narrowing(progress)
        with progress.clocked("embed"):
            await self._embed(progress, areas)
        near = await self._near(progress, areas, narrowing)
        with progress.clocked("sql"):
            asked = [await self._question(progress, area, narrowing, near.get(area.space)) for area in areas]
            answers = [await self._candidates(search, each) for each in asked]
        with progress.clocked("fuse"):
            mode = _mode(search, areas, progress.vectors)
            found = [[each for candidates, _ in answers for each in candidates[n]] for n in range(len(search.queries))]
            ordered = [in_order(search, mode, candidates) for candidates in found]
            mixed = merged(ordered)
            whole = by_weight(mixed) if weighing(search) else mixed
        with progress.clocked("sql"):
            passages = await fetched(self._rows, whole, search.limit, search.window)
            facets = None
            if search.facets:
                facets = await counted(self._rows, [each.candidate.id for each in whole], search.facets)
        explained = None
        if search.explain:
            with progress.clocked("explain"):
                explained = Explained(
                    queries=[places_of(*each) for each in zip(found, ordered, strict=True)],
                    stages={"fused": places(mixed), **({"weighed": places(whole)} if weighing(search) else {})},
                    statements=[await self._plan(each) for each in asked],
                )
        as_surveyed = all(indexes == area.indexes for area, (_, indexes) in zip(areas, answers, strict=True))
        missing = {each.candidate.id for each in whole[: search.limit]} - told_ids(passages)
        return Outcome(
            mode=mode,
            passages=passages,
            areas=areas,
            filter=filter,
            facets=facets,
            explained=explained,
            whole=as_surveyed and not missing,
        )

    async def _narrowing(self, progress: Progress) -> tuple[Narrowing, Mapping[str, Any] | None]:
        """Return what may be found at all, and the caller's filter as it was understood."""
        search, made = progress.search, Conditions()
        parts = [] if search.groups is None else [access()]
        echo = None
        if progress.filter is not None or progress.fixed is not None:
            fields = await self._fields(search)
            if progress.fixed is not None:
                parts.append(made.of(filters.bind(progress.fixed, fields, strictly=False)))
            if progress.filter is not None:
                bound = filters.bind(progress.filter, fields)
                echo = filters.echo(bound)
                parts.append(made.of(bound))
        condition = both(parts) if parts else None
        return Narrowing(condition=condition, parameters=made.parameters, ranked=await self.rarity.ranked()), echo

    async def _fields(self, search: Search) -> FieldTypes:
        """Return the fields that the sources' documents can be filtered by."""
        types: defaultdict[str, set[str]] = defaultdict(set)
        for name, kind in await self._rows.of(SQL["fields"], {"sources": list(search.sources)}):
            types[name].add(kind)
        return {name: frozenset(kinds) for name, kinds in types.items()}

    async def _embed(self, progress: Progress, areas: Sequence[Area]) -> None:
        """Embed the queries for each space that has vectors, once; note where that failed."""
        search = progress.search
        if search.mode == "lexical":
            return
        known = progress.vectors.keys() | progress.failed
        wanted = [area for area in areas if area.in_vectors and area.space not in known]
        answers = await asyncio.gather(*(self._embedded(progress, area) for area in wanted), return_exceptions=True)
        refusals: list[DomainError] = []
        for area, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Embedded | ModelCallFailed):
                progress.embeddings.append(answer)
            try:
                if isinstance(answer, BaseException):
                    raise answer
                progress.vectors[area.space] = _usable(answer, area)
            except DomainError as error:
                log.warning("query_not_embedded", code=error.error_code, space=area.space)
                progress.failed.add(area.space)
                progress.notes.append(f"Searched by words only: the query could not be embedded ({error.error_code}).")
                refusals.append(error)
        if refusals and search.mode == "vector":
            raise refusals[0]

    async def _embedded(self, progress: Progress, area: Area) -> Embedded:
        """Return the queries' vectors for an area's space, and tell what they took."""
        try:
            answer = await self._models.embed(area.model, progress.search.queries, area.space)
        except ModelCallFailed as error:
            if progress.took is not None:
                progress.took(error)
            raise
        if progress.took is not None:
            progress.took(answer)
        return answer

    async def _near(
        self, progress: Progress, areas: Sequence[Area], narrowing: Narrowing
    ) -> Mapping[str | None, Near | None]:
        """Return by space what another store says is near, where it is asked; note where it can't be, or has more."""
        found: dict[str | None, Near | None] = {}
        if self._nearest is None or not progress.vectors:
            return found
        with progress.clocked("store"):
            held = await self._nearest.held()
            for area in [area for area in areas if area.space in held and area.space in progress.vectors]:
                area.elsewhere = True
                condition, values = narrowing.of(area), narrowing.values(progress.search, area)
                wanted = most(progress.search, area)
                try:
                    near = await self._nearest.near(area, progress.vectors[area.space], condition, values, wanted)
                except VectorStoreUnavailable as error:
                    log.warning("vector_store_not_asked", code=error.error_code, space=area.space, error=error.why)
                    if progress.search.mode == "vector":
                        raise
                    progress.failed.add(area.space)
                    del progress.vectors[area.space]
                    progress.notes.append(NOT_ASKED.format(code=error.error_code))
                    continue
                found[area.space] = near
                if near is not None and near.cut_short and CUT_SHORT not in progress.notes:
                    progress.notes.append(CUT_SHORT)
        return found

    async def _question(self, progress: Progress, area: Area, narrowing: Narrowing, near: Near | None) -> Question:
        """Return what PostgreSQL is asked about an area."""
        search, vectors = progress.search, progress.vectors.get(area.space)
        words = search.mode != "vector" or vectors is None
        if vectors is None and not any(area.lexemes):
            return Question(area=area, query=None, values={})
        condition = narrowing.of(area)
        asked: dict[str, Any] = {"vector": vectors is not None, "words": words, "queries": len(search.queries)}
        asked |= {"weighing": weighing(search), "parted": area.parted, "named": near is not None}
        asked["told"] = len(search.queries) == 1 and weighing(search) is None
        query = ready_statement(
            area.space,
            **asked,
            condition=None if condition is None else condition.as_string(None),
            most=MOST if words or condition is not None else most(search, area),
        )
        values: dict[str, Any] = {
            **narrowing.values(search, area),
            **weights(search),
            "told": search.limit + NEXT,
            **(near.parameters if near else {}),
        }
        for number, lexemes in enumerate(area.lexemes):
            values[f"vector_{number}"] = None if vectors is None else vectors[number]
            values |= await words_of(self.rarity, number, lexemes, sought=words)
        return Question(area=area, query=query, values=values, near=near)

    async def _candidates(self, search: Search, asked: Question) -> tuple[list[list[Candidate]], Mapping[str, int]]:
        """Return an area's candidates for each query, and the indexes that they really come from."""
        found: list[list[Candidate]] = [[] for _ in search.queries]
        if asked.query is None:
            return found, asked.area.indexes
        *rows, last = await self._rows.of(asked.query, asked.values)
        for number, id, distance, rank, factors, *told in rows:
            vector = None if distance is None else 1 - distance
            weight = factors and tuple(factors)
            known = told if told and told[0] is not None else None
            found[number].append(Candidate(id=id, vector=vector, lexical=rank, factors=weight, told=known))
        return found, last[4] or {}

    async def _plan(self, asked: Question) -> Mapping[str, Any]:
        """Return how PostgreSQL carries out what it is asked about an area."""
        plan = None if asked.query is None else await plan_of(self._rows, asked.query, asked.values)
        told: dict[str, Any] = {"space": asked.area.space, "index_version": dict(asked.area.indexes), "plan": plan}
        if asked.near is not None and self._nearest is not None:
            told["vector_store"] = {
                "type": self._nearest.store.kind,
                "asked_for": asked.near.asked,
                "cut_short": asked.near.cut_short,
            }
        return told


async def search_session(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set a session of the searching pool."""
    await connection.execute(SQL["session"])


def _usable(answer: Embedded, area: Area) -> list[Halfvec]:
    """Return the queries' vectors, or raise ModelCallFailed where one can't be compared with the space's."""
    lengths = {len(vector) for vector in answer.vectors}
    if answer.dimensions != area.dimensions or lengths != {4 * answer.dimensions}:
        raise ModelCallFailed(
            "The embedding model now gives vectors of another length than those that are stored.",
            code="wrong_dimensions",
            details={"provider": answer.model.provider, "upstream_status": None},
        )
    try:
        return [Halfvec(vector) for vector in answer.vectors]
    except ValueError:
        raise ModelCallFailed(
            "The embedding model gave a vector that can't be compared.",
            code="invalid_vector",
            details={"provider": answer.model.provider, "upstream_status": None},
        ) from None


def _mode(search: Search, areas: Sequence[Area], vectors: Mapping[str | None, object]) -> Mode:
    """Return what was really done."""
    by_vectors = [area.space in vectors for area in areas]
    if not any(by_vectors):
        return "lexical"
    return "vector" if search.mode == "vector" and all(by_vectors) else "hybrid"
