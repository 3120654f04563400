"""Searching as a retrieval tool is set to: found, put into a new order, cut, widened; each a step on record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any
from uuid import UUID

from commands.choosing import Chosen, choose
from commands.model_calls import ModelCallFailed
from commands.ports import Things
from commands.reranking import Reranking
from commands.retrieval import Searcher, search_of
from commands.runs import Recording
from domain.definition import parse
from domain.errors import Invalid
from domain.retrieval import Found, Search
from domain.retrieval_tool import Rerank, RetrievalTool


@dataclass(frozen=True, kw_only=True)
class ToolSearches:
    """Searches by retrieval tools."""

    things: Things
    searcher: Searcher
    reranking: Reranking

    async def by_tool(
        self,
        recording: Recording,
        tool: UUID,
        query: str,
        *,
        groups: frozenset[str] | None,
        subject: str,
        filter: Mapping[str, Any] | None = None,
        limit: int | None = None,
        parent: int | None = None,
    ) -> Found:
        """Search by a retrieval tool, as a step of a run."""
        chosen = await choose(self.things, RetrievalTool, tool, subject=subject)
        asked = asked_of(chosen, query, groups=groups, limit=limit, filter=filter)
        return await self.carry_out(recording, chosen, asked, parent=parent)

    async def carry_out(
        self, recording: Recording, chosen: Chosen, asked: Search, *, parent: int | None = None
    ) -> Found:
        """Search as a chosen retrieval tool asks for it, as a step of a run."""
        with recording.step("search", chosen.name, parent) as step:
            step.input = {"query": asked.query, "filter": asked.filter}
            found = await self._found(recording, chosen.definition, asked, step.number)
            step.note |= {
                "retrieval": found.retrieval,
                "timings_ms": dict(found.timings_ms),
                "passages": [str(passage.id) for passage in found.passages],
            }
            if found.notes:
                step.note["notes"] = list(found.notes)
            if found.rerank is not None:
                step.note["rerank"] = dict(found.rerank)
        recording.versions["retrieval_tool"] = chosen.document()
        recording.versions.setdefault("index", {}).update(found.indexes)
        return found

    async def _found(self, recording: Recording, definition: Mapping[str, Any], asked: Search, parent: int) -> Found:
        if definition.get("rerank") is None:
            return await self._searched(recording, asked, parent)
        settings = parse(Rerank, definition["rerank"])  # a variant's has no defaults yet
        began = perf_counter()
        wide = replace(asked, limit=max(asked.limit, settings.top_n), window=0)
        found = await self._searched(recording, wide, parent)
        searched = perf_counter()
        reordered = await self.reranking.reorder(recording, settings, asked.query, found.passages, parent=parent)
        reranked = perf_counter()
        passages = await self.searcher.widen(reordered.passages[: asked.limit], asked.window)
        done = perf_counter()
        timings = {
            **found.timings_ms,
            "sql": round(found.timings_ms["sql"] + 1000 * (done - reranked), 3),
            "rerank": round(1000 * (reranked - searched), 3),
            "total": round(1000 * (done - began), 3),
        }
        notes = list(found.notes)
        if "failed" in reordered.outcome:
            notes.append(f"Not put into a new order: reranking failed ({reordered.outcome['failed']}).")
        return replace(found, passages=passages, timings_ms=timings, notes=notes, rerank=reordered.outcome)

    async def _searched(self, recording: Recording, asked: Search, parent: int) -> Found:
        try:
            found = await self.searcher.search(asked)
        except ModelCallFailed as error:
            recording.called("embedding", error, parent)
            raise
        for embedded in found.embeddings:
            recording.called("embedding", embedded, parent)
        return found


def asked_of(
    chosen: Chosen,
    query: str,
    *,
    groups: frozenset[str] | None,
    limit: int | None = None,
    filter: Mapping[str, Any] | None = None,
) -> Search:
    """Return the search that a chosen retrieval tool makes of a query, or raise Invalid where it takes no filter."""
    if filter is not None and not chosen.definition["allow_filter"]:
        raise Invalid("This retrieval tool takes no filter of its callers.", code="no_filter", pointer="/filter")
    return search_of(chosen.definition, query, groups=groups, limit=limit, filter=filter)
