"""A sync is a run, too: of kind `sync`, of its source, with what came of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.knowledge.sync import BeginSync, EndSync
from commands.ports import SYSTEM, Context
from domain.references import identify
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.server import serving
from tests.support.synced import SOURCE, SyncedSource


@dataclass
class Folder(SyncedSource):
    """A server whose source `docs` is a folder."""

    path: Path

    async def runs(self) -> list[Any]:
        """Return the runs of syncs, the first one first."""
        found = await self.magnet.get("/v1/runs?kind=sync&order=asc")
        return [await self.magnet.get(f"/v1/runs/{each['id']}") for each in found["items"]]


@pytest.fixture
async def folder(database: Database, tmp_path: Path) -> AsyncIterator[Folder]:
    path = tmp_path / "docs"
    path.mkdir()
    for name in ("a", "b", "c"):
        (path / f"{name}.txt").write_text(f"text {name}")
    async with serving(database, tmp_path / "home", reader=PlainReader(), MAGNET_FOLDERS=str(tmp_path)) as magnet:
        config = {"path": str(path)}
        await magnet.do("POST", "/v1/knowledge-sources", {"name": "docs", "type": "folder", "config": config})
        yield Folder(magnet=magnet, path=path)


async def test_a_sync_is_a_run_of_its_source_with_the_counts_and_whoever_asked_for_it(folder: Folder):
    sync = await folder.sync()
    [run] = await folder.runs()
    assert (run["kind"], run["outcome"], run["target"]["name"]) == ("sync", "completed", "docs")
    source = await folder.magnet.get(SOURCE)
    assert run["versions"] == {"knowledge_source": {"id": source["id"], "name": "docs", "version": source["version"]}}
    [step] = run["steps"]
    counts = {"added": 3, "changed": 0, "unchanged": 0, "failed": 0, "removed": 0}
    assert (step["kind"], step["note"]) == ("sync", {"sync": sync["id"], "listed": 3, **counts})
    assert run["duration_ms"] >= step["duration_ms"] > 0
    assert (run["principal"]["id"], run["channel"]) == ("local", "api")
    [usage] = (await folder.magnet.get("/v1/usage?by=kind"))["items"]
    assert (usage["kind"], usage["count"], usage["errors"], usage["cost"]["unknown"]) == ("sync", 1, 0, False)


async def test_a_sync_that_fails_is_a_failed_run_that_says_why(folder: Folder):
    await folder.sync()
    for path in folder.path.iterdir():
        path.unlink()
    await folder.sync()
    run = (await folder.runs())[1]
    assert (run["outcome"], run["error"]["code"]) == ("failed", "too_few_listed")


async def test_a_sync_by_schedule_is_a_run_of_the_systems(folder: Folder):
    begin = BeginSync(source=identify("knowledge_source", "docs"))
    receipt = await folder.magnet.container.bus.dispatch(begin, Context(actor=SYSTEM, channel="worker"))
    await folder.ended(str(receipt.id))
    [run] = await folder.runs()
    assert (run["principal"]["id"], run["channel"], run["outcome"]) == ("system", "worker", "completed")


async def test_a_sync_that_finds_all_unchanged_makes_as_many_events_for_three_documents_as_for_a_dozen(folder: Folder):
    async def events_of_a_sync() -> int:
        before = await folder.magnet.container.log.head()
        await folder.sync()
        return await folder.magnet.container.log.head() - before

    await folder.sync()
    of_three = await events_of_a_sync()
    for number in range(9):
        (folder.path / f"{number}.txt").write_text(f"text {number}")
    await folder.sync()
    assert await events_of_a_sync() == of_three


async def test_a_sync_and_its_run_end_once(folder: Folder):
    sync = await folder.sync()
    again = EndSync(
        id=UUID(sync["id"]), outcome="failed", error={"code": "given_up", "reason": "It was tried too often."}
    )
    head = await folder.magnet.container.log.head()
    await folder.magnet.container.bus.dispatch(again, Context(actor=SYSTEM))
    assert await folder.magnet.container.log.head() == head
    [run] = await folder.runs()
    assert run["outcome"] == "completed"
