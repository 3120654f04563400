"""Searching in PostgreSQL: survey, embed, one statement for each space, fuse, and fetch the texts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres import sql
from adapters.postgres.errors import translated
from adapters.postgres.passages.spaces import tables
from adapters.postgres.vectors import Halfvec
from adapters.retrieval.fusion import Candidate, Scored, by_vector, by_words, fused
from commands.model_calls import Embedded, EmbeddingModels, ModelCallFailed, NoModel
from domain.errors import Unavailable
from domain.retrieval import Found, Mode, Passage, Search

SQL = sql.load("adapters.retrieval", "search.sql")
SCHEMA = "passages_v1"
FEWEST, SHARE, MOST_EXACT = 5_000, 50, 40_000
"""Passages up to which all that a filter leaves are compared: 1 in SHARE of what there is, within bounds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Area:
    """The sources of a search whose vectors live in one space; `dimensions` None: only words yet."""

    space: str | None
    model: UUID | None
    dimensions: int | None
    passages: int
    lexemes: frozenset[str]


class PostgresSearcher:
    """Searches the passages of the read model."""

    def __init__(self, pool: AsyncConnectionPool, models: EmbeddingModels) -> None:
        """Take a pool whose sessions are set as `search_session` does."""
        self._pool = pool
        self._models = models

    async def search(self, search: Search) -> Found:
        """Return the passages that fit best."""
        clock = [perf_counter()]
        areas = await self._survey(search)
        clock.append(perf_counter())
        embeddings, vectors, notes = await self._embed(search, areas)
        clock.append(perf_counter())
        candidates: list[Candidate] = []
        indexes: dict[str, int] = {}
        for area in areas:
            found, answered = await self._candidates(search, area, vectors.get(area.space))
            candidates += found
            indexes |= answered
        clock.append(perf_counter())
        mode = _mode(search, areas, vectors)
        chosen = _chosen(search, mode, candidates)
        clock.append(perf_counter())
        passages = await self._passages(search, chosen)
        clock.append(perf_counter())
        surveyed, embedded, asked, ordered, fetched = (1000 * (after - before) for before, after in pairwise(clock))
        return Found(
            passages=passages,
            retrieval=mode,
            filter=None,
            timings_ms={
                "embed": round(embedded, 3),
                "sql": round(surveyed + asked + fetched, 3),
                "fuse": round(ordered, 3),
                "total": round(1000 * (clock[-1] - clock[0]), 3),
            },
            indexes=indexes,
            embeddings=embeddings,
            notes=notes,
        )

    async def _survey(self, search: Search) -> list[Area]:
        """Return what there is to be searched, by space."""
        rows = await self._rows(SQL["survey"], {"sources": list(search.sources), "query": search.query})
        areas: dict[str | None, Area] = {}
        for _, _, space, model, dimensions, passages, lexemes in rows:
            before = areas.get(space)
            areas[space] = Area(
                space=space,
                model=model,
                dimensions=dimensions,
                passages=passages + (before.passages if before else 0),
                lexemes=frozenset(lexemes or ()) | (before.lexemes if before else frozenset()),
            )
        return list(areas.values())

    async def _embed(
        self, search: Search, areas: Sequence[Area]
    ) -> tuple[list[Embedded], dict[str | None, Halfvec], list[str]]:
        """Return the query's vector for each space that has any, and why some are missing."""
        if search.mode == "lexical":
            return [], {}, []
        wanted = [area for area in areas if area.dimensions is not None]
        answers = await asyncio.gather(
            *(self._models.embed(area.model, [search.query]) for area in wanted), return_exceptions=True
        )
        embeddings, vectors, notes = [], {}, []
        for area, answer in zip(wanted, answers, strict=True):
            try:
                if isinstance(answer, BaseException):
                    raise answer
                embeddings.append(answer)
                vectors[area.space] = _usable(answer, area)
            except (ModelCallFailed, NoModel, Unavailable) as error:
                if search.mode == "vector":
                    raise
                code = getattr(error, "error_code", "embedding_failed")
                log.warning("search_without_vectors", code=code)
                notes.append(f"Searched by words only: the query could not be embedded ({code}).")
        return embeddings, vectors, notes

    async def _candidates(
        self, search: Search, area: Area, vector: Halfvec | None
    ) -> tuple[list[Candidate], dict[str, int]]:
        words = search.mode != "vector" or vector is None
        if vector is None and not area.lexemes:
            return [], {}
        query = statement(area, vector=vector is not None, words=words, restricted=search.groups is not None)
        every = _any_of(area.lexemes)
        rows = await self._rows(
            query,
            {
                "sources": list(search.sources),
                "groups": sorted(search.groups or ()),
                "space": area.space,
                "vector": vector,
                "all_words": every,
                "some_words": every,
                "few": min(max(FEWEST, area.passages // SHARE), MOST_EXACT),
            },
        )
        *found, last = rows
        return [
            Candidate(id=id, vector=None if distance is None else 1 - distance, lexical=rank)
            for id, distance, rank, _ in found
        ], last[3] or {}

    async def _passages(self, search: Search, chosen: Sequence[Scored]) -> list[Passage]:
        """Return the chosen passages, with their neighbours where a window is asked for."""
        if not chosen:
            return []
        values = {"ids": [each.candidate.id for each in chosen], "window": search.window}
        rows = await self._rows(SQL["passages_around" if search.window else "passages"], values)
        scored = {each.candidate.id: each for each in chosen}
        found = {row[0]: (row[13], _passage(row, scored.get(row[0]))) for row in rows}
        if not search.window:
            return [found[id][1] for id in scored if id in found]
        order: dict[UUID, int] = {}
        for id in scored:
            if id in found:
                order.setdefault(found[id][1].document_id, len(order))
        ranked = sorted(found.values(), key=lambda each: (order.get(each[1].document_id, len(order)), each[0]))
        return [passage for _, passage in ranked]

    async def _rows(self, query: LiteralString | statements.Composed, values: Mapping[str, Any]) -> list[Any]:
        try:
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values, binary=True)).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise Unavailable("The read model is just being made: ask again in a moment.") from error
        except (psycopg.Error, PoolTimeout) as error:
            raise translated(error) from error


