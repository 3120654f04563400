"""Searching as a retrieval tool is set to: put into other words, found, put into a new order, cut, widened; each a step on record."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any
from uuid import UUID

from commands.choosing import Chosen, choose
from commands.ports import Things
from commands.retrieval.expanding import Expanding
from commands.retrieval.recent_searches import RecentSearches
from commands.retrieval.reranking import Reranking
from commands.retrieval.retrieval import Searcher, search_of
from commands.runs.runs import Recording
from domain.definition import parse
from domain.errors import Invalid
from domain.retrieval import Explained, Found, Passage, Place, Search
from domain.retrieval_tool import MultiQuery, Rerank, RetrievalTool, Rewrite, Translate

NOTES: Mapping[str, str] = {
    "rewrite": "Searched for as it was asked: the query could not be rewritten ({code}).",
    "translate": "Searched for in the language of the query: it could not be translated ({code}).",
    "multi_query": "Searched for in one form: no further queries could be made ({code}).",
    "rerank": "Not put into a new order: reranking failed ({code}).",
}
"""What is noted where a stage failed and the search went on without it."""


class Stages:
    """The milliseconds of each stage."""

    def __init__(self) -> None:
        self._milliseconds: dict[str, float] = {}

    @contextmanager
    def clocked(self, stage: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        began = perf_counter()
        try:
            yield
        finally:
            self._milliseconds[stage] = self._milliseconds.get(stage, 0.0) + 1000 * (perf_counter() - began)

    def beside(self, searched: Mapping[str, float]) -> dict[str, float]:
        """Return them with those of the search itself, whose total is part of the whole one."""
        both = {name: searched.get(name, 0.0) + time for name, time in self._milliseconds.items() if name != "total"}
        return {
            name: round(time, 3) for name, time in {**searched, **both, "total": self._milliseconds["total"]}.items()
        }


@dataclass(frozen=True, kw_only=True)
class ToolSearches:
    """Searches by retrieval tools."""

    things: Things
    searcher: Searcher
    expanding: Expanding
    reranking: Reranking
    recent: RecentSearches = field(default_factory=RecentSearches)

    async def by_tool(
        self,
        recording: Recording,
        tool: UUID,
        query: str,
        *,
        groups: frozenset[str] | None,
        subject: str,
        filter: Mapping[str, Any] | None = None,
        pins: Mapping[UUID, int] | None = None,
        limit: int | None = None,
        parent: int | None = None,
    ) -> Found:
        """Search by a retrieval tool, as a step of a run."""
        chosen = await choose(self.things, RetrievalTool, tool, subject=subject)
        asked = asked_of(chosen, query, groups=groups, limit=limit, filter=filter, pins=pins)
        return await self.carry_out(recording, chosen, asked, subject=subject, parent=parent)

    async def carry_out(
        self, recording: Recording, chosen: Chosen, asked: Search, *, subject: str, parent: int | None = None
    ) -> Found:
        """Search as a chosen retrieval tool asks for it, as a step of a run."""
        self.recent.note()
        with recording.step("search", chosen.name, parent) as step:
            step.input = {"query": asked.query, "filter": asked.filter}
            found = await self._found(recording, chosen.definition, asked, subject, step.number)
            step.note |= {
                "retrieval": found.retrieval,
                "timings_ms": dict(found.timings_ms),
                "passages": [str(passage.id) for passage in found.passages],
            }
            if found.notes:
                step.note["notes"] = list(found.notes)
            for stage in NOTES:
                outcome = getattr(found, stage)
                if outcome is not None and "failed" in outcome:
                    step.note[stage] = dict(outcome)
        recording.versions["retrieval_tool"] = chosen.document()
        recording.versions.setdefault("index", {}).update(found.indexes)
        return found

    async def _found(
        self, recording: Recording, definition: Mapping[str, Any], asked: Search, subject: str, parent: int
    ) -> Found:
        """Return what is found, with what each stage came to; a variant's settings have no defaults until parsed."""
        stages = Stages()
        outcomes: dict[str, Mapping[str, Any]] = {}
        with stages.clocked("total"):
            if definition.get("rewrite") is not None:
                with stages.clocked("rewrite"):
                    rewritten = await self.expanding.rewrite(
                        recording, parse(Rewrite, definition["rewrite"]), asked.query, subject=subject, parent=parent
                    )
                asked, outcomes["rewrite"] = replace(asked, query=rewritten.query), rewritten.outcome
            if definition.get("translate") is not None:
                with stages.clocked("translate"):
                    translated = await self.expanding.translate(
                        recording, parse(Translate, definition["translate"]), asked.query, parent=parent
                    )
                outcomes["translate"] = translated.outcome
                if translated.query != asked.query:  # names and words that stand in no dictionary are found as given
                    asked = replace(asked, query=translated.query, further=[asked.query])
            if definition.get("multi_query") is not None:
                with stages.clocked("multi_query"):
                    varied = await self.expanding.vary(
                        recording, parse(MultiQuery, definition["multi_query"]), asked.query, parent=parent
                    )
                asked, outcomes["multi_query"] = (
                    replace(asked, further=[*asked.further, *varied.queries]),
                    varied.outcome,
                )
            if definition.get("rerank") is None:
                found = await self._searched(recording, asked, parent)
            else:
                rerank = parse(Rerank, definition["rerank"])
                wide = replace(asked, limit=max(asked.limit, rerank.top_n), window=0)
                found = await self._searched(recording, wide, parent)
                with stages.clocked("rerank"):
                    reordered = await self.reranking.reorder(
                        recording, rerank, asked.query, found.passages, parent=parent
                    )
                outcomes["rerank"] = reordered.outcome
                with stages.clocked("sql"):
                    passages = await self.searcher.widen(reordered.passages[: asked.limit], asked.window)
                explained = found.explained and with_reranking(found.explained, reordered.passages)
                found = replace(found, passages=passages, explained=explained)
            if asked.highlight:
                with stages.clocked("highlight"):
                    passages = await self.searcher.highlight(found.passages, asked.queries)
                found = replace(found, passages=passages)
        notes = [
            NOTES[stage].format(code=outcome["failed"]) for stage, outcome in outcomes.items() if "failed" in outcome
        ]
        return replace(
            found,
            rewrite=outcomes.get("rewrite"),
            translate=outcomes.get("translate"),
            multi_query=outcomes.get("multi_query"),
            rerank=outcomes.get("rerank"),
            notes=[*found.notes, *notes],
            timings_ms=stages.beside(found.timings_ms),
        )

    async def _searched(self, recording: Recording, asked: Search, parent: int) -> Found:
        return await self.searcher.search(asked, lambda embedded: recording.called("embedding", embedded, parent))


