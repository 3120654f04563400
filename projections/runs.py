"""The read model of runs: one row each, and one for each call of a model; usage is summed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.run import ANSWERED, Run
from projections.recorded import Recorded
from projections.run_findings import FINDINGS, FOUND, OF_TURNS, FindingsWriter, TurnRun, note_findings, turn_runs


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """How a run ended; counters and cost are those of all its calls."""

    id: UUID
    outcome: str
    error: str | None
    duration_ms: float | None
    first_token_ms: float | None
    ended_at: datetime
    versions: Mapping[str, Any]
    usage: Mapping[str, Any]
    cost: Mapping[str, Any]
    unknown: bool
    resolution: str | None
    language: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunBegin:
    """A run that began, and how it ended where that is known already."""

    id: UUID
    kind: str
    target: Mapping[str, Any]
    principal: Mapping[str, str]
    subject: str | None
    channel: str
    attributes: Mapping[str, str]
    position: int
    started_at: datetime
    ended: RunEnd | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRow:
    """One request to a provider, as part of a run."""

    run: UUID
    number: int
    model: str
    provider: str
    outcome: str
    duration_ms: float
    usage: Mapping[str, Any]
    amount: Decimal
    currency: str | None
    unknown: bool


class RunsWriter(FindingsWriter, Protocol):
    """The read model inside the present transaction."""

    async def begin(self, rows: Sequence[RunBegin], turns: Sequence[TurnRun]) -> None:
        """Insert runs, with their ends where those are known, and which turns are which runs."""

    async def end(self, rows: Sequence[RunEnd]) -> None:
        """Complete runs."""

    async def call(self, rows: Sequence[CallRow]) -> None:
        """Insert the calls of runs."""


@dataclass(frozen=True, kw_only=True)
class RunsQuery:
    """What a list of runs may ask for; `only`: those of this principal's id, `found`: by FOUND.

    `after` is the position of the last one of the page before, in either order.
    """

    limit: int
    after: int | None = None
    newest_first: bool = True
    kind: str | None = None
    target: str | None = None
    outcome: str | None = None
    subject: str | None = None
    principal: str | None = None
    channel: str | None = None
    only: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


DIMENSIONS = (
    *("kind", "target", "version", "variant", "model", "provider", "principal", "subject", "channel", "outcome"),
    *FOUND,
)
"""What usage can be grouped by, besides attributes."""

ATTRIBUTE = "attribute."
"""What stands before the name of an attribute that usage is grouped by."""

BUCKETS = ("hour", "day", "week", "month")


@dataclass(frozen=True, kw_only=True)
class UsageQuery:
    """What usage may ask for, `limit` rows at most; without a bucket, one row for the whole time."""

    limit: int
    bucket: str | None
    by: Sequence[str]
    since: datetime | None
    until: datetime | None
    filters: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


class RunsView(Protocol):
    """The read model for queries."""

    async def page(self, query: RunsQuery) -> tuple[Sequence[Mapping[str, Any]], int | None]:
        """Return runs in their public form, and the position after which the next ones stand."""

    async def get(self, id: UUID) -> Mapping[str, Any] | None:
        """Return a run in its public form, without its steps."""

    async def usage(self, query: UsageQuery) -> Sequence[Mapping[str, Any]]:
        """Return usage by bucket and dimensions."""


REQUESTS = frozenset({"attempt", "embedding"})
"""Kinds of steps that are requests to providers."""


class RunsProjection:
    """Keeps the rows.

    Of conversations it takes what says which runs their turns are, and what was found of those. That stands in rows of
    its own, by the conversation's stream alone: whether the run's own stream is followed before or after is the same.
    """

    name: ClassVar[str] = "runs_v1"
    takes: ClassVar[tuple[type[Any], ...]] = (
        Run.Created,
        Run.Finished,
        Run.Interrupted,
        *OF_TURNS,
        *FINDINGS,
    )
    independent: ClassVar[bool] = True

    async def apply(self, events: Sequence[Recorded], view: RunsWriter) -> None:
        """Insert what began, complete what ended."""
        ends = {
            entry.stream: end_of(entry) for entry in events if isinstance(entry.event, Run.Finished | Run.Interrupted)
        }
        begun = [
            begin_of(entry, ends.pop(entry.stream, None)) for entry in events if isinstance(entry.event, Run.Created)
        ]
        calls = [call for entry in events if isinstance(entry.event, Run.Finished) for call in calls_of(entry)]
        turns = turn_runs(events)
        if begun or turns:
            await view.begin(begun, turns)
        if ends:
            await view.end(list(ends.values()))
        if calls:
            await view.call(calls)
        await note_findings(events, view)


def begin_of(entry: Recorded, ended: RunEnd | None) -> RunBegin:
    """Return the row of a run that began, and perhaps ended."""
    event: Run.Created = entry.event
    return RunBegin(
        id=entry.stream,
        kind=event.kind,
        target=event.target,
        principal=event.principal,
        subject=event.subject,
        channel=event.channel,
        attributes=event.attributes,
        position=entry.position,
        started_at=entry.recorded_at,
        ended=ended,
    )


def end_of(entry: Recorded) -> RunEnd:
    """Return how a run ended; of one that was interrupted, what it took is not known."""
    event = entry.event
    if isinstance(event, Run.Interrupted):
        nothing = {"amount": "0", "currency": None, "unknown": True}
        return RunEnd(
            id=entry.stream,
            outcome="interrupted",
            error="interrupted",
            duration_ms=None,
            first_token_ms=None,
            ended_at=entry.recorded_at,
            versions={},
            usage={},
            cost=nothing,
            unknown=True,
            resolution=None,
            language=None,
        )
    told: Mapping[str, Any] = next(
        (step["note"] for step in event.steps if step["kind"] == ANSWERED and "resolution" in step["note"]), {}
    )
    return RunEnd(
        id=entry.stream,
        outcome=event.outcome,
        error=event.error["code"] if event.error else None,
        duration_ms=event.duration_ms,
        first_token_ms=event.first_token_ms,
        ended_at=entry.recorded_at,
        versions=event.versions,
        usage=event.usage,
        cost=event.cost,
        unknown=event.cost["unknown"],
        resolution=told.get("resolution"),
        language=told.get("language"),
    )


def calls_of(entry: Recorded) -> list[CallRow]:
    """Return the requests to providers that a run made: all that anything was taken by."""
    return [
        CallRow(
            run=entry.stream,
            number=step["number"],
            model=step["model"]["name"],
            provider=step["model"]["provider"],
            outcome=step["outcome"],
            duration_ms=step["duration_ms"],
            usage=step["usage"],
            amount=Decimal(step["cost"]["amount"]),
            currency=step["cost"]["currency"],
            unknown=step["cost"]["unknown"],
        )
        for step in entry.event.steps
        if step["kind"] in REQUESTS
    ]
