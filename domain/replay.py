"""Replays: what came of many turns that were answered again, beside what was answered then."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from domain.pricing import total_cost, total_usage
from domain.run import cost_document, usage_document
from domain.run_steps import cost_of, usage_of

SOURCES = ("exact", "closest", "unmatched", "live")
"""What answers a call: what is on record of the same call, or of another one of the same function; nothing; or it is done."""


def summary_of(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return sums and means of turns in their public form."""
    answered = [turn for turn in turns if turn["candidate"]["error"] is None]
    scores = [turn["similarity"] for turn in answered if turn["similarity"] is not None]
    calls = Counter(call["answered_by"] for turn in turns for call in turn["candidate"]["tool_calls"])
    methods = sorted({score["method"] for score in scores})
    return {
        "turns": len(turns),
        "failed": len(turns) - len(answered),
        "similarity": mean([score["score"] for score in scores]),
        "methods": methods,
        "scores": scores_of(answered),
        "same_calls": sum(turn["same_calls"] for turn in answered),
        "calls": {source: calls[source] for source in SOURCES},
        **{side: _side([turn[side] for turn in turns]) for side in ("recorded", "candidate")},
    }


def scores_of(turns: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by the name of each scorer the mean of its scores, how many it gave, and how often it could not say."""
    given: dict[str, list[float | None]] = {}
    for turn in turns:
        for each in turn.get("scores", ()):  # a report that was kept before there were scorers has none
            given.setdefault(each["name"], []).append(each["score"])
    found = {name: [score for score in scores if score is not None] for name, scores in given.items()}
    return {
        name: {"mean": mean(found[name]), "scored": len(found[name]), "failed": len(scores) - len(found[name])}
        for name, scores in given.items()
    }


def _side(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        **sums(said),
        "duration_ms": mean([each["duration_ms"] for each in said if each["duration_ms"] is not None]),
    }


def sums(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return usage and cost of what has some, in their public forms."""
    return {
        "usage": usage_document(total_usage([usage_of(each["usage"]) for each in parts if each.get("usage")])),
        "cost": cost_document(total_cost([cost_of(each["cost"]) for each in parts if each.get("cost")])),
    }


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, of nothing None."""
    return round(sum(values) / len(values), 4) if values else None
