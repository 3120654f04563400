"""Pipeline run: a pipeline under way, with what each item gave; whoever carries it out may be another one tomorrow."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.errors import Conflict, StaleVersion
from domain.run import TEXTS

ItemOutcome = Literal["completed", "failed", "skipped", "cancelled", "unknown"]
"""`unknown`: it changes something, was begun, and nobody knows what came of it."""

RUNNING = frozenset({"running", "cancelling"})


class PipelineRunEnded(Conflict):
    """This run has ended already."""

    code = "pipeline_run_ended"


class ItemBegun(Conflict):
    """This changes something, and was begun already: it is not begun twice."""

    code = "item_begun"


class PipelineRun(Aggregate):
    """One run of a pipeline. What an item gave is on record before the next step begins."""

    TOPIC = "pipeline_run"
    SNAPSHOTS = False

    class Created(Aggregate.Created):
        """Somebody had a pipeline run; `pipeline` is {kind, id, name, version, variant}."""

        TOPIC = "pipeline_run.created"
        PERSONAL: ClassVar[frozenset[str]] = frozenset({"inputs"})
        PERIOD: ClassVar[str] = TEXTS
        run: str
        pipeline: dict[str, Any]
        principal: dict[str, str]
        subject: str | None
        channel: str
        attributes: dict[str, str]
        inputs: dict[str, Any]

    class ItemStarted(Aggregate.Event):
        """An item was begun, perhaps once more; `changes`: what it does changes something outside."""

        TOPIC = "pipeline_run.item_started"
        step: str
        item: str
        changes: bool
        elapsed_ms: float

        def apply(self, aggregate: "PipelineRun") -> None:
            place = (self.step, self.item)
            begun = {"changes": self.changes, "started_ms": self.elapsed_ms}
            aggregate.begun = aggregate.begun | {place: [*aggregate.begun.get(place, []), begun]}
            aggregate.elapsed_ms = max(aggregate.elapsed_ms, self.elapsed_ms)

    class ItemEnded(Aggregate.Event):
        """An item ended; `error` is {kind, code}, its words are the `reason`; `parts` are steps in the form of a run's."""

        TOPIC = "pipeline_run.item_ended"
        PERSONAL: ClassVar[frozenset[str]] = frozenset({"reason", "given", "result", "said"})
        PERIOD: ClassVar[str] = TEXTS
        step: str
        item: str
        subject: str | None
        outcome: str
        error: dict[str, str] | None
        reason: str | None
        started_ms: float
        elapsed_ms: float
        versions: dict[str, Any]
        parts: list[dict[str, Any]]
        given: dict[str, Any] | None
        result: dict[str, Any] | None
        said: dict[str, Any] | None

        def apply(self, aggregate: "PipelineRun") -> None:
            ended = {
                "outcome": self.outcome,
                "error": None if self.error is None else {**self.error, "message": self.reason},
                "started_ms": self.started_ms,
                "duration_ms": round(self.elapsed_ms - self.started_ms, 3),
                "versions": self.versions,
                "parts": self.parts,
                "given": self.given,
                "result": self.result,
                "said": self.said,
            }
            aggregate.items = aggregate.items | {(self.step, self.item): ended}
            aggregate.elapsed_ms = max(aggregate.elapsed_ms, self.elapsed_ms)

    class CancelRequested(Aggregate.Event):
        """It is to stop at once."""

        TOPIC = "pipeline_run.cancel_requested"

        def apply(self, aggregate: "PipelineRun") -> None:
            aggregate.state = "cancelling"

    class Completed(Aggregate.Event):
        """All of it was done; `output` is `{value}`: what it gives."""

        TOPIC = "pipeline_run.completed"
        PERSONAL: ClassVar[frozenset[str]] = frozenset({"output"})
        PERIOD: ClassVar[str] = TEXTS
        subject: str | None
        output: dict[str, Any]

        def apply(self, aggregate: "PipelineRun") -> None:
            aggregate.state = "completed"
            aggregate.output = self.output.get("value")

    class Failed(Aggregate.Event):
        """It could not be done, or not within its limits; what was done until then is kept.

        `error` is {kind, code, message}, with the step and item that failed where it was one.
        """

        TOPIC = "pipeline_run.failed"
        error: dict[str, Any]

        def apply(self, aggregate: "PipelineRun") -> None:
            aggregate.state = "failed"
            aggregate.error = self.error

    class Cancelled(Aggregate.Event):
        """It stopped because somebody asked for it; what was done until then is kept."""

        TOPIC = "pipeline_run.cancelled"

        def apply(self, aggregate: "PipelineRun") -> None:
            aggregate.state = "cancelled"

    def __init__(
        self,
        run: str,
        pipeline: dict[str, Any],
        principal: dict[str, str],
        subject: str | None,
        channel: str,
        attributes: dict[str, str],
        inputs: dict[str, Any],
    ) -> None:
        self.run = run
        self.pipeline = pipeline
        self.principal = principal
        self.subject = subject
        self.channel = channel
        self.attributes = attributes
        self.inputs = inputs
        self.state = "running"
        self.begun: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.elapsed_ms = 0.0
        self.output: Any = None
        self.error: dict[str, Any] | None = None

    @staticmethod
    def id_of(run: UUID) -> UUID:
        """Return the id of the stream that says how a run of a pipeline goes."""
        return uuid5(run, "pipeline")

    @classmethod
    def start(
        cls,
        *,
        run: UUID,
        pipeline: Mapping[str, Any],
        principal: Mapping[str, str],
        subject: str | None,
        channel: str,
        attributes: Mapping[str, str],
        inputs: Mapping[str, Any],
    ) -> Self:
        """Begin one."""
        return cls._create(
            cls.Created,
            id=cls.id_of(run),
            run=str(run),
            pipeline=dict(pipeline),
            principal=dict(principal),
            subject=subject,
            channel=channel,
            attributes=dict(attributes),
            inputs=dict(inputs),
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in RUNNING

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one."""
        if version not in (None, self.version):
            raise StaleVersion(details={"current_version": self.version})

    def must_go_on(self) -> None:
        """Raise PipelineRunEnded where nothing more comes of it."""
        if self.is_over:
            raise PipelineRunEnded

    def has_begun(self, step: str, item: str) -> Mapping[str, Any] | None:
        """Return how an item was begun the last time, where it was and has not ended."""
        begun = self.begun.get((step, item))
        return begun[-1] if begun and (step, item) not in self.items else None

    def begin_item(self, step: str, item: str, *, changes: bool, elapsed_ms: float) -> None:
        """Note that an item begins; what changes something is begun once."""
        self.must_go_on()
        before = self.has_begun(step, item)
        if before is not None and before["changes"]:
            raise ItemBegun
        self.trigger_event(self.ItemStarted, step=step, item=item, changes=changes, elapsed_ms=elapsed_ms)

    def end_item(
        self,
        step: str,
        item: str,
        *,
        outcome: ItemOutcome,
        error: Mapping[str, str] | None = None,
        reason: str | None = None,
        started_ms: float,
        elapsed_ms: float,
        versions: Mapping[str, Any],
        parts: Sequence[Mapping[str, Any]] = (),
        given: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what an item gave; nothing happens where it has ended."""
        self.must_go_on()
        if (step, item) not in self.items:
            self.trigger_event(
                self.ItemEnded,
                step=step,
                item=item,
                subject=self.subject,
                outcome=outcome,
                error=None if error is None else dict(error),
                reason=reason,
                started_ms=started_ms,
                elapsed_ms=elapsed_ms,
                versions=dict(versions),
                parts=[dict(part) for part in parts],
                given=None if given is None else dict(given),
                result=None if result is None else dict(result),
                said=None if said is None else dict(said),
            )

    def cancel(self) -> None:
        """Ask it to stop; nothing happens where that is asked already, or done."""
        if self.state == "cancelled":
            return
        self.must_go_on()
        if self.state == "running":
            self.trigger_event(self.CancelRequested)

    def complete(self, output: Any) -> None:
        """Note that all of it was done; raise PipelineRunEnded where it has ended."""
        self.must_go_on()
        self.trigger_event(self.Completed, subject=self.subject, output={"value": output})

    def fail(self, error: Mapping[str, Any]) -> None:
        """Note why it could not be done; `error` is {kind, code, message, step, item}."""
        self.must_go_on()
        self.trigger_event(self.Failed, error=dict(error))

    def stop(self) -> None:
        """Note that it has stopped, as was asked for."""
        self.must_go_on()
        self.trigger_event(self.Cancelled)

    def results(self) -> dict[str, dict[str, Any]]:
        """Return step -> item -> what it gave, as paths find it: one that failed gives `error`, a skipped one nothing."""
        found: dict[str, dict[str, Any]] = {}
        for (step, item), ended in self.items.items():
            gave = ended["result"] or {}
            if ended["error"] is not None:
                gave = {"error": {"code": ended["error"]["code"], "message": ended["error"]["message"]}}
            found.setdefault(step, {})[item] = gave
        return found
