"""Steps of runs inside each other: what was recorded of a part becomes part of the whole; and what is noted of them later."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.pricing import Cost, Usage
from domain.run import Step

COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning")


def step_of(document: Mapping[str, Any], said: Mapping[str, Any] | None = None) -> Step:
    """Return the step of a public form, with what was said in it."""
    texts = said or {}
    return Step(
        **{name: value for name, value in document.items() if name not in ("usage", "cost")},
        usage=usage_of(document["usage"]),
        cost=cost_of(document["cost"]),
        input=texts.get("input"),
        output=texts.get("output"),
    )


def usage_of(document: Mapping[str, Any]) -> Usage:
    """Return the usage of a public form."""
    return Usage(**{name: document[name] for name in COUNTERS}, estimated=document["estimated"])


def cost_of(document: Mapping[str, Any]) -> Cost:
    """Return the cost of a public form."""
    return Cost(amount=Decimal(document["amount"]), currency=document["currency"], unknown=document["unknown"])


def noted(steps: Iterable[Step], kind: str, told: Mapping[str, Any]) -> list[Step]:
    """Return the steps with more in the note of the first of a kind."""
    all_steps = list(steps)
    place = next((place for place, step in enumerate(all_steps) if step.kind == kind), None)
    if place is not None:
        all_steps[place] = replace(all_steps[place], note={**all_steps[place].note, **told})
    return all_steps


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
