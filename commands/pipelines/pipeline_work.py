"""Carrying out runs of pipelines, by a durable job: from where an earlier attempt came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from commands.bus import Bus
from commands.conversations.on_behalf import NobodyAsks, Standing
from commands.jobs import Finished, Job
from commands.jobs import Outcome as JobOutcome
from commands.pipelines.pipeline_course import Course, Entries, ItemFailed, Stopped
from commands.pipelines.pipeline_items import PipelineItems, output_of
from commands.pipelines.pipeline_run import PIPELINE, EndPipelineRun
from commands.ports import SYSTEM, Context, Things
from commands.runs.runs import Runs, failure_of
from domain.errors import Busy, DomainError, Unavailable
from domain.pipeline import Pipeline
from domain.pipeline_run import ItemBegun, PipelineRun, PipelineRunEnded
from domain.pricing import Cost
from domain.run import End, Outcome, Step
from domain.run_steps import inside, step_of

ERASED = "subject_erased"
"""The code of what is refused because nothing more is recorded of what a subject says."""

FINE = frozenset({"completed", "skipped", "interrupted"})
"""Outcomes of items with which a step is done; after an interrupted attempt there is another one."""

NOBODY_KNOWS = Cost(amount=Decimal(0), currency=None, unknown=True)


class GivenUp(DomainError):
    """The run could not be carried out, however often it was tried."""

    code = "given_up"


@dataclass(frozen=True, kw_only=True)
class RunPipelines:
    """Carries out the jobs that are runs of pipelines; a job's key is the run's id."""

    bus: Bus
    things: Things
    runs: Runs
    entries: Entries
    items: PipelineItems
    asking: Standing
    kind: str = PIPELINE
    most: int = 1
    groups: int = 8

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, JobOutcome]:
        """Carry them out."""
        for job in jobs:
            await self._carry_out(PipelineRun.id_of(UUID(job.key)))
        return {job.id: Finished() for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Record that a run failed for the last time."""
        going = await self.things.newest(PipelineRun, PipelineRun.id_of(UUID(job.key)))
        if not going.is_over:
            await self._end(going, None, "failed", error_of(GivenUp()), going.elapsed_ms)

    async def _carry_out(self, id: UUID) -> None:
        going = await self.things.newest(PipelineRun, id)
        if going.is_over:
            return
        course: Course | None = None
        output, error = None, None
        outcome: Outcome = "completed"
        try:
            course = await self._course(going)
            await course.carry_out()
            output = output_of(course.definition, course.values)
        except (Unavailable, Busy, ItemBegun):
            raise
        except PipelineRunEnded:
            return  # another process was faster
        except Stopped:
            outcome = "cancelled"
        except ItemFailed as failed:
            outcome = "failed"
            message = f"The item '{failed.item}' of the step '{failed.step}' failed ({failed.error['code']})."
            error = {**failed.error, "message": message, "step": failed.step, "item": failed.item}
        except DomainError as refusal:
            outcome, error = "failed", error_of(refusal)
        going = await self.things.newest(PipelineRun, id)
        await self._end(going, output, outcome, error, course.elapsed_ms if course is not None else going.elapsed_ms)

    async def _course(self, going: PipelineRun) -> Course:
        """Return the run as it goes on, on behalf of who has begun it; or raise what makes it impossible."""
        actor = await self.asking(going.principal)
        if actor is None:
            raise NobodyAsks("The credential of whoever had this run is valid no more: it does not go on.")
        pipeline = await self.things.at_version(Pipeline, UUID(going.pipeline["id"]), going.pipeline["version"])
        context = Context(actor=actor, correlation_id=going.run, channel=going.channel, attributes=going.attributes)
        return Course(
            bus=self.bus,
            things=self.things,
            runs=self.runs,
            entries=self.entries,
            items=self.items,
            going=going,
            definition=Pipeline.as_variant(pipeline.definition, going.pipeline["variant"]),
            context=context,
        )

    async def _end(
        self,
        going: PipelineRun,
        output: Any,
        outcome: Outcome,
        error: Mapping[str, Any] | None,
        elapsed_ms: float,
    ) -> None:
        pipeline = await self.things.at_version(Pipeline, UUID(going.pipeline["id"]), going.pipeline["version"])
        full = pipeline.definition["observability"] == "full"
        end = End(
            outcome=outcome,
            error=None if error is None else {"code": error["code"], "message": error["message"]},
            duration_ms=elapsed_ms,
            first_token_ms=None,
            versions={
                "pipeline": {name: value for name, value in going.pipeline.items() if name != "kind"},
                "items": {".".join(place): ended["versions"] for place, ended in going.items.items()},
            },
            steps=steps_of(going, full=full),
            output=output if full and all(observed(ended) for ended in going.items.values()) else None,
        )
        command = EndPipelineRun(run=UUID(going.run), end=end, output=output, error=error)
        context = Context(actor=SYSTEM, correlation_id=going.run, channel="worker")
        try:
            await self.bus.dispatch(command, context)
        except DomainError as refusal:
            if refusal.error_code != ERASED:
                raise
            bare = [replace(step, input=None, output=None) for step in end.steps]
            why = error or error_of(refusal)
            told = {"code": why["code"], "message": why["message"]}
            end = replace(end, outcome="failed", error=told, steps=bare, output=None)
            await self.bus.dispatch(replace(command, end=end, output=None, error=why), context)