def statement(area: Area, *, vector: bool, words: bool, restricted: bool) -> statements.Composed:
    """Return the statement that finds an area's candidates."""
    parts: list[LiteralString] = [SQL["shelf"]]
    if restricted:
        parts.append(SQL["matching"])
    if vector:
        parts.append(SQL["vectors_where" if restricted else "vectors"])
    if words:
        parts.append(SQL["words_where" if restricted else "words"])
    last = SQL["candidates"] if vector and words else SQL["candidates_of_vectors" if vector else "candidates_of_words"]
    names: Mapping[str, statements.Composable] = {
        **(tables(area.space, SCHEMA) if area.space else {}),
        "condition": statements.SQL(SQL["access"]),
        "most": statements.Literal(100),
    }
    whole = statements.SQL(", ").join([statements.SQL(part).format(**names) for part in parts])
    return statements.Composed([statements.SQL("WITH "), whole, statements.SQL(" "), statements.SQL(last)])


async def search_session(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set a session of the searching pool."""
    await connection.execute(SQL["session"])


def _any_of(lexemes: frozenset[str]) -> str:
    """Return a tsquery that any of the words satisfies."""
    quoted = (lexeme.replace("\\", "\\\\").replace("'", "''") for lexeme in sorted(lexemes))
    return " | ".join(f"'{lexeme}'" for lexeme in quoted)


def _usable(answer: Embedded, area: Area) -> Halfvec:
    """Return the query's vector, or raise ModelCallFailed where it can't be compared with the space's."""
    if answer.dimensions != area.dimensions or len(answer.vectors[0]) != 4 * answer.dimensions:
        raise ModelCallFailed(
            "The embedding model now gives vectors of another length than those that are stored.",
            code="wrong_dimensions",
            details={"provider": answer.model.provider, "upstream_status": None},
        )
    try:
        return Halfvec(answer.vectors[0])
    except ValueError:
        raise ModelCallFailed(
            "The embedding model gave a vector that can't be compared.",
            code="invalid_vector",
            details={"provider": answer.model.provider, "upstream_status": None},
        ) from None


def _mode(search: Search, areas: Sequence[Area], vectors: Mapping[str | None, Halfvec]) -> Mode:
    """Return what was really done."""
    if not vectors:
        return "lexical"
    if search.mode == "vector" and len(vectors) == len(areas):
        return "vector"
    return "hybrid"


def _chosen(search: Search, mode: Mode, candidates: Sequence[Candidate]) -> list[Scored]:
    match mode:
        case "vector":
            ordered = by_vector(candidates)
        case "lexical":
            ordered = by_words(candidates)
        case _:
            ordered = fused(candidates, search.vector_weight)
    least = search.threshold
    return [each for each in ordered if least is None or each.score >= least][: search.limit]


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
