"""Jobs: each done at least once, by one worker at a time, tried again, given up, and never forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.jobs import Jobs
from adapters.postgres.arrays import uuids
from commands.jobs import Failed, Finished, Job, Outcome, Postponed
from domain.errors import Unavailable
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

KEYS = [f"k{number:03}" for number in range(100)]


@dataclass
class Errands:
    """Work that does what a test says, and remembers what it was given."""

    answer: Callable[[Job], Outcome] = lambda job: Finished()
    kind: str = "errand"
    most: int = 10
    groups: int = 2
    done: list[Job] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        self.done += jobs
        self.began.set()
        if self.hold is not None:
            await self.hold.wait()
        return {job.id: self.answer(job) for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        self.given_up.append((job.key, error))

    @property
    def keys(self) -> list[str]:
        return [job.key for job in self.done]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(
        database.app_dsn, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}
    ) as opened:
        yield opened


@asynccontextmanager
async def working(pool: AsyncConnectionPool, work: Errands, **settings: Any) -> AsyncIterator[Jobs]:
    """A worker that carries out jobs while the block lasts."""
    jobs = Jobs(pool, uuid4(), **({"first_pause": 0.01} | settings))
    await jobs.open([work])
    try:
        yield jobs
    finally:
        await jobs.close(drain=0.2)


async def none_left(jobs: Jobs, kind: str = "errand") -> None:
    """Wait until every job is done or given up."""
    async with asyncio.timeout(PATIENCE):
        while kind in await jobs.depth():
            await asyncio.sleep(0.01)


async def test_each_job_is_done_once_however_many_workers_there_are(pool: AsyncConnectionPool):
    works = [Errands() for _ in range(4)]
    await Jobs(pool, uuid4()).ask("errand", KEYS)
    async with (
        working(pool, works[0]) as jobs,
        working(pool, works[1]),
        working(pool, works[2]),
        working(pool, works[3]),
    ):
        await none_left(jobs)
    assert sorted(key for work in works for key in work.keys) == KEYS


async def test_a_worker_looks_for_the_jobs_of_all_its_kinds_at_once(
    pool: AsyncConnectionPool, monkeypatch: pytest.MonkeyPatch
):
    jobs, asked = Jobs(pool, uuid4()), asyncio.Queue[str]()
    rows = jobs.rows

    async def noted(query: str, values: Mapping[str, Any], *, returns: bool = True) -> list[Any]:
        found = await rows(query, values, returns=returns)
        asked.put_nowait(query)
        return found

    monkeypatch.setattr(jobs, "rows", noted)
    await jobs.open([Errands(kind=f"errand{number}") for number in range(30)])
    try:
        looks = []
        for _ in range(3):
            jobs.hear(None)
            looks.append(await asked.get())
    finally:
        await jobs.close()
    assert looks == ["due", "due", "due"]


async def test_a_job_asked_for_twice_before_it_is_begun_is_done_once(pool: AsyncConnectionPool):
    work = Errands()
    asking = Jobs(pool, uuid4())
    await asking.ask("errand", ["a"])
    await asking.ask("errand", ["a"])
    async with working(pool, work) as jobs:
        await none_left(jobs)
    assert work.keys == ["a"]


async def test_a_job_asked_for_again_while_it_is_done_is_done_again(pool: AsyncConnectionPool):
    work = Errands(hold=asyncio.Event())
    async with working(pool, work) as jobs:
        await jobs.ask("errand", ["a"])
        await work.began.wait()
        await jobs.ask("errand", ["a"])
        work.hold.set()
        await none_left(jobs)
    assert work.keys == ["a", "a"]


async def test_what_fails_is_tried_again_and_then_given_up_with_its_reason(pool: AsyncConnectionPool):
    work = Errands(answer=lambda job: Failed(error=f"attempt {job.attempt} failed"))
    async with working(pool, work, most_attempts=3) as jobs:
        await jobs.ask("errand", ["a"])
        await none_left(jobs)
    assert [job.attempt for job in work.done] == [1, 2, 3]
    assert work.given_up == [("a", "attempt 3 failed")]


async def test_why_a_job_waits_to_be_tried_again_can_be_read(pool: AsyncConnectionPool):
    work = Errands(answer=lambda job: Failed(error="The provider is away."))
    async with working(pool, work, first_pause=60) as jobs:
        await jobs.ask("errand", ["a"])
        async with asyncio.timeout(PATIENCE):
            while (found := (await jobs.waiting("errand", ["a"]))["a"]).error is None:
                await asyncio.sleep(0.01)
    assert (found.attempts, found.error, found.running) == (1, "The provider is away.", False)


async def test_what_is_given_up_but_can_not_be_recorded_is_kept(pool: AsyncConnectionPool):
    @dataclass
    class Stubborn(Errands):
        refusals: int = 2

        async def give_up(self, job: Job, error: str) -> None:
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("The database is away.")
            await super().give_up(job, error)

    work = Stubborn(answer=lambda job: Failed(error="no"))
    async with working(pool, work, most_attempts=1) as jobs:
        await jobs.ask("errand", ["a"])
        await none_left(jobs)
    assert work.given_up == [("a", "no")]
    assert len(work.done) == 3


@pytest.mark.parametrize("error", [psycopg.OperationalError("away"), KeyError("a defect")])
async def test_giving_a_job_up_in_vain_keeps_no_other_of_its_group_from_being_done(
    pool: AsyncConnectionPool, error: Exception
):
    @dataclass
    class Broken(Errands):
        async def give_up(self, job: Job, error_of_job: str) -> None:
            raise error

    jobs = Jobs(pool, uuid4(), most_attempts=1)
    await jobs.ask("errand", ["bad", "good"])
    bad, good = sorted(await jobs.take("errand", 2), key=lambda job: job.key)
    await jobs.settle(Broken(), [bad, good], {bad.id: Failed(error="no"), good.id: Finished()})
    waiting = await jobs.waiting("errand", ["bad", "good"])
    assert {key: (each.error, each.running) for key, each in waiting.items()} == {"bad": ("no", False)}


async def test_what_is_asked_for_again_during_the_last_attempt_is_not_given_up(pool: AsyncConnectionPool):
    work, jobs = Errands(), Jobs(pool, uuid4(), most_attempts=1)
    await jobs.ask("errand", ["a"])
    taken = await jobs.take("errand", 1)
    await jobs.ask("errand", ["a"])  # such as for another version of a document
    await jobs.settle(work, taken, {taken[0].id: Failed(error="no")})
    waiting = await jobs.waiting("errand", ["a"])
    assert work.given_up == []
    assert {key: (each.attempts, each.error) for key, each in waiting.items()} == {"a": (0, None)}


async def test_what_can_not_be_given_up_however_often_it_is_tried_is_settled_all_the_same(pool: AsyncConnectionPool):
    class Broken(Errands):
        async def give_up(self, job: Job, error: str) -> None:
            raise Unavailable("The index is away.")

    jobs = Jobs(pool, uuid4())
    await jobs.ask("errand", ["a"])
    job = replace((await jobs.take("errand", 1))[0], attempt=1_100)
    await jobs.settle(Broken(), [job], {job.id: Failed(error="no")})
    waiting = (await jobs.waiting("errand", ["a"]))["a"]
    assert (waiting.attempts, waiting.error, waiting.running) == (1_100, "no", False)


async def test_what_is_postponed_goes_on_with_its_payload_and_counts_as_no_attempt(pool: AsyncConnectionPool):
    def answer(job: Job) -> Outcome:
        step = job.payload.get("step", 0)
        return Finished() if step == 3 else Postponed(delay=0, payload={"step": step + 1})

    work = Errands(answer=answer)
    async with working(pool, work, most_attempts=2) as jobs:
        await jobs.ask("errand", ["a"])
        await none_left(jobs)
    assert [(job.payload.get("step", 0), job.attempt) for job in work.done] == [(0, 1), (1, 1), (2, 1), (3, 1)]


async def test_a_defect_in_the_work_fails_its_jobs_and_no_others(pool: AsyncConnectionPool):
    class Defect(Exception):
        pass

    def answer(job: Job) -> Outcome:
        if job.key == "bad":
            raise Defect
        return Finished()

    work = Errands(answer=answer, most=1)
    async with working(pool, work, most_attempts=2) as jobs:
        await jobs.ask("errand", ["bad", *KEYS])
        await none_left(jobs)
    assert sorted(set(work.keys)) == ["bad", *KEYS]
    assert work.given_up == [("bad", "Something went wrong here; the log has it.")]


async def test_a_job_is_due_when_its_delay_is_over_without_anybody_telling(pool: AsyncConnectionPool):
    work = Errands(answer=lambda job: Postponed(delay=0.05, payload={"x": 1}) if not job.payload else Finished())
    async with working(pool, work) as jobs:
        await jobs.ask("errand", ["a"])
        await none_left(jobs)
    assert len(work.done) == 2


async def test_what_a_dead_worker_held_is_taken_when_its_lease_runs_out(pool: AsyncConnectionPool):
    dead = Jobs(pool, uuid4(), lease=0.3)
    await dead.ask("errand", ["a"])
    [taken] = await dead.take("errand", 10)
    work = Errands()
    async with working(pool, work) as jobs:
        await none_left(jobs)
        assert work.keys == ["a"]
        await jobs.ask("errand", ["a"])
        await none_left(jobs)
        # The dead one comes back to life: what it says of what is no longer its own changes nothing.
        await jobs.ask("errand", ["b"])
        await none_left(jobs)
    await dead.settle(work, [taken], {taken.id: Failed(error="late")})
    assert await dead.depth() == {}


async def test_a_process_whose_leases_ran_out_does_not_begin_a_second_time_what_it_is_still_at(
    pool: AsyncConnectionPool,
):
    alive = Jobs(pool, uuid4(), lease=0)  # as after the database was away for longer than a lease
    await alive.ask("errand", ["a"])
    [taken] = await alive.take("errand", 10)
    assert await alive.take("errand", 10) == []
    [elsewhere] = await Jobs(pool, uuid4()).take("errand", 10)
    assert elsewhere.id == taken.id


async def test_a_lease_is_renewed_for_as_long_as_the_work_goes_on(pool: AsyncConnectionPool):
    work, other = Errands(hold=asyncio.Event()), Errands()
    async with working(pool, work, lease=0.4) as jobs:
        await jobs.ask("errand", ["a"])
        await work.began.wait()
        async with working(pool, other):
            renewed = []
            async with pool.connection() as connection:
                while len(set(renewed)) < 5:  # more than two leases long
                    row = await (await connection.execute("SELECT leased_until FROM magnet.jobs")).fetchone()
                    renewed.append(row[0])
                    await asyncio.sleep(0.02)
            work.hold.set()
            await none_left(jobs)
    assert (work.keys, other.keys) == (["a"], [])


async def test_a_worker_that_ends_gives_back_what_it_could_not_finish(pool: AsyncConnectionPool):
    work = Errands(hold=asyncio.Event())
    async with working(pool, work) as jobs:
        await jobs.ask("errand", ["a"])
        await work.began.wait()
    again = Errands()
    async with working(pool, again) as jobs:
        await none_left(jobs)
    assert [(job.key, job.attempt) for job in again.done] == [("a", 1)]


async def test_the_database_away_for_a_while_costs_no_job(database: Database, pool: AsyncConnectionPool):
    work = Errands(most=1)
    async with working(pool, work, lease=0.5) as jobs:
        await jobs.ask("errand", KEYS)
        async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
            for _ in range(5):
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'magnet_app'"
                )
                await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    if "errand" not in await jobs.depth():
                        break
                except (Unavailable, psycopg.Error):
                    pass
                await asyncio.sleep(0.05)
    assert sorted(set(work.keys)) == KEYS


async def test_leases_are_renewed_in_the_order_in_which_jobs_end_so_that_neither_is_refused_as_a_deadlock(
    pool: AsyncConnectionPool, database: Database
):
    jobs, last = Jobs(pool, uuid4()), UUID(int=2**128 - 1)
    await jobs.ask("errand", ["a", "b"])
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
        await owner.execute("UPDATE magnet.jobs SET id = %s WHERE key = 'a'", [last])
    taken = await jobs.take("errand", 2)
    async with await psycopg.AsyncConnection.connect(database.app_dsn) as ending:
        await ending.execute("SELECT FROM magnet.jobs WHERE key = 'a' FOR UPDATE")
        values = {"ids": uuids([job.id for job in taken]), "owner": jobs._owner, "seconds": 20.0}
        renewing = asyncio.create_task(jobs.rows("renew", values, returns=False))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        async with pool.connection() as connection, asyncio.timeout(PATIENCE):
            while await (await connection.execute(waits, [ending.info.backend_pid])).fetchone() != (1,):
                await asyncio.sleep(0.01)
        await ending.execute("SELECT FROM magnet.jobs WHERE key = 'b' FOR UPDATE NOWAIT")
        await ending.commit()
        await renewing
