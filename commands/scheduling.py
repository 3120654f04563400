"""Syncs by schedule: each source that has one is looked at when it is time, and its sync begun."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from commands.bus import Bus
from commands.jobs import Finished, Job, JobQueue, Outcome, Postponed
from commands.knowledge_source import SCHEDULE
from commands.ports import SYSTEM, Context, Things
from commands.sync import BeginSync
from domain.errors import DomainError, Unavailable
from domain.knowledge_source import KnowledgeSource
from domain.schedule import next_time

LONGEST = 86_400.0
"""Seconds between two looks at a schedule."""


class ScheduledSources(Protocol):
    """Which sources have a schedule."""

    async def ids(self) -> Sequence[UUID]:
        """Return their ids."""


class Refusals(Protocol):
    """Where it is told that a sync could not begin."""

    def __call__(self, source: UUID, error: DomainError) -> None:
        """Tell it."""


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
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    kind: str = SCHEDULE
    standing: bool = True
    most: int = 20
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Begin what is due since the last look, and say when to look again."""
        return {job.id: await (self._ask_for_all() if job.key == SCHEDULE else self._look(job)) for job in jobs}

    async def _ask_for_all(self) -> Outcome:
        """See that every schedule is looked at: a database may have been made from a log alone."""
        await self.queue.ask(SCHEDULE, [str(id) for id in await self.sources.ids()])
        return Finished()

    async def _look(self, job: Job) -> Outcome:
        now = self.now()
        looked = datetime.fromisoformat(job.payload["looked"]) if "looked" in job.payload else now
        source = await self.things.newest(KnowledgeSource, UUID(job.key))
        schedule = source.definition["schedule"]
        if schedule is None:
            return Finished()
        if next_time(schedule, looked) <= now and not source.archived:
            await self._begin(source.id)
        pause = (next_time(schedule, now) - now).total_seconds()
        return Postponed(delay=min(pause, LONGEST), payload={"looked": now.isoformat()})

    async def _begin(self, source: UUID) -> None:
        try:
            await self.bus.dispatch(BeginSync(source=source), Context(actor=SYSTEM, channel="worker"))
        except Unavailable:
            raise
        except DomainError as error:
            self.refused(source, error)

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing is lost: the next start of a worker asks again."""