def with_reranking(explained: Explained, passages: Sequence[Passage]) -> Explained:
    """Return how a search came to its order, with the places that the reranker gave."""
    scores = [(passage.id, passage.scores["rerank"]) for passage in passages]
    scored = [(id, score) for id, score in scores if score is not None]
    places = {id: Place(rank=rank, score=score) for rank, (id, score) in enumerate(scored, 1)}
    return replace(explained, stages={**explained.stages, "rerank": places})


def asked_of(
    chosen: Chosen,
    query: str,
    *,
    groups: frozenset[str] | None,
    limit: int | None = None,
    filter: Mapping[str, Any] | None = None,
    pins: Mapping[UUID, int] | None = None,
) -> Search:
    """Return the search that a chosen retrieval tool makes of a query.

    Raises Invalid where it takes no filter, or does not search a source whose index is asked for.
    """
    if filter is not None and not chosen.definition["allow_filter"]:
        raise Invalid("This retrieval tool takes no filter of its callers.", code="no_filter", pointer="/filter")
    search = search_of(chosen.definition, query, groups=groups, limit=limit, filter=filter)
    for source in pins or {}:
        if source not in search.sources:
            raise Invalid(
                "This retrieval tool does not search this source.",
                code="unknown_source",
                pointer=f"/index_version/{source}",
            )
    return replace(search, pins=pins or {})
