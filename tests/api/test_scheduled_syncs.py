"""Syncs by schedule: each is begun when it is time, once, whatever was missed and whoever else is refused."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.jobs import Jobs
from adapters.knowledge.scheduled_sources import PostgresScheduledSources
from commands.jobs import Failed, Finished, Job, Outcome, Postponed
from commands.knowledge.knowledge_source import SCHEDULE
from commands.knowledge.scheduling import HOUR, SyncBySchedule
from domain.errors import Unavailable
from domain.knowledge_source import KnowledgeSource
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.server import Running, serving


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-04T{text}").replace(tzinfo=UTC)


def key_of(name: str) -> str:
    return str(KnowledgeSource.create_id(name))


@dataclass
class Clock:
    """What looks at the schedule of a source, at times that the test says."""

    magnet: Running
    folder: Path
    refused: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    payloads: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    async def source(self, name: str, schedule: str | None) -> None:
        body = {"name": name, "type": "folder", "config": {"path": str(self.folder)}, "schedule": schedule}
        await self.magnet.do("POST", "/v1/knowledge-sources", body)

    def work(self, time: str = "09:00:00") -> SyncBySchedule:
        container = self.magnet.container
        return SyncBySchedule(
            bus=container.bus,
            things=container.store,
            queue=container.jobs,
            sources=PostgresScheduledSources(container.pool),
            refused=lambda source, error: self.refused.append(error.error_code),
            failed=lambda key, error: self.failed.append((key, type(error).__name__)),
            now=lambda: at(time),
        )

    async def outcomes(self, time: str, *keys: str) -> list[Outcome]:
        """Look at all these in one batch, by their keys."""
        jobs = [Job(id=uuid4(), kind=SCHEDULE, key=key, payload=self.payloads.get(key, {})) for key in keys]
        found = await self.work(time).carry_out(jobs)
        for job in jobs:
            if isinstance(outcome := found[job.id], Postponed):
                self.payloads[job.key] = outcome.payload
        self.magnet.position = await self.magnet.container.log.head()
        return [found[job.id] for job in jobs]

    async def look(self, name: str, time: str) -> float | None:
        """Look at a schedule; return after how many seconds to look again, None: never."""
        [outcome] = await self.outcomes(time, key_of(name))
        assert not isinstance(outcome, Failed), outcome
        return outcome.delay if isinstance(outcome, Postponed) else None

    async def syncs(self, name: str) -> int:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = (await self.magnet.get(f"/v1/knowledge-sources/{name}/syncs"))["items"]
                if all(each["ended_at"] is not None for each in found):
                    return len(found)
                await asyncio.sleep(0.02)


@pytest.fixture
async def clock(database: Database, tmp_path: Path) -> AsyncIterator[Clock]:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    async with serving(database, tmp_path / "home", reader=PlainReader(), MAGNET_FOLDERS=str(tmp_path)) as magnet:
        yield Clock(magnet=magnet, folder=folder)


async def test_a_sync_begins_when_it_is_time_and_not_before(clock: Clock):
    await clock.source("docs", "0 * * * *")
    assert await clock.look("docs", "09:59:50") == 10.0  # the first look begins nothing
    assert await clock.syncs("docs") == 0
    assert await clock.look("docs", "10:00:00") == 3600.0
    assert await clock.syncs("docs") == 1
    await clock.look("docs", "10:59:59")
    assert await clock.syncs("docs") == 1
    await clock.look("docs", "11:00:01")
    assert await clock.syncs("docs") == 2
    [first, *_] = (await clock.magnet.get("/v1/events?type=sync.created"))["items"]
    assert first["actor"]["type"] == "system"


async def test_what_was_missed_is_made_up_for_once(clock: Clock):
    await clock.source("docs", "* * * * *")
    await clock.look("docs", "09:00:00")
    await clock.look("docs", "15:30:00")
    assert await clock.syncs("docs") == 1


async def test_a_source_without_a_schedule_is_not_looked_at_again(clock: Clock):
    await clock.source("docs", None)
    assert await clock.look("docs", "09:00:00") is None


async def test_a_sync_that_is_under_way_is_not_begun_again_and_that_is_told(clock: Clock):
    await clock.source("docs", "0 * * * *")
    await clock.magnet.container.jobs.close()  # so that the sync below stays under way
    await clock.magnet.do("POST", "/v1/knowledge-sources/docs/sync")
    await clock.look("docs", "09:30:00")
    assert await clock.look("docs", "10:00:00") == 3600.0
    assert clock.refused == ["sync_in_progress"]


async def test_an_archived_source_is_not_synced_until_it_is_restored(clock: Clock):
    await clock.source("docs", "0 * * * *")
    await clock.look("docs", "09:30:00")
    await clock.magnet.do("DELETE", "/v1/knowledge-sources/docs")
    assert await clock.look("docs", "10:00:00") == 3600.0
    assert (await clock.syncs("docs"), clock.refused) == (0, [])
    await clock.magnet.do("POST", "/v1/knowledge-sources/docs/restore")
    await clock.look("docs", "11:00:00")
    assert await clock.syncs("docs") == 1


async def test_a_database_that_is_away_loses_no_turn(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    await clock.source("docs", "0 * * * *")
    await clock.look("docs", "09:30:00")

    async def away(*_: Any) -> Any:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(clock.magnet.container.bus, "dispatch", away)
        assert await clock.outcomes("10:00:00", key_of("docs")) == [Failed(error="The database is away.")]
    await clock.look("docs", "10:00:05")
    assert await clock.syncs("docs") == 1


async def test_a_schedule_is_looked_at_from_when_it_is_set_and_by_every_worker_that_begins(clock: Clock):
    await clock.source("docs", "0 0 1 1 *")
    key, jobs = str(KnowledgeSource.create_id("docs")), clock.magnet.container.jobs
    assert list(await jobs.waiting(SCHEDULE, [key])) == [key]
    await clock.magnet.do("PATCH", "/v1/knowledge-sources/docs", {"schedule": None})
    async with asyncio.timeout(PATIENCE):
        while await jobs.waiting(SCHEDULE, [key]):
            await asyncio.sleep(0.02)
    await clock.magnet.do("PATCH", "/v1/knowledge-sources/docs", {"schedule": "0 0 1 1 *"})
    async with clock.magnet.container.pool.connection() as connection:
        await connection.execute("DELETE FROM magnet.jobs")
    await clock.magnet.get("/v1/knowledge-sources")  # the read model has seen it
    await jobs.ask(SCHEDULE, [SCHEDULE])
    async with asyncio.timeout(PATIENCE):
        while key not in await jobs.waiting(SCHEDULE, [key]):
            await asyncio.sleep(0.02)


async def test_an_error_at_one_source_fails_its_job_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    newest = clock.magnet.container.store.newest

    async def breaking(kind: Any, id: UUID) -> Any:
        if str(id) == key_of("broken"):
            raise RuntimeError
        return await newest(kind, id)

    monkeypatch.setattr(clock.magnet.container.store, "newest", breaking)
    await clock.source("docs", "0 * * * *")
    await clock.look("docs", "09:30:00")
    missing, unreadable, broken, good = await clock.outcomes(
        "10:00:00", key_of("missing"), "no id", key_of("broken"), key_of("docs")
    )
    assert [type(each) for each in (missing, unreadable, broken)] == [Failed] * 3
    assert isinstance(good, Postponed)
    assert clock.failed == [(key_of("broken"), "RuntimeError")]
    assert await clock.syncs("docs") == 1


async def test_a_schedule_that_failed_for_the_last_time_is_looked_at_from_the_beginning_again(clock: Clock):
    await clock.magnet.container.jobs.close()
    jobs = Jobs(clock.magnet.container.pool, uuid4(), most_attempts=1)
    await jobs.ask(SCHEDULE, ["docs"])
    [job] = [each for each in await jobs.take(SCHEDULE, 20) if each.key == "docs"]
    await jobs.settle(clock.work(), [job], {job.id: Failed(error="The database is away.")})
    assert (await jobs.waiting(SCHEDULE, ["docs"]))["docs"].attempts == 0


async def test_schedules_are_asked_for_until_the_read_model_is_complete_and_hourly_from_then_on(
    clock: Clock, database: Database
):
    key, jobs = key_of("docs"), clock.magnet.container.jobs
    assert await clock.outcomes("09:00:00", SCHEDULE) == [Finished()]
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as owner:  # the read model stands still
        await owner.execute("SELECT FROM magnet_read.tracking WHERE projection = 'configurations_v1' FOR UPDATE")
        await clock.source("docs", "0 0 1 1 *")
        delays = [
            outcome.delay
            for _ in range(14)
            for outcome in await clock.outcomes("09:00:00", SCHEDULE)
            if isinstance(outcome, Postponed)
        ]
        assert delays[:4] == [1, 2, 4, 8]
        assert len(delays) == 14 and delays[-1] == HOUR
        await owner.execute("DELETE FROM magnet.jobs")
    await clock.magnet.get("/v1/knowledge-sources")  # the read model has seen it
    [outcome] = await clock.outcomes("09:00:00", SCHEDULE)
    assert outcome == Postponed(delay=HOUR, payload={})
    assert list(await jobs.waiting(SCHEDULE, [key])) == [key]
