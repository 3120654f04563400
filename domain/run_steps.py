"""Steps of runs inside each other: what was recorded of a part becomes part of the whole."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.pricing import Cost, Usage
from domain.run import Step

COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning")


def step_of(document: Mapping[str, Any], said: Mapping[str, Any] | None = None) -> Step:
    """Return the step of a public form, with what was said in it."""
    usage, cost = document["usage"], document["cost"]
    texts = said or {}
    return Step(
        **{name: value for name, value in document.items() if name not in ("usage", "cost")},
        usage=Usage(**{name: usage[name] for name in COUNTERS}, estimated=usage["estimated"]),
        cost=Cost(amount=Decimal(cost["amount"]), currency=cost["currency"], unknown=cost["unknown"]),
        input=texts.get("input"),
        output=texts.get("output"),
    )


def inside(steps: Iterable[Step], *, after: int, parent: int, later_ms: float) -> list[Step]:
    """Return the steps of a part as steps of a whole: numbered from `after` on, and `later_ms` later.

    `parent` is the step of the whole that those are part of which were part of nothing.
    """
    return [
        replace(
            step,
            number=step.number + after,
            parent=parent if step.parent is None else step.parent + after,
            started_ms=round(step.started_ms + later_ms, 3),
        )
        for step in steps
    ]
