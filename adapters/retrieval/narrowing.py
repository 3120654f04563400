"""What a search may find at all, and how much may be left for all of it to be compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql as statements

from adapters.postgres.arrays import texts, uuids
from adapters.retrieval.rarity import MOST_RANKED
from adapters.retrieval.statements import FEWER, MOST, SQL
from adapters.retrieval.survey import Area
from adapters.retrieval.weighing import by_source, weighing
from domain.retrieval import Search

FEWEST, SHARE, MOST_EXACT = 5_000, 50, 40_000
"""Passages up to which all that a filter leaves are compared: 1 in SHARE of what there is, within bounds."""

LARGE = 200_000
"""Vectors from which on an index is walked more thoroughly: the same walk misses more of what is near, the more there are."""

USUAL, THOROUGH = "100", "150"
"""How many of the nearest ones a walk keeps at hand (hnsw.ef_search)."""

SHARE_ELSEWHERE = 10
"""The same where another store is asked otherwise: it would have to name ten times as many as are wanted."""


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """What may be found at all: a condition on a place, with its parameters; None: everything.

    `ranked`: how many passages are ranked by their words, at most, where nothing narrows a search.
    """

    condition: statements.Composable | None
    parameters: Mapping[str, Any]
    ranked: int

    def of(self, area: Area) -> statements.Composable | None:
        """Return the condition for an area; where that is a part of what its space holds, not everything can be found."""
        if self.condition is None and area.is_part:
            return statements.SQL(SQL["everything"])
        return self.condition

    def values(self, search: Search, area: Area) -> Mapping[str, Any]:
        """Return the parameters of what may be found in an area."""
        return {
            **self.parameters,
            "sources": uuids(search.sources),
            "groups": texts(sorted(search.groups or ())),
            "space": area.space,
            "pins": by_source(search.pins),
            "passages": area.passages,
            "thoroughness": THOROUGH if area.whole >= LARGE else USUAL,
            "ranked": self.ranked,
            "most_ranked": MOST_RANKED,
            "few": min(max(FEWEST, area.whole // (SHARE_ELSEWHERE if area.elsewhere else SHARE)), MOST_EXACT),
        }


def most(search: Search, area: Area) -> int:
    """Return how many of the nearest vectors are wanted: no more than asked for, where nothing else chooses from them."""
    if search.mode != "vector" or area.parted or search.facets or weighing(search):
        return MOST
    return next((few for few in FEWER if few >= search.limit), MOST)
