"""Jobs in PostgreSQL: taken many at a time under leases, renewed while they run, tried again, given up."""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.postgres import sql
from adapters.postgres.arrays import bigints, integers, jsonbs, texts, uuids
from adapters.postgres.reading import rows_of
from commands.jobs import MOST_ATTEMPTS, Failed, Finished, Job, Outcome, Postponed, Work
from domain.errors import DomainError

SQL = sql.load("adapters", "jobs.sql")
CHANNEL = "magnet_jobs"
LEASE = 20.0
"""Seconds after which the jobs of a process that gave no sign of life are taken by another."""

RENEW_EVERY = 5.0
LOOK_EVERY = 1.0
"""Seconds after which a worker looks without having been told."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 120.0
"""Seconds between two attempts: doubled each time, with jitter."""

MOST_DOUBLED = 100
"""Doublings after which a pause is the longest one, whatever the first was; a thousand would be more than a number holds."""

DRAIN = 5.0
"""Seconds that jobs under way are given when the process is asked to end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A job that is not done: how often it was tried, and why in vain the last time."""

    attempts: int
    error: str | None
    running: bool


class Jobs:
    """Asks for jobs, tells of them, and in a worker carries them out."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        owner: UUID,
        *,
        lease: float = LEASE,
        first_pause: float = FIRST_PAUSE,
        most_attempts: int = MOST_ATTEMPTS,
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._lease = lease
        self._first_pause = first_pause
        self._most_attempts = most_attempts
        self._runners: dict[str, Runner] = {}
        self._look_again = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.held: set[UUID] = set()

    # For everyone ------------------------------------------------------------

    async def ask(self, kind: str, keys: Sequence[str]) -> None:
        """Ask for jobs; those that there are already are done once more."""
        await self.rows("ask", {"kind": kind, "keys": texts(list(keys))}, returns=False)
        await self.rows("tell", {"kind": kind})

    async def waiting(self, kind: str, keys: Sequence[str]) -> Mapping[str, Waiting]:
        """Return those of these jobs that are not done, by key."""
        rows = await self.rows("waiting", {"kind": kind, "keys": texts(list(keys))})
        return {row[0]: Waiting(attempts=row[1], error=row[2], running=row[3]) for row in rows}

    async def depth(self) -> Mapping[str, tuple[int, float]]:
        """Return how many jobs of each kind there are, and by how many seconds the oldest is overdue."""
        return {kind: (number, overdue) for kind, number, overdue in await self.rows("depth", {})}

    # For workers -------------------------------------------------------------

    async def open(self, works: Sequence[Work]) -> None:
        """Begin to carry out jobs of these kinds."""
        self._runners = {work.kind: Runner(self, work) for work in works}
        for runner in self._runners.values():
            runner.open()
        for work in works:
            if getattr(work, "standing", False):
                await self.ask(work.kind, [work.kind])
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._look())]

    async def close(self, drain: float = DRAIN) -> None:
        """Take nothing more, give what is under way some time, and release the rest for others at once."""
        await asyncio.gather(*(runner.close(drain) for runner in self._runners.values()))
        await end_tasks(*self._tasks)
        self._tasks = []

    def hear(self, kind: str | None) -> None:
        """Take a notification: a kind that has jobs; None: look for yourself."""
        if kind is None:
            self._look_again.set()
        elif (runner := self._runners.get(kind)) is not None:
            runner.wake()

    async def _look(self) -> None:
        """Wake the runners of kinds that have something due, told of it or not."""
        while True:
            pause = LOOK_EVERY
            try:
                for kind, seconds in await self.rows("due", {"kinds": texts(list(self._runners))}):
                    if seconds <= 0:
                        self._runners[kind].wake()
                    else:
                        pause = min(pause, seconds)
            except (DomainError, psycopg.Error, PoolTimeout) as error:
                log.warning("jobs_not_looked_for", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, pause)):
                    await self._look_again.wait()
            self._look_again.clear()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(min(RENEW_EVERY, self._lease / 4))
            if self.held:
                values = {"ids": uuids(list(self.held)), "owner": self._owner, "seconds": self._lease}
                try:
                    await self.rows("renew", values, returns=False)
                except (DomainError, psycopg.Error) as error:
                    # The database is away: leases outlast some rounds.
                    log.warning("jobs_not_renewed", error=type(error).__name__, jobs=len(self.held))

    # For runners -------------------------------------------------------------

    async def take(self, kind: str, limit: int) -> list[Job]:
        """Take due jobs; none that this process is still at, though its lease ran out while the database was away."""
        values = {
            "kind": kind, "limit": limit, "owner": self._owner, "seconds": self._lease, "held": uuids(list(self.held)),
        }  # fmt: skip
        jobs = [
            Job(id=row[0], kind=kind, key=row[1], payload=row[2], generation=row[3], attempt=row[4])
            for row in await self.rows("take", values)
        ]
        self.held |= {job.id for job in jobs}
        return jobs

    async def settle(self, work: Work, jobs: Sequence[Job], outcomes: Mapping[UUID, Outcome]) -> None:
        """Note what became of jobs that were taken; one without an outcome is released."""
        done: list[Job] = []
        later: list[tuple[Job, float, int, Mapping[str, Any], str | None]] = []
        for job in jobs:
            match outcomes.get(job.id):
                case Finished():
                    done.append(job)
                case Postponed(delay=delay, payload=payload):
                    later.append((job, delay, 0, payload, None))
                case Failed(error=error) if job.attempt >= self._most_attempts and not await self._asked_again(job):
                    log.warning("job_given_up", kind=job.kind, key=job.key, error=error)
                    try:
                        await work.give_up(job, error)
                    except Exception as refusal:  # the other jobs of the group are settled all the same
                        known = isinstance(refusal, DomainError | psycopg.Error)
                        name = type(refusal).__name__
                        log.warning("giving_up_failed", kind=job.kind, key=job.key, error=name, exc_info=not known)
                        later.append((job, self._pause(job), job.attempt, job.payload, error))
                    else:
                        done.append(job)
                case Failed(error=error):
                    later.append((job, self._pause(job), job.attempt, job.payload, error))
                case None:
                    later.append((job, 0.0, job.attempt - 1, job.payload, None))
        if done:
            await self.rows("finish", self._named(done), returns=False)
        if later:
            values = {
                **self._named([job for job, *_ in later]),
                "delays": integers([round(1000 * delay) for _, delay, *_ in later]),
                "attempts": integers([attempts for _, _, attempts, *_ in later]),
                "payloads": jsonbs([orjson.dumps(dict(payload)) for *_, payload, _ in later]),
                "errors": texts([error for *_, error in later]),
            }
            await self.rows("later", values, returns=False)
            self._look_again.set()  # one may be due sooner than what is waited for

    async def _asked_again(self, job: Job) -> bool:
        """Return whether what is to be done is no longer what was tried."""
        return not await self.rows("unchanged", {"id": job.id, "generation": job.generation})

    def _named(self, jobs: Sequence[Job]) -> dict[str, Any]:
        return {
            "ids": uuids([job.id for job in jobs]),
            "generations": bigints([job.generation for job in jobs]),
            "owner": self._owner,
        }

    def _pause(self, job: Job) -> float:
        doubled = min(job.attempt - 1, MOST_DOUBLED)  # what can't even be given up is tried without end
        longest = min(LONGEST_PAUSE, self._first_pause * 2.0**doubled)
        return longest * random.uniform(0.5, 1.0)

    async def rows(self, query: str, values: Mapping[str, Any], *, returns: bool = True) -> list[Any]:
        """Return the rows of a statement, none where it `returns` none."""
        if returns:
            return await rows_of(self._pool, SQL[query], values)
        async with self._pool.connection() as connection:
            await connection.execute(SQL[query], values)
        return []


