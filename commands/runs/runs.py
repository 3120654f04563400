"""Recording executions: begun before a model is asked, ended before an answer is given out."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID, uuid4

from eventsourcing.domain import Aggregate

from commands.bus import Answers, Bus, Done
from commands.models.model_calls import (
    Attempt,
    ChatAnswer,
    Embedded,
    ModelCallFailed,
    ModelCallTimedOut,
    ModelLimitReached,
    ModelUsed,
    NoModel,
    Reranked,
)
from commands.ports import Context, IdempotencyKey, Receipt, Unit
from domain.errors import DEFECT, Conflict, DomainError, Invalid, NotFound, Unavailable
from domain.pricing import total_cost, total_usage
from domain.run import End, Kind, Outcome, Run, RunEnded, Step, cost_document, usage_document
from domain.run_steps import inside, noted

LEASE = 20.0
"""Seconds after which a run or turn whose process gave no sign of life counts as interrupted."""


@dataclass(frozen=True, kw_only=True)
class StartRun:
    """Begin a run; `owner` is the process that carries it out."""

    id: UUID
    kind: Kind
    target: Mapping[str, Any]
    principal: Mapping[str, str]
    subject: str | None
    channel: str
    attributes: Mapping[str, str]
    input: Any
    owner: UUID

    @property
    def stream(self) -> UUID:
        """The run's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class FinishRun:
    """End a run; with `scope`, what a repeat of its request is answered: status and body."""

    id: UUID
    end: End
    scope: bytes | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> UUID:
        """The run's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class InterruptRun:
    """Note that nobody carries a run out any more."""

    id: UUID

    @property
    def stream(self) -> UUID:
        """The run's."""
        return self.id


def note_answer(unit: Unit, answers: Answers, scope: bytes, done: Done) -> None:
    """Have the append keep what a repeat of the request with this key is answered."""
    unit.effect("answer", scope=encoded(scope), sealed=encoded(answers.seal(done)))


def encoded(data: bytes) -> str:
    """Return base64 text, as the log's SQL reads it."""
    return b64encode(data).decode("ascii")


@dataclass
class OpenStep:
    """A step that goes on: what is said of it until it ends."""

    number: int
    kind: str
    name: str
    model: Mapping[str, Any] | None = None
    note: dict[str, Any] = field(default_factory=dict)
    input: Any = None
    output: Any = None
    outcome: str = "completed"


