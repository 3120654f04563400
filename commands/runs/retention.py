"""Retention: texts of runs end by their age, by the keys of their days."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from commands.bus import Bus, Done
from commands.jobs import Finished, Job, Outcome, Postponed
from commands.ports import SYSTEM, Context, SecretBox, Unit
from commands.runs.runs import encoded
from commands.subject import DATA_KEYS
from domain.run import TEXTS
from domain.run_texts import RunTexts

RETENTION = "retention"
"""The kind of the job that looks what is too old."""

EVERY = 3600.0
"""Seconds between two looks."""


def period(kind: str, day: str) -> str:
    """Return under which name the key of a kind of texts and a day (YYYY-MM-DD) stands; no subject is named so."""
    return f"\0{kind} {day}"


@dataclass(frozen=True, kw_only=True)
class DestroyRunTexts:
    """Destroy the keys of days; `days` as YYYY-MM-DD."""

    days: Sequence[str]

    @property
    def stream(self) -> UUID:
        """That of all texts."""
        return RunTexts.create_id()


@dataclass(frozen=True, kw_only=True)
class RetentionHandlers:
    """Carries out the commands on run texts."""

    secrets: SecretBox

    async def destroy(self, command: DestroyRunTexts, unit: Unit) -> Done:
        """Destroy the keys in the transaction of the event."""
        texts = await unit.find(RunTexts, command.stream) or RunTexts.create()
        texts.destroy(command.days)
        for day in command.days:
            unit.effect("erase", mac=encoded(self.secrets.mac(DATA_KEYS, period(TEXTS, day).encode())))
        unit.save(texts)
        return Done(aggregate=texts)


class Keys(Protocol):
    """Which keys there are."""

    async def living(self, subjects: Iterable[str]) -> set[str]:
        """Return those that have a key."""


class Entry(Protocol):
    """An event of the log."""

    @property
    def recorded_at(self) -> datetime: ...


class Log(Protocol):
    """The log, by position."""

    async def at(self, position: int) -> Entry | None:
        """Return the entry at a position."""


@dataclass(frozen=True, kw_only=True)
class EndRunTexts:
    """Ends texts of runs that are older than `days`; None: they are kept. Looks again every hour, in one process."""

    bus: Bus
    keys: Keys
    log: Log
    days: int | None
    today: Callable[[], date] = lambda: datetime.now(UTC).date()
    kind: str = RETENTION
    standing: bool = True
    most: int = 1
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """End what is too old."""
        if self.days is None:
            return {job.id: Finished() for job in jobs}
        await self.end(self.days)
        payload: dict[str, Any] = {}
        return {job.id: Postponed(delay=EVERY, payload=payload) for job in jobs}

    async def end(self, days: int) -> Sequence[str]:
        """Destroy the keys of all days that are older, and return those days."""
        began, last = await self.log.at(1), self.today() - timedelta(days=days + 1)
        if began is None:
            return []
        first = began.recorded_at.astimezone(UTC).date()
        asked = [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]
        living = await self.keys.living(period(TEXTS, day) for day in asked)
        ended = [day for day in asked if period(TEXTS, day) in living]
        if ended:
            await self.bus.dispatch(DestroyRunTexts(days=ended), Context(actor=SYSTEM))
        return ended

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing is lost: the next start of a worker asks again."""
