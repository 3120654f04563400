"""Run: one execution, with the exact versions of everything it used, what it took and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.errors import Conflict
from domain.pricing import Cost, Usage, total_cost, total_usage

Kind = Literal[
    "prompt",
    "search",
    "answer",
    "turn",
    "completion",
    "embedding",
    "indexing",
    "sync",
    "title",
    "post_processing",
    "sample_questions",
    "pipeline",
    "evaluation",
]
Outcome = Literal["completed", "failed", "cancelled", "interrupted"]
TEXTS = "run_texts"
"""What was said in runs: kept for so many days where somebody wants that."""

ANSWERED = "search"
"""Kind of the step that notes of what was found in a knowledge base became: an answer's resolution, its question's language."""

NO_COST = Cost(amount=Decimal(0), currency=None, unknown=False)


class RunEnded(Conflict):
    """This run has ended already: it was interrupted when nobody seemed to carry it out."""

    code = "run_ended"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a run: `parent` is the number of the step it is part of; times in milliseconds.

    `usage` and `cost` are its own, without those of the steps it consists of. `input` and `output` are
    what was said: recorded sealed, and only where `observability` is full.
    """

    number: int
    parent: int | None
    kind: str
    name: str
    started_ms: float
    duration_ms: float
    outcome: str
    model: Mapping[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Cost = NO_COST
    note: Mapping[str, Any] = field(default_factory=dict)
    input: Any = None
    output: Any = None


@dataclass(frozen=True, kw_only=True)
class End:
    """How a run ended: `error` is {code, message}; `output` and the steps' texts are what was said."""

    outcome: Outcome
    error: Mapping[str, str] | None
    duration_ms: float
    first_token_ms: float | None
    versions: Mapping[str, Any]
    steps: Sequence[Step]
    output: Any


class Run(Aggregate):
    """One execution. Begun before anything is asked of a model, ended before an answer is given out."""

    TOPIC = "run"
    SNAPSHOTS = False

    class Created(Aggregate.Created):
        """An execution began; `target` is {kind, id, name, version, variant} of what is run."""

        TOPIC = "run.started"
        PERSONAL: ClassVar[frozenset[str]] = frozenset({"input"})
        PERIOD: ClassVar[str] = TEXTS
        kind: str
        target: dict[str, Any]
        principal: dict[str, str]
        subject: str | None
        channel: str
        attributes: dict[str, str]
        input: Any

    class Finished(Aggregate.Event):
        """It ended; usage and cost are the sums of its steps'."""

        TOPIC = "run.finished"
        PERSONAL: ClassVar[frozenset[str]] = frozenset({"output", "said"})
        PERIOD: ClassVar[str] = TEXTS
        subject: str | None
        outcome: str
        error: dict[str, str] | None
        duration_ms: float
        first_token_ms: float | None
        versions: dict[str, Any]
        steps: list[dict[str, Any]]
        usage: dict[str, Any]
        cost: dict[str, Any]
        output: Any
        said: dict[str, Any] | None

        def apply(self, aggregate: "Run") -> None:
            aggregate.outcome = self.outcome

    class Interrupted(Aggregate.Event):
        """Whoever carried it out is gone: what it took is not known."""

        TOPIC = "run.interrupted"

        def apply(self, aggregate: "Run") -> None:
            aggregate.outcome = "interrupted"

    def __init__(
        self,
        kind: str,
        target: dict[str, Any],
        principal: dict[str, str],
        subject: str | None,
        channel: str,
        attributes: dict[str, str],
        input: Any,
    ) -> None:
        self.kind = kind
        self.subject = subject
        self.outcome: str | None = None

    @classmethod
    def start(
        cls,
        *,
        id: UUID,
        kind: Kind,
        target: Mapping[str, Any],
        principal: Mapping[str, str],
        subject: str | None,
        channel: str,
        attributes: Mapping[str, str],
        input: Any,
    ) -> Self:
        """Begin a run."""
        return cls._create(
            cls.Created,
            id=id,
            kind=kind,
            target=dict(target),
            principal=dict(principal),
            subject=subject,
            channel=channel,
            attributes=dict(attributes),
            input=input,
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.outcome is not None

    def finish(self, end: End) -> None:
        """End it, or raise RunEnded."""
        if self.outcome is not None:
            raise RunEnded
        said = {
            str(step.number): {"input": step.input, "output": step.output}
            for step in end.steps
            if step.input is not None or step.output is not None
        }
        self.trigger_event(
            self.Finished,
            subject=self.subject,
            outcome=end.outcome,
            error=None if end.error is None else dict(end.error),
            duration_ms=end.duration_ms,
            first_token_ms=end.first_token_ms,
            versions=dict(end.versions),
            steps=[step_document(step) for step in end.steps],
            usage=usage_document(total_usage([step.usage for step in end.steps])),
            cost=cost_document(total_cost([step.cost for step in end.steps])),
            output=end.output,
            said=said or None,
        )

    def interrupt(self) -> None:
        """Note that nobody carries it out any more; nothing happens where it has ended."""
        if self.outcome is None:
            self.trigger_event(self.Interrupted)


def usage_document(usage: Usage) -> dict[str, Any]:
    """Return the public form of a usage."""
    return {
        "input": usage.input,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "output": usage.output,
        "reasoning": usage.reasoning,
        "total": usage.total,
        "estimated": usage.estimated,
    }


def cost_document(cost: Cost) -> dict[str, Any]:
    """Return the public form of a cost: money is decimal text."""
    amount = format(cost.amount, "f")
    if "." in amount:
        amount = amount.rstrip("0").rstrip(".")
    return {"amount": amount, "currency": cost.currency, "unknown": cost.unknown}


def step_document(step: Step) -> dict[str, Any]:
    """Return the public form of a step, without what was said."""
    return {
        "number": step.number,
        "parent": step.parent,
        "kind": step.kind,
        "name": step.name,
        "started_ms": step.started_ms,
        "duration_ms": step.duration_ms,
        "outcome": step.outcome,
        "model": None if step.model is None else dict(step.model),
        "usage": usage_document(step.usage),
        "cost": cost_document(step.cost),
        "note": dict(step.note),
    }