def error_of(error: DomainError) -> dict[str, str]:
    """Return why a run ended, as it is recorded; what an item was given or gave is no part of it."""
    failure = failure_of(error)["failure"]
    return {name: failure[name] for name in ("kind", "code", "message")}


def steps_of(going: PipelineRun, *, full: bool) -> list[Step]:
    """Return all that was done in a run as its steps: the pipeline's, their items, and what those consist of.

    What a process that is gone had begun is a step of its own, of which nobody knows what it took.
    """
    steps: list[Step] = []
    names = dict.fromkeys(step for step, _ in (*going.begun, *going.items))
    for name in names:
        places = [place for place in dict.fromkeys((*going.begun, *going.items)) if place[0] == name]
        top = len(steps) + 1
        items: list[Step] = []
        for place in places:
            items += _item_steps(going, place, top, after=top + len(items), full=full)
        own = [step for step in items if step.parent == top]
        began = min(step.started_ms for step in own)
        failed = next((step.outcome for step in own if step.outcome not in FINE), "completed")
        ended = max(step.started_ms + step.duration_ms for step in own)
        steps.append(
            Step(
                number=top,
                parent=None,
                kind="pipeline_step",
                name=name,
                started_ms=began,
                duration_ms=round(ended - began, 3),
                outcome=failed,
            )
        )
        steps += items
    return steps


def observed(ended: Mapping[str, Any]) -> bool:
    """Return whether what an item gave may stand in the run: not where its prompt lets nothing be recorded."""
    return ended["result"] is None or ended["given"] is not None


def _item_steps(going: PipelineRun, place: tuple[str, str], parent: int, *, after: int, full: bool) -> list[Step]:
    """Return an item's steps, numbered from `after` on: attempts that were cut off, and what came of it."""
    begun, ended = going.begun.get(place, []), going.items.get(place)
    cut_off = begun if ended is None else begun[:-1]
    steps = [
        Step(
            number=after + number,
            parent=parent,
            kind="pipeline_item",
            name=place[1],
            started_ms=each["started_ms"],
            duration_ms=0.0,
            outcome="interrupted",
            cost=NOBODY_KNOWS,
        )
        for number, each in enumerate(cut_off, 1)
    ]
    if ended is None:
        return steps
    number = after + len(steps) + 1
    said = ended["said"] or {}
    parts = [step_of(part, said.get(str(part["number"])) if full else None) for part in ended["parts"]]
    item = Step(
        number=number,
        parent=parent,
        kind="pipeline_item",
        name=place[1],
        started_ms=ended["started_ms"],
        duration_ms=ended["duration_ms"],
        outcome=ended["outcome"] if ended["error"] is None else ended["error"]["code"],
        input=ended["given"] if full else None,
        output=ended["result"] if full and observed(ended) else None,
    )
    return [*steps, item, *inside(parts, after=number, parent=number, later_ms=ended["started_ms"])]
