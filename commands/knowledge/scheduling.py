"""Syncs by schedule: each source that has one is looked at when it is time, and its sync begun."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from commands.bus import Bus
from commands.jobs import Failed, Finished, Job, JobQueue, Outcome, Postponed
from commands.knowledge.knowledge_source import SCHEDULE
from commands.knowledge.sync import BeginSync
from commands.ports import SYSTEM, Context, Things
from domain.errors import DomainError, Unavailable
from domain.knowledge_source import KnowledgeSource
from domain.schedule import next_time

LONGEST = 86_400.0
"""Seconds between two looks at a schedule."""

HOUR = 3600.0
"""Seconds between two looks which sources have a schedule, while there are some."""

BEHIND = 1.0
"""Seconds until the next such look where not all of them may be known yet; doubled each time, up to an hour."""


class ScheduledSources(Protocol):
    """Which sources have a schedule."""

    async def ids(self) -> Sequence[UUID]:
        """Return their ids, as far as they are known."""

    async def reach(self) -> tuple[int, int]:
        """Return up to which position of the log they are known, and the position of its last event."""


class Refusals(Protocol):
    """Where it is told that a sync could not begin."""

    def __call__(self, source: UUID, error: DomainError) -> None:
        """Tell it."""


class Failures(Protocol):
    """Where it is told that looking at something failed for a reason that nobody thought of."""

    def __call__(self, key: str, error: Exception) -> None:
        """Tell it, within the handling of the error."""


@dataclass(frozen=True, kw_only=True)
class SyncBySchedule:
    """Begins syncs when it is time; what was missed while no worker ran is made up for, once.

    A job's payload holds until when it has looked. Where that could not be kept, a sync may begin again.
    """

    bus: Bus
    things: Things
    queue: JobQueue
    sources: ScheduledSources
    refused: Refusals
    failed: Failures
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    kind: str = SCHEDULE
    standing: bool = True
    most: int = 20
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Begin what is due since the last look, and say when to look again."""
        return {job.id: await self._tried(job) for job in jobs}

    async def _tried(self, job: Job) -> Outcome:
        """Carry out one job; its failure is its own, since syncs of others have begun already."""
        try:
            return await (self._ask_for_all(job) if job.key == SCHEDULE else self._look(job))
        except (DomainError, ValueError) as error:
            return Failed(error=str(error))
        except Exception as error:
            self.failed(job.key, error)
            return Failed(error="Something went wrong here; the log has it.")

    async def _ask_for_all(self, job: Job) -> Outcome:
        """See that every schedule is looked at: a database may have been made from a log alone.

        The payload holds which position must be known for that, and the last pause.
        """
        known, head = await self.sources.reach()
        ids = await self.sources.ids()
        if ids:
            await self.queue.ask(SCHEDULE, [str(id) for id in ids])
        if known < (upto := job.payload.get("upto", head)):
            pause = min(2 * job.payload["pause"], HOUR) if "pause" in job.payload else BEHIND
            return Postponed(delay=pause, payload={"upto": upto, "pause": pause})
        return Postponed(delay=HOUR, payload={}) if ids else Finished()

    async def _look(self, job: Job) -> Outcome:
        now = self.now()
        looked = datetime.fromisoformat(job.payload["looked"]) if "looked" in job.payload else now
        source = await self.things.newest(KnowledgeSource, UUID(job.key))
        schedule = source.definition["schedule"]
        if schedule is None:
            return Finished()
        pause = (next_time(schedule, now) - now).total_seconds()
        if next_time(schedule, looked) <= now and not source.archived:
            await self._begin(source.id)
        return Postponed(delay=min(pause, LONGEST), payload={"looked": now.isoformat()})

    async def _begin(self, source: UUID) -> None:
        try:
            await self.bus.dispatch(BeginSync(source=source), Context(actor=SYSTEM, channel="worker"))
        except Unavailable:
            raise
        except DomainError as error:
            self.refused(source, error)

    async def give_up(self, job: Job, error: str) -> None:
        """Begin anew with its attempts: a schedule goes on, and that it fails is told each time."""
        await self.queue.ask(SCHEDULE, [job.key])
