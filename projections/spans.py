"""A run as a trace: its steps as spans, in the words of OpenTelemetry's conventions for generative AI.

The names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ ; what has none there begins with `magnet.`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from domain.run import Run
from projections.recorded import LogEntry

OPERATIONS: Mapping[str, str] = {
    "prompt": "chat",
    "completion": "chat",
    "turn": "invoke_agent",
    "embedding": "embeddings",
    "indexing": "embeddings",
}
"""Of runs, by their kinds; another kind is its own operation."""

Value = str | int | float | bool
WELL = frozenset({"ok", "completed"})
"""Outcomes that are no errors."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a trace: ids as numbers, `parent` None at its top; `error` is the code of what went wrong."""

    trace: int
    id: int
    parent: int | None
    name: str
    began: datetime
    ended: datetime
    client: bool
    error: str | None
    attributes: Mapping[str, Value] = field(default_factory=dict)


def spans_of(started: LogEntry, ended: LogEntry, said: str | None) -> list[Span]:
    """Return the spans of a run that has ended: the same each time, whoever makes them.

    `said` is the trace of the request that began it, as 32 hexadecimal digits, where it said one.
    """
    begin: Run.Created = started.event
    end: Run.Finished | Run.Interrupted = ended.event
    trace = int(said, 16) if said else started.stream.int
    finished = end if isinstance(end, Run.Finished) else None
    outcome = finished.outcome if finished is not None else "interrupted"
    error = None if outcome in WELL else (finished.error or {}).get("code", outcome) if finished else outcome
    began = begin.timestamp
    root = Span(
        trace=trace,
        id=span_id(started.stream, 0),
        parent=None,
        name=f"{operation_of(begin.kind)} {begin.target.get('name') or begin.kind}",
        began=began,
        ended=began + timedelta(milliseconds=finished.duration_ms) if finished is not None else ended.recorded_at,
        client=False,
        error=error,
        attributes=run_attributes(started.stream, begin, finished),
    )
    return [root, *(step_span(started.stream, trace, began, step) for step in (finished.steps if finished else ()))]


def run_attributes(id: UUID, begin: Run.Created, finished: Run.Finished | None) -> dict[str, Value]:
    """Return what is told of a run; nothing of what was said."""
    told: dict[str, Value] = {
        "gen_ai.operation.name": operation_of(begin.kind),
        "magnet.run.id": str(id),
        "magnet.run.kind": begin.kind,
        "magnet.channel": begin.channel,
        **{f"magnet.attribute.{name}": value for name, value in begin.attributes.items()},
    }
    kind, target = begin.target.get("kind"), begin.target
    if kind == "agent":
        told |= {"gen_ai.agent.id": str(target["id"]), "gen_ai.agent.name": str(target["name"])}
    if kind is not None:
        told |= {"magnet.target.kind": str(kind), "magnet.target.version": int(target.get("version") or 0)}
    return told | (spent(finished.usage, finished.cost) if finished is not None else {})


def step_span(run: UUID, trace: int, began: datetime, step: Mapping[str, Any]) -> Span:
    """Return the span of a step."""
    start = began + timedelta(milliseconds=step["started_ms"])
    kind, model = step["kind"], step["model"]
    called = kind == "attempt"
    told: dict[str, Value] = {"magnet.step.kind": kind}
    if model is not None:
        told |= {
            "gen_ai.operation.name": "embeddings" if step["name"] == "embedding" else "chat",
            "gen_ai.provider.name": model["provider"],
            "gen_ai.request.model": model["model"],
        }
    if kind == "action":
        told |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": step["name"]}
    if step["usage"]["total"]:
        told |= spent(step["usage"], step["cost"])
    verb = {"attempt": "chat", "action": "execute_tool"}.get(kind, kind)
    return Span(
        trace=trace,
        id=span_id(run, step["number"]),
        parent=span_id(run, step["parent"] or 0),
        name=f"{verb} {step['name']}",
        began=start,
        ended=start + timedelta(milliseconds=step["duration_ms"]),
        client=called,
        error=None if step["outcome"] in WELL else step["outcome"],
        attributes=told,
    )


def spent(usage: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Value]:
    """Return tokens and money; by OpenTelemetry's counting, input holds what was read from a cache."""
    told: dict[str, Value] = {
        "gen_ai.usage.input_tokens": usage["input"] + usage["cache_read"] + usage["cache_write"],
        "gen_ai.usage.output_tokens": usage["output"] + usage["reasoning"],
        "magnet.cost.unknown": cost["unknown"],
    }
    if cost["currency"] is not None:
        told |= {"magnet.cost.amount": float(cost["amount"]), "magnet.cost.currency": cost["currency"]}
    return told


def operation_of(kind: str) -> str:
    """Return the operation of a run's kind."""
    return OPERATIONS.get(kind, kind)


def span_id(run: UUID, number: int) -> int:
    """Return the id of a step's span; 0 is the run itself. Never zero, which stands for none."""
    return int.from_bytes(sha256(run.bytes + number.to_bytes(4)).digest()[:8]) or 1


def ended_runs(entries: Sequence[LogEntry]) -> list[LogEntry]:
    """Return those entries that end a run."""
    return [entry for entry in entries if isinstance(entry.event, Run.Finished | Run.Interrupted)]
