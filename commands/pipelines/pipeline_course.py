"""One run of a pipeline under way: step after step, what is at once at once, each item on record when it ends."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from commands.agents.budgets import paid
from commands.at_once import at_once
from commands.bus import Bus
from commands.models.model_calls import ModelCallTimedOut, ModelLimitReached
from commands.pipelines.pipeline_items import PipelineItems, inputs_of
from commands.pipelines.pipeline_run import NoteItemBegun, NoteItemEnded
from commands.ports import Context, Things
from commands.runs.runs import Recording, Runs, failure_of
from domain.errors import DEFECT, Busy, DomainError, Invalid, Unavailable
from domain.paths import at
from domain.pipeline_run import ItemBegun, ItemOutcome, PipelineRun
from domain.run import step_document
from domain.turn_effects import UNKNOWN

log = logging.getLogger(__name__)


class PipelineTimedOut(ModelCallTimedOut):
    """The run took longer than its pipeline's limit allows."""

    code = "pipeline_timed_out"


class PipelineCostReached(ModelLimitReached):
    """The run has cost as much as its pipeline's limit allows."""

    code = "pipeline_cost_reached"


class ItemTimedOut(ModelCallTimedOut):
    """This item took longer than its pipeline's limit allows."""

    code = "item_timed_out"


class ItemUnknown(DomainError):
    """It was begun by a process that is gone. It is not known whether this was done: look before it is done again."""

    code = "outcome_unknown"


class Stopped(Exception):
    """Somebody asked for the run to stop."""


class ItemFailed(Exception):
    """An item failed that the run does not go on without."""

    def __init__(self, step: str, item: str, error: Mapping[str, str]) -> None:
        super().__init__(step, item)
        self.step, self.item, self.error = step, item, error


@dataclass(frozen=True, kw_only=True)
class Happened:
    """An event of a stream, with what persons said in plain."""

    version: int
    position: int
    event: Any


class Entries(Protocol):
    """What happens in single streams."""

    def events(self, stream: UUID, after: int) -> AsyncGenerator[Happened, None]:
        """Yield what happened in a stream after a version, and all that happens then, without an end."""


