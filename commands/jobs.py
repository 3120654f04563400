"""Jobs: work that is on record beside the log, carried out by any worker, once or more often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

MOST_ATTEMPTS = 40
"""Attempts until a job is given up: more than an hour, by the pauses between them."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that was taken; `attempt` counts from 1. There is at most one for each kind and key."""

    id: UUID
    kind: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 1
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """It is done."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It did not work and may be tried again; `error` is what people are told."""

    error: str


@dataclass(frozen=True, kw_only=True)
class Postponed:
    """It goes on later: after `delay` seconds, with this payload. That is no failed attempt."""

    delay: float
    payload: Mapping[str, Any]


Outcome = Finished | Failed | Postponed


class Work(Protocol):
    """How the jobs of one kind are carried out; whatever it does may be done again after a crash.

    `most` jobs are taken at once, and `groups` of those are under way at the same time in a process. One that is
    `standing` is asked for whenever a worker begins, under its kind as the key.
    """

    @property
    def kind(self) -> str: ...

    @property
    def most(self) -> int: ...

    @property
    def groups(self) -> int: ...

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Return what became of each job, by its id; an exception is a failure of all of them."""

    async def give_up(self, job: Job, error: str) -> None:
        """Record that a job failed for the last time."""


class JobQueue(Protocol):
    """Where jobs are asked for outside of a command."""

    async def ask(self, kind: str, keys: Sequence[str]) -> None:
        """Ask for jobs; those that there are already are done once more."""
