"""Following runs of pipelines: what happens in them, told from their streams, whoever carries them out."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.conversations.turn_ends import ShuttingDown
from commands.pipelines.pipeline_course import Entries
from commands.ports import Things
from commands.runs.runs import RequestInProgress, refusal_of
from domain.errors import DEFECT, Conflict, DomainError
from domain.pipeline_results import document, item_document
from domain.pipeline_run import PipelineRun

PATIENCE = 60.0
"""Seconds that a repeat of a request waits for the run of the first."""

ENDS: Mapping[type[Any], str] = {
    PipelineRun.Completed: "pipeline.completed",
    PipelineRun.Failed: "pipeline.failed",
    PipelineRun.Cancelled: "pipeline.cancelled",
}


TOLD = frozenset({"ModelCallTimedOut", "ModelLimitReached", "ModelCallFailed", "NoModel", "Unavailable"})
"""Kinds of failures that whoever waits for a run meets as what they are; in all others its definition meets its data."""


class PipelineCancelled(Conflict):
    """Somebody has stopped this run."""

    code = "pipeline_cancelled"


@dataclass(frozen=True, kw_only=True)
class PipelineEvent:
    """What is told of a run: `version` is the place in its stream from which one can go on, `failure` why it failed."""

    version: int
    type: str
    data: Mapping[str, Any]
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineFollowing:
    """Follows runs of pipelines."""

    things: Things
    entries: Entries

    async def follow(self, run: UUID, after: int = 0) -> AsyncGenerator[PipelineEvent, None]:
        """Yield what happened in a run after a version of its stream, to its one end."""
        stream = PipelineRun.id_of(run)
        async with aclosing(self.entries.events(stream, after)) as happening:
            async for each in happening:
                event, told = each.event, {"run_id": str(run)}
                match event:
                    case PipelineRun.Created():
                        yield PipelineEvent(version=each.version, type="pipeline.started", data=told)
                    case PipelineRun.ItemStarted():
                        data = {**told, "step": event.step, "item": event.item}
                        yield PipelineEvent(version=each.version, type="item.started", data=data)
                    case PipelineRun.ItemEnded():
                        going = await self.things.newest(PipelineRun, stream)
                        data = {**told, "step": event.step, "item": event.item}
                        data |= item_document(going, (event.step, event.item))
                        yield PipelineEvent(version=each.version, type="item.completed", data=data)
                    case PipelineRun.Completed() | PipelineRun.Failed() | PipelineRun.Cancelled():
                        going = await self.things.newest(PipelineRun, stream)
                        shown = {**document(going), "position": each.position}
                        end = ENDS[type(event)]
                        yield PipelineEvent(version=each.version, type=end, data=shown, failure=going.error)
                        return

    async def end(self, run: UUID, *, repeated: bool = False) -> PipelineEvent:
        """Return a run's end, when it is there; a repeat of the request waits a minute, or is told so."""
        last: PipelineEvent | None = None
        try:
            async with asyncio.timeout(PATIENCE if repeated else None), aclosing(self.follow(run)) as events:
                async for event in events:
                    last = event
        except TimeoutError:
            raise RequestInProgress(details={"retry_after": 1}) from None
        if last is None or last.type not in ENDS.values():
            raise ShuttingDown
        return last


def refusal_in(end: PipelineEvent) -> DomainError | None:
    """Return why a run gave nothing; None where it did."""
    details = {"run_id": end.data["run_id"]}
    if end.type == "pipeline.cancelled":
        return PipelineCancelled(details=details)
    if end.failure is None:
        return None
    place = {name: end.failure[name] for name in ("step", "item") if name in end.failure}
    kind = end.failure["kind"] if end.failure["kind"] in TOLD or end.failure["code"] == DEFECT else Conflict.__name__
    return refusal_of({**end.failure, "kind": kind, "details": {**details, **place}})