class Runner:
    """Carries out the jobs of one kind: some groups at a time."""

    def __init__(self, jobs: Jobs, work: Work) -> None:
        self._jobs = jobs
        self._work = work
        self._woken = asyncio.Event()
        self._groups: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to wait for being woken."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def close(self, drain: float) -> None:
        """Take nothing more; what is not done in time is released."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None
        if self._groups:
            _, running = await asyncio.wait(self._groups, timeout=drain)
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                while len(self._groups) < self._work.groups and (taken := await self._take()):
                    self._begin(taken)
            except (DomainError, psycopg.Error, PoolTimeout) as error:
                log.warning("jobs_not_taken", kind=self._work.kind, error=type(error).__name__)

    async def _take(self) -> list[Job]:
        """Take jobs; a cancellation meanwhile loses none of them."""
        taking = asyncio.ensure_future(self._jobs.take(self._work.kind, self._work.most))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            if jobs := await taking:
                await self._settled(jobs, {})
            raise

    def _begin(self, jobs: Sequence[Job]) -> None:
        task = asyncio.create_task(self._carry_out(jobs))
        self._groups.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._groups.discard(task)
        self._woken.set()

    async def _carry_out(self, jobs: Sequence[Job]) -> None:
        outcomes: Mapping[UUID, Outcome] = {}
        try:
            outcomes = await self._work.carry_out(jobs)
        except DomainError as error:
            outcomes = {job.id: Failed(error=str(error)) for job in jobs}
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.ensure_future(self._settled(jobs, {})))
            raise
        except Exception as error:
            log.exception("jobs_failed", kind=self._work.kind, error=type(error).__name__)
            outcomes = {job.id: Failed(error="Something went wrong here; the log has it.") for job in jobs}
        await self._settled(jobs, outcomes)

    async def _settled(self, jobs: Sequence[Job], outcomes: Mapping[UUID, Outcome]) -> None:
        try:
            await self._jobs.settle(self._work, jobs, outcomes)
        except (DomainError, psycopg.Error, PoolTimeout) as error:
            # Whoever finds their leases run out does them again.
            log.warning("jobs_not_settled", kind=self._work.kind, error=type(error).__name__, jobs=len(jobs))
        finally:
            self._jobs.held -= {job.id for job in jobs}