class Recording:
    """One run while it goes on: its steps, and the versions of what it uses."""

    def __init__(self, runs: "Runs", id: UUID, context: Context, observability: str) -> None:
        self._runs = runs
        self._context = context
        self._began = time.perf_counter()
        self._steps: list[Step] = []
        self._numbers = 0
        self.id = id
        self.observability = observability
        self.versions: dict[str, Any] = {}
        self.first_token_ms: float | None = None
        self.receipt: Receipt | None = None

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since it began."""
        return round((time.perf_counter() - self._began) * 1000, 3)

    @property
    def steps(self) -> list[Step]:
        """The steps that have ended, in the order of their numbers."""
        return sorted(self._steps, key=lambda step: step.number)

    def spent(self) -> dict[str, Any]:
        """Return usage and cost of all steps so far, in their public form."""
        return {
            "usage": usage_document(total_usage([step.usage for step in self._steps])),
            "cost": cost_document(total_cost([step.cost for step in self._steps])),
        }

    def first_token(self) -> None:
        """Note that the first text reached the caller."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms

    @contextmanager
    def step(self, kind: str, name: str, parent: int | None = None) -> Iterator[OpenStep]:
        """Record what happens in the block as a step; what it raises is its outcome."""
        self._numbers += 1
        step, began = OpenStep(self._numbers, kind, name), self.elapsed_ms
        try:
            yield step
        except DomainError as error:
            step.outcome = error.error_code
            raise
        except BaseException:
            step.outcome = "cancelled"
            raise
        finally:
            ended = Step(
                number=step.number,
                parent=parent,
                kind=kind,
                name=name,
                started_ms=began,
                duration_ms=round(self.elapsed_ms - began, 3),
                outcome=step.outcome,
                model=step.model,
                note=step.note,
                input=step.input,
                output=step.output,
            )
            self._steps.append(ended)

    def called(self, kind: str, answer: ChatAnswer | Embedded | Reranked | ModelCallFailed, parent: int) -> None:
        """Record each attempt of a model call as a step: what they took sums up to what the call took."""
        self.tried(kind, answer.attempts, parent)

    def tried(self, kind: str, attempts: Sequence[Attempt], parent: int) -> None:
        """Record attempts as steps."""
        now = self.elapsed_ms
        for attempt in attempts:
            self._numbers += 1
            self._steps.append(
                Step(
                    number=self._numbers,
                    parent=parent,
                    kind=kind,
                    name=attempt.model.name,
                    started_ms=round(max(0.0, now - attempt.duration_ms), 3),
                    duration_ms=attempt.duration_ms,
                    outcome=attempt.outcome,
                    model=model_document(attempt.model),
                    usage=attempt.usage,
                    cost=attempt.cost,
                    note={} if attempt.upstream_status is None else {"upstream_status": attempt.upstream_status},
                )
            )
            self.versions.setdefault("model", model_document(attempt.model))

    def note(self, kind: str, told: Mapping[str, Any]) -> None:
        """Note more of the first step of a kind, which has ended: what came of it turned out later."""
        self._steps = noted(self.steps, kind, told)

    def adopt(self, part: "Recording", parent: int) -> None:
        """Take what was recorded of a part for itself as what a step consists of."""
        later = (part._began - self._began) * 1000
        self._steps += inside(part.steps, after=self._numbers, parent=parent, later_ms=later)
        self._numbers += part._numbers

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """Record a refusal, a defect or a cancellation in the block as the run's end."""
        try:
            yield
        except DomainError as error:
            if isinstance(error, RunEnded):
                raise
            await self.finish("failed", error=error, answer=failure_of(error))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            left = failure_of(RunCancelled())
            with suppress(RunEnded):  # where it was left while its end was being recorded
                await asyncio.shield(asyncio.ensure_future(self.finish("cancelled", answer=left)))
            raise
        except Exception:  # whatever it is, the run has its end on record before it goes on its way
            defect = DomainError("This is a defect.", code=DEFECT)
            await self.finish("failed", error=defect, answer=failure_of(defect))
            raise

    def end(self, outcome: Outcome, *, error: DomainError | None = None, output: Any = None) -> End:
        """Return how it ended, with what was said where that is observed."""
        full = self.observability == "full"
        return End(
            outcome=outcome,
            error=None if error is None else {"code": error.error_code, "message": str(error)},
            duration_ms=self.elapsed_ms,
            first_token_ms=self.first_token_ms,
            versions=self.versions,
            steps=[step if full else replace(step, input=None, output=None) for step in self.steps],
            output=output if full else None,
        )

    async def finish(
        self,
        outcome: Outcome,
        *,
        error: DomainError | None = None,
        output: Any = None,
        answer: Mapping[str, Any] | None = None,
    ) -> End:
        """Record the end, and what a repeat of the request is answered; or raise RunEnded."""
        end = self.end(outcome, error=error, output=output)
        key = self._context.idempotency
        command = FinishRun(id=self.id, end=end, scope=key.scope if key else None, answer=answer or {})
        try:
            self.receipt = await self._runs.bus.dispatch(command, replace(self._context, idempotency=None))
        finally:
            self._runs.going.discard(self.id)
        return end


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Begins runs; `owner` stands for this process. `going` are those that it carries out.

    The leases of all others run out, and they count as interrupted: of what may have come on record though who began it
    was not told so, and of what ended though its end could not be recorded.
    """

    bus: Bus
    owner: UUID = field(default_factory=uuid4)
    going: set[UUID] = field(default_factory=set)

    async def start(
        self,
        *,
        kind: Kind,
        target: Mapping[str, Any],
        context: Context,
        subject: str | None = None,
        input: Any = None,
        observability: str = "full",
        id: UUID | None = None,
    ) -> tuple[Recording, Receipt]:
        """Record the beginning; a receipt that is `replayed` is that of an earlier run with this key."""
        recording = Recording(self, id or uuid4(), context, observability)
        command = StartRun(
            id=recording.id,
            kind=kind,
            target=target,
            principal={"type": context.actor.type, "id": context.actor.id, "name": context.actor.name},
            subject=subject,
            channel=context.channel,
            attributes=context.attributes,
            input=input if observability == "full" else None,
            owner=self.owner,
        )
        receipt = await asyncio.shield(asyncio.ensure_future(self.bus.dispatch(command, context)))
        if not receipt.replayed:
            self.going.add(recording.id)
        return recording, receipt


def model_document(model: ModelUsed) -> dict[str, Any]:
    """Return the public form of a model that was used."""
    return {
        "id": str(model.id),
        "name": model.name,
        "version": model.version,
        "model": model.model,
        "provider": model.provider,
    }


class RunCancelled(Conflict):
    """The request with this Idempotency-Key was left by its caller before it was answered: use a new key."""

    code = "run_cancelled"


class RunInterrupted(Conflict):
    """The process that carried out the request with this Idempotency-Key is gone: use a new key."""

    code = "run_interrupted"


class RequestInProgress(Conflict):
    """The request with this Idempotency-Key is still being carried out: ask again."""

    code = "request_in_progress"


FAILURES: Mapping[str, type[DomainError]] = {
    kind.__name__: kind
    for kind in (
        ModelCallTimedOut,
        ModelLimitReached,
        ModelCallFailed,
        NoModel,
        NotFound,
        Unavailable,
        Invalid,
        Conflict,
        DomainError,
    )
}
"""Kinds of refusals that a repeat of a request meets again; the first that fits stands for the rest of it."""


def answer_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as it is kept for repeats."""
    return {"answer": dict(value)}


