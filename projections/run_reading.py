"""A run as it is read: its row, and from the log its steps and what was said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from domain.run import Run
from projections.recorded import LogEntry
from projections.runs import RunsView


class RunLog(Protocol):
    """The entries of single streams."""

    async def stream(self, stream: UUID, *, after: int, before: int, limit: int) -> Sequence[LogEntry]:
        """Return the entries between two versions (both exclusive), the newest first."""


class Revealer(Protocol):
    """Opens what persons said."""

    async def reveal(self, events: Sequence[Any]) -> None:
        """Put what persons said in plain into events, in place; what was erased reads `[erased]`."""


@dataclass(frozen=True, kw_only=True)
class RunReader:
    """Reads single runs."""

    view: RunsView
    log: RunLog
    revealer: Revealer

    async def events(self, id: UUID, *, with_texts: bool) -> Sequence[Any]:
        """Return what is on record of a run, the newest first; the log never lags behind."""
        events = [entry.event for entry in await self.log.stream(id, after=0, before=2**62, limit=3)]
        if with_texts:
            await self.revealer.reveal(events)
        return events

    async def read(self, id: UUID, *, with_texts: bool) -> Mapping[str, Any] | None:
        """Return a run with its steps, or None; without `with_texts`, what was said is withheld."""
        row = await self.view.get(id)
        if row is None:
            return None
        events = await self.events(id, with_texts=with_texts)
        started = next((event for event in events if isinstance(event, Run.Created)), None)
        finished = next((event for event in events if isinstance(event, Run.Finished)), None)
        said = finished.said if with_texts and finished is not None and isinstance(finished.said, dict) else {}
        steps = [] if finished is None else [{**step, **said.get(str(step["number"]), {})} for step in finished.steps]
        return {
            **row,
            "error": finished.error if finished is not None else row["error"],
            "input": started.input if with_texts and started is not None else None,
            "output": finished.output if with_texts and finished is not None else None,
            "steps": steps,
        }
