"""Searching: the port behind which passages are found, and what a retrieval tool asks of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from commands.models.model_calls import Embedded, ModelCallFailed
from commands.ports import Actor
from domain.definition import parse
from domain.retrieval import Found, Passage, Search
from domain.retrieval_tool import Recency

Took = Callable[[Embedded | ModelCallFailed], object]
"""Is told what embedding a query took, as soon as that is known."""


class Searcher(Protocol):
    """Finds passages."""

    async def search(self, search: Search, took: Took | None = None) -> Found:
        """Return what was found; raise Invalid for a filter that does not fit, or ModelCallFailed.

        `took` is told what was embedded, however the search ends.
        """

    async def widen(self, passages: Sequence[Passage], window: int) -> Sequence[Passage]:
        """Return passages with as many neighbours on either side, by document in the order of first hits."""

    async def highlight(self, passages: Sequence[Passage], queries: Sequence[str]) -> Sequence[Passage]:
        """Return passages with the ranges of their texts that the queries' words match."""

    async def sample(
        self, source: UUID, groups: frozenset[str] | None, count: int, *, documents: Sequence[UUID], seed: int
    ) -> tuple[Sequence[Passage], Mapping[str, int]]:
        """Return so many passages of a source at most, spread over its documents, and the index that they are of.

        Of some documents, where any are named; the same for the same seed.
        """

    async def check(self, search: Search) -> None:
        """Raise Invalid for a filter that does not fit, for a facet that no document has, or an index that is not there."""


def groups_of(actor: Actor) -> frozenset[str] | None:
    """Return the groups whose documents a caller may find; None: all, as an admin may."""
    return None if "admin" in actor.roles else actor.groups


def may_find(groups: frozenset[str] | None, acl: Sequence[str] | None) -> bool:
    """Return whether a caller of these groups may find a document; `acl` None: whoever may search."""
    return groups is None or acl is None or not groups.isdisjoint(acl)


def search_of(
    definition: Mapping[str, Any],
    query: str,
    *,
    groups: frozenset[str] | None,
    limit: int | None = None,
    filter: Mapping[str, Any] | None = None,
) -> Search:
    """Return the search that a retrieval tool's definition (its variant applied) makes of a query."""
    recency = definition.get("recency")
    return Search(
        query=query,
        sources=[UUID(source) for source in definition["sources"]],
        groups=groups,
        mode=definition["mode"],
        limit=limit if limit is not None else definition["limit"],
        threshold=definition["threshold"],
        vector_weight=definition["vector_weight"],
        fusion=definition.get("fusion", "weighted"),
        window=definition["window"],
        filter=filter,
        fixed_filter=definition["filter"],
        boosts={UUID(boost["source"]): boost["factor"] for boost in definition.get("boosts", ())},
        recency=None if recency is None else parse(Recency, recency),
    )