@dataclass(kw_only=True)
class Course:
    """One run under way in this process; `stopping` is why what is under way in it is being ended."""

    bus: Bus
    things: Things
    runs: Runs
    entries: Entries
    items: PipelineItems
    going: PipelineRun
    definition: Mapping[str, Any]
    context: Context
    stopping: Exception | None = None
    recordings: dict[tuple[str, str], Recording] = field(default_factory=dict)
    notes: list["asyncio.Future[Any]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = time.perf_counter() - self.going.elapsed_ms / 1000

    @property
    def run(self) -> UUID:
        """The run's id."""
        return UUID(self.going.run)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds that were worked on the run, by whichever process."""
        return round((time.perf_counter() - self._began) * 1000, 3)

    @property
    def values(self) -> dict[str, Any]:
        """What paths point into."""
        return {"steps": self.going.results(), "inputs": self.going.inputs}

    async def carry_out(self) -> None:
        """Do what is left; raise Stopped, ItemFailed, or what else ends the run."""
        for step in self.definition["steps"]:
            await self._step(step)

    async def _step(self, step: Mapping[str, Any]) -> None:
        if self.going.state == "cancelling":
            raise Stopped
        left = [item for item in step["parallel"] if (step["name"], item["name"]) not in self.going.items]
        gate = asyncio.Semaphore(self.definition["limits"]["concurrency"])
        if left:
            await self._watched(asyncio.ensure_future(at_once(self._item(step["name"], item, gate) for item in left)))
            self.going = await self.things.newest(PipelineRun, self.going.id)
        for item in step["parallel"]:
            ended = self.going.items[step["name"], item["name"]]
            if ended["error"] is not None and item["on_error"] == "fail":
                raise ItemFailed(step["name"], item["name"], ended["error"])

    async def _watched(self, working: "asyncio.Future[Any]") -> None:
        """Wait for work; end it where somebody asks for that, or at the run's limit of time."""
        asked = asyncio.ensure_future(self._asked_to_stop())
        seconds = self.definition["limits"]["seconds"]
        try:
            done, _ = await asyncio.wait(
                {working, asked}, timeout=seconds - self.elapsed_ms / 1000, return_when=asyncio.FIRST_COMPLETED
            )
            if working in done:
                working.result()
                return
            if asked in done:
                asked.result()  # or what went wrong with looking
                self.stopping = Stopped()
            else:
                self.stopping = PipelineTimedOut(f"The run took longer than {seconds:g} seconds.")
            working.cancel()
            await asyncio.wait({working})
            raise self.stopping
        finally:
            for task in (working, asked):
                task.cancel()
            await asyncio.gather(working, asked, *self.notes, return_exceptions=True)

    async def _asked_to_stop(self) -> None:
        """Return when somebody asks for it; that nothing more is heard is no such thing: the process ends."""
        async with aclosing(self.entries.events(self.going.id, self.going.version)) as happening:
            async for each in happening:
                if isinstance(each.event, PipelineRun.CancelRequested):
                    return
        await asyncio.Event().wait()

    async def _item(self, step: str, item: Mapping[str, Any], gate: asyncio.Semaphore) -> None:
        if item["when"] is not None and not at(self.values, item["when"]):
            await self._ended(step, item, "skipped", started_ms=self.elapsed_ms)
            return
        before = self.going.has_begun(step, item["name"])
        if before is not None and before["changes"]:
            await self._ended(step, item, "unknown", error=ItemUnknown(), started_ms=before["started_ms"])
            return
        async with gate:
            self._must_afford()
            await self._carried_out(step, item)

    async def _carried_out(self, step: str, item: Mapping[str, Any]) -> None:
        started, given = self.elapsed_ms, None
        recording = Recording(self.runs, self.run, self.context, self.definition["observability"])
        self.recordings[step, item["name"]] = recording
        outcome: ItemOutcome = "completed"
        error: DomainError | None = None
        result, changes = None, False
        seconds = self.definition["limits"]["item_seconds"]
        try:
            given = inputs_of(item, self.values)
            changes = await self.items.changes(item)
            begun = NoteItemBegun(run=self.run, step=step, item=item["name"], changes=changes, elapsed_ms=started)
            await self.bus.dispatch(begun, self.context)
            async with asyncio.timeout(seconds):
                subject = self.going.subject or self.going.run
                result = await self.items.carry_out(recording, item, given, self.context, subject)
        except (Unavailable, Busy, ItemBegun):
            raise  # nothing is known of the item: the job is tried again
        except DomainError as refusal:
            outcome, error = "failed", refusal
        except TimeoutError:
            outcome = "unknown" if changes else "failed"
            error = ItemTimedOut(f"This took longer than {seconds:g} seconds.{f' {UNKNOWN}' if changes else ''}")
        except asyncio.CancelledError:
            if self.stopping is None:
                raise  # the process ends: another one goes on
            outcome, error = ("unknown", ItemUnknown(UNKNOWN)) if changes else ("cancelled", None)
            await self._ended(step, item, outcome, error=error, started_ms=started, recording=recording, given=given)
            raise
        except Exception as defect:
            log.exception("pipeline_item_failed run=%s error=%s", self.run, type(defect).__name__)
            outcome = "failed"
            error = DomainError("Something went wrong here; the log has it.", code=DEFECT)
        await self._ended(
            step, item, outcome, error=error, started_ms=started, recording=recording, given=given, result=result
        )

    async def _ended(
        self,
        step: str,
        item: Mapping[str, Any],
        outcome: ItemOutcome,
        *,
        started_ms: float,
        error: DomainError | None = None,
        recording: Recording | None = None,
        given: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what became of an item, with what it took."""
        parts = [] if recording is None else recording.steps
        full = recording is not None and recording.observability == "full"
        said = {
            str(part.number): {"input": part.input, "output": part.output}
            for part in parts
            if full and (part.input is not None or part.output is not None)
        }
        failure = None if error is None else failure_of(error)["failure"]
        command = NoteItemEnded(
            run=self.run,
            step=step,
            item=item["name"],
            outcome=outcome,
            error=None if failure is None else {"kind": failure["kind"], "code": failure["code"]},
            reason=None if error is None else words_of(error),
            started_ms=started_ms,
            elapsed_ms=max(started_ms, self.elapsed_ms),
            versions={} if recording is None else recording.versions,
            parts=[step_document(part) for part in parts],
            given=given if full else None,
            result=result,
            said=said or None,
        )
        # An end that is being recorded is waited for, also where the work is ended meanwhile.
        self.notes.append(asyncio.ensure_future(self.bus.dispatch(command, self.context)))
        await asyncio.shield(self.notes[-1])

    def _must_afford(self) -> None:
        """Raise PipelineCostReached, and end what is under way, where as much was paid as may be."""
        limit = self.definition["limits"]["cost"]
        if limit is None:
            return
        before = (part["cost"] for ended in self.going.items.values() for part in ended["parts"])
        under_way = [each for place, each in self.recordings.items() if place not in self.going.items]
        spent = sum((Decimal(cost["amount"]) for cost in before if cost["currency"] == limit["currency"]), Decimal(0))
        spent += sum((paid(each.spent(), limit["currency"]) for each in under_way), Decimal(0))
        if spent >= Decimal(limit["amount"]):
            reached = f"The run has cost the {limit['amount']} {limit['currency']} that its pipeline's limit allows."
            self.stopping = PipelineCostReached(reached)
            raise self.stopping


def words_of(error: DomainError) -> str:
    """Return what went wrong in one text, with each field that is wrong."""
    if not isinstance(error, Invalid) or not error.errors:
        return str(error)
    fields = "; ".join(dict.fromkeys(each.message for each in error.errors if each.message != str(error)))
    return f"{error} {fields}." if fields else str(error)
