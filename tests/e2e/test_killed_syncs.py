"""A worker is killed while it syncs: another goes on where it was, and each document is taken once."""

import asyncio
from pathlib import Path

import pytest

from commands.knowledge.sync import BeginSync
from domain.knowledge_source import KnowledgeSource
from domain.sync import Sync
from tests.e2e.test_crashes import installation
from tests.e2e.test_killed_indexing import ASKED, asking, count, make, until

FILES = 400
TAKEN = (
    "SELECT count(*), count(DISTINCT originator_id) FROM magnet.magnet_events WHERE topic = 'document.version_added'"
)
TOLD = "SELECT count(*) FROM magnet.magnet_events WHERE topic = 'sync.progressed'"
WAITING = "SELECT count(*) FROM magnet.jobs WHERE kind = 'sync'"


@pytest.mark.parametrize("failpoint", ["", "append.before=exit@4", "append.after=exit@4"])
async def test_a_sync_that_was_killed_goes_on_where_it_was(
    failpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"f{number}.txt").write_text(f"Document {number} has a text of its own.")
    monkeypatch.setenv("MAGNET_FOLDERS", str(tmp_path))
    with installation() as site:
        async with asking(site) as container:
            source = await make(container, KnowledgeSource, "docs", type="folder", config={"path": str(folder)})
            sync = (await container.bus.dispatch(BeginSync(source=source), ASKED)).id
            doomed = site.start("worker", failpoints=failpoint)
            if failpoint:
                await asyncio.to_thread(doomed.wait, 60)
                site.processes.remove(doomed)
            else:
                await until(site, TOLD, lambda row: row[0] > 0)
                site.kill(doomed)
            site.start("worker")
            await until(site, WAITING, lambda row: row[0] == 0)
            done = await container.store.newest(Sync, sync)
            assert done.state == "completed"
            assert {name: number for name, number in done.totals.items() if number} == {"added": FILES}
            assert count(site, TAKEN) == (FILES, FILES)