def failure_of(error: DomainError) -> dict[str, Any]:
    """Return a refusal as it is kept for repeats."""
    kind = next(name for name, cls in FAILURES.items() if isinstance(error, cls))
    return {"failure": {"kind": kind, "code": error.error_code, "message": str(error), "details": dict(error.details)}}


def refusal_of(failure: Mapping[str, Any]) -> DomainError:
    """Return a kept refusal as it was raised."""
    return FAILURES[failure["kind"]](failure["message"], code=failure["code"], details=failure["details"])


class Repeats(Protocol):
    """Looks up what the first request with a key was answered, and what it began."""

    async def stored_answer(self, scope: bytes) -> tuple[bytes, bytes, int] | None: ...

    async def load(self, id: UUID) -> tuple[Aggregate, int] | None: ...


@dataclass(frozen=True, kw_only=True)
class EarlierAnswers:
    """Answers repeats of requests that take long."""

    repeats: Repeats
    answers: Answers

    async def wait(self, key: IdempotencyKey, run: UUID, patience: float = 60.0) -> tuple[Mapping[str, Any], int]:
        """Return the first answer with its run's position, or raise its refusal, RunInterrupted or RequestInProgress."""
        deadline = time.monotonic() + patience
        while True:
            stored = await self.repeats.stored_answer(key.scope)
            if stored is None:
                raise RequestInProgress
            shown = self.answers.open(stored[1], stored[2]).shown
            if "failure" in shown:
                raise refusal_of(shown["failure"])
            loaded = await self.repeats.load(run)
            if "answer" in shown:
                return shown["answer"], stored[2] if loaded is None else loaded[1]
            if loaded is not None and isinstance(loaded[0], Run) and loaded[0].outcome == "interrupted":
                raise RunInterrupted
            if time.monotonic() > deadline:
                raise RequestInProgress
            await asyncio.sleep(0.1)
