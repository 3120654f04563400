"""Runs of pipelines: begun and cancelled by whoever asks, noted step by step by whoever carries them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from commands.bus import Bus, Done
from commands.choosing import choose
from commands.conversations.conversation import principal_of, same_person
from commands.ports import Context, Receipt, Things, Unit
from commands.rendering import complete
from domain.errors import FieldError, Invalid, NotFound
from domain.pipeline import Pipeline
from domain.pipeline_run import ItemOutcome, PipelineRun
from domain.references import escaped
from domain.run import End, Run

PIPELINE = "pipeline"
"""The kind of job that carries out a run of a pipeline; its key is the run's id."""


@dataclass(frozen=True, kw_only=True)
class RunPipeline:
    """Have a pipeline run, at a version or label, for a subject."""

    pipeline: UUID
    inputs: Mapping[str, Any]
    version: int | None = None
    label: str = "live"
    variant: str | None = None
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class OnPipelineRun:
    """Base of the commands on a pipeline's run, by the run's id."""

    run: UUID

    @property
    def stream(self) -> UUID:
        """The one that says how the run goes."""
        return PipelineRun.id_of(self.run)


@dataclass(frozen=True, kw_only=True)
class BeginPipelineRun(OnPipelineRun):
    """Begin one; `target` is {kind, id, name, version, variant} of the pipeline."""

    target: Mapping[str, Any]
    principal: Mapping[str, str]
    subject: str | None
    channel: str
    attributes: Mapping[str, str]
    inputs: Mapping[str, Any]
    observability: str


@dataclass(frozen=True, kw_only=True)
class CancelPipelineRun(OnPipelineRun):
    """Have one stop."""

    principal: Mapping[str, str]
    if_match: int | None = None


@dataclass(frozen=True, kw_only=True)
class NoteItemBegun(OnPipelineRun):
    """Note that an item begins."""

    step: str
    item: str
    changes: bool
    elapsed_ms: float


@dataclass(frozen=True, kw_only=True)
class NoteItemEnded(OnPipelineRun):
    """Note what an item gave; times in milliseconds of work on the run."""

    step: str
    item: str
    outcome: ItemOutcome
    started_ms: float
    elapsed_ms: float
    error: Mapping[str, str] | None = None
    reason: str | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence[Mapping[str, Any]] = ()
    given: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    said: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class EndPipelineRun(OnPipelineRun):
    """Note how one ended: `error` is {kind, code, message, step, item}."""

    end: End
    output: Any = None
    error: Mapping[str, Any] | None = None


async def pipeline_run_begun(command: BeginPipelineRun, unit: Unit) -> Done:
    """Begin a run without a lease: a job carries it out, and another one where that is cut off."""
    run = Run.start(
        id=command.run,
        kind="pipeline",
        target=command.target,
        principal=command.principal,
        subject=command.subject,
        channel=command.channel,
        attributes=command.attributes,
        input=dict(command.inputs) if command.observability == "full" else None,
    )
    going = PipelineRun.start(
        run=command.run,
        pipeline=command.target,
        principal=command.principal,
        subject=command.subject,
        channel=command.channel,
        attributes=command.attributes,
        inputs=command.inputs,
    )
    unit.effect("job", kind=PIPELINE, key=str(command.run))
    unit.save(run, going)
    return Done(aggregate=going, also=[run], shown=shown(going))


async def pipeline_run_cancelled(command: CancelPipelineRun, unit: Unit) -> Done:
    """Ask it to stop."""
    going = owned(await unit.find(PipelineRun, command.stream), command.principal)
    going.must_be_at(command.if_match)
    going.cancel()
    unit.save(going)
    return Done(aggregate=going, shown=shown(going))


async def item_begun(command: NoteItemBegun, unit: Unit) -> Done:
    """Note it."""
    going = await unit.load(PipelineRun, command.stream)
    going.begin_item(command.step, command.item, changes=command.changes, elapsed_ms=command.elapsed_ms)
    unit.save(going)
    return Done(aggregate=going)


async def item_ended(command: NoteItemEnded, unit: Unit) -> Done:
    """Note it."""
    going = await unit.load(PipelineRun, command.stream)
    going.end_item(
        command.step,
        command.item,
        outcome=command.outcome,
        error=command.error,
        reason=command.reason,
        started_ms=command.started_ms,
        elapsed_ms=command.elapsed_ms,
        versions=command.versions,
        parts=command.parts,
        given=command.given,
        result=command.result,
        said=command.said,
    )
    unit.save(going)
    return Done(aggregate=going)


async def pipeline_run_ended(command: EndPipelineRun, unit: Unit) -> Done:
    """Note how it ended, with the run."""
    going, run = await unit.load(PipelineRun, command.stream), await unit.load(Run, command.run)
    match command.end.outcome:
        case "completed":
            going.complete(command.output)
        case "cancelled":
            going.stop()
        case _:
            going.fail(command.error or {})
    run.finish(command.end)
    unit.save(run, going)
    return Done(aggregate=going, also=[run])


def shown(going: PipelineRun) -> dict[str, Any]:
    """Return what a receipt shows of a run: it is known by the run's id."""
    return {"id": going.run, "run_id": going.run, "state": going.state}


def owned(going: PipelineRun | None, principal: Mapping[str, str]) -> PipelineRun:
    """Return the run if this principal began it, or raise NotFound as where there is none."""
    if going is None or not same_person(going.principal, principal):
        raise no_such_run()
    return going


def no_such_run() -> NotFound:
    """Return the refusal of what is not there, or somebody else's."""
    return NotFound("There is no such run of a pipeline.")


@dataclass(frozen=True, kw_only=True)
class PipelineRuns:
    """Begins runs of pipelines."""

    bus: Bus
    things: Things

    async def begin(self, command: RunPipeline, context: Context) -> Receipt:
        """Record that one begins, and have it carried out; or raise what is wrong with the request.

        The receipt is `replayed` where an earlier request with the same key began it.
        """
        earlier = await self.bus.earlier(context)
        if earlier is not None:
            return earlier
        run = uuid4()
        chosen = await choose(
            self.things,
            Pipeline,
            command.pipeline,
            version=command.version,
            label=command.label,
            variant=command.variant,
            subject=command.subject or str(run),
        )
        begin = BeginPipelineRun(
            run=run,
            target=chosen.target(),
            principal=principal_of(context.actor),
            subject=command.subject,
            channel=context.channel,
            attributes=context.attributes,
            inputs=inputs_given(chosen.definition["inputs"], command.inputs),
            observability=chosen.definition["observability"],
        )
        return await self.bus.dispatch(begin, context)


def inputs_given(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's inputs, defaults filled in; raise Invalid for each that is missing, wrong or unknown."""
    strange = [
        FieldError(pointer=f"/inputs/{escaped(name)}", message="the pipeline has no such input", code="unknown_input")
        for name in given
        if name not in declared
    ]
    if strange:
        raise Invalid(
            "There are inputs that the pipeline does not have: see errors.", code="unknown_input", errors=strange
        )
    return complete(declared, given, place="inputs")
