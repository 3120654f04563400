"""What a search's boosts, recency and chosen indexes are as parameters of its statements."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from adapters.retrieval.statements import Weighing
from domain.retrieval import Search


def by_source(values: Mapping[UUID, float]) -> str:
    """Return numbers by source as the statements take them."""
    return orjson.dumps({str(source): value for source, value in values.items()}).decode()


def weighing(search: Search) -> Weighing | None:
    """Return what candidates are weighed by."""
    if search.recency is None:
        return "ageless" if search.boosts else None
    return "age_by_version" if search.recency.field is None else "age_by_field"


def weights(search: Search) -> Mapping[str, Any]:
    """Return the parameters of what candidates are weighed by."""
    recency = search.recency
    return {
        "boosts": by_source(search.boosts),
        "recency": recency and recency.weight,
        "half_life": recency and recency.half_life_days,
        "recency_field": recency and recency.field,
    }
