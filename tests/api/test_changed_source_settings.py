"""Settings of a source that shape its documents: a change of them reaches those that were taken before."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.server import serving
from tests.support.synced import SOURCE, SyncedSource, counts


@dataclass
class Table(SyncedSource):
    """A server whose source `docs` is a table with two rows."""

    config: dict[str, Any]
    file: Path

    def do(self, statement: str) -> None:
        with sqlite3.connect(self.file) as shop:
            shop.execute(statement)
        shop.close()

    async def settings(self, **more: Any) -> None:
        await self.magnet.do("PATCH", SOURCE, {"config": more})

    async def details(self) -> list[tuple[Any, Any, Any]]:
        items = (await self.magnet.get(f"{SOURCE}/documents"))["items"]
        return sorted((each["external_id"], each["title"], each["acl"]) for each in items)

    async def events(self) -> list[str]:
        found = (await self.magnet.get("/v1/events?limit=500"))["items"]
        return [each["type"] for each in found if each["type"].startswith("document.")]


@pytest.fixture
async def table(database: Database, tmp_path: Path) -> AsyncIterator[Table]:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as shop:
        shop.execute("CREATE TABLE notes (id TEXT, body TEXT, name TEXT, team TEXT, changed INTEGER)")
        shop.execute("INSERT INTO notes VALUES ('a', 'one', 'One', 'staff', 1), ('b', 'two', 'Two', 'sales', 1)")
    shop.close()
    config = {"url": f"sqlite:///{file}", "query": "SELECT * FROM notes", "text": "body", "version": "changed"}
    async with serving(database, tmp_path / "home", reader=PlainReader(), MAGNET_FOLDERS=str(tmp_path)) as magnet:
        await magnet.do("POST", "/v1/knowledge-sources", {"name": "docs", "type": "sql", "config": config})
        yield Table(magnet=magnet, config=config, file=file)


async def test_a_setting_that_shapes_documents_reaches_those_that_were_taken_before(table: Table):
    await table.sync()
    assert await table.details() == [("a", "a", None), ("b", "b", None)]
    await table.settings(acl="team", title="name")
    assert (await table.sync())["progress"] == {"done": 2, "total": 2}
    assert await table.details() == [("a", "One", ["staff"]), ("b", "Two", ["sales"])]
    assert await table.documents() == {"a": 1, "b": 1}, "their content is the same, so it is no new version"
    again = await table.sync()
    assert (again["counts"], again["progress"]) == (counts(listed=2, unchanged=2), {"done": 0, "total": 0})


async def test_a_setting_that_shapes_nothing_has_nothing_fetched_again(table: Table):
    await table.sync()
    before = await table.events()
    await table.settings(seconds=10)
    assert (await table.sync())["progress"] == {"done": 0, "total": 0}
    await table.settings(link="nowhere", query="SELECT *, NULL AS nowhere FROM notes")
    fetched = await table.sync()
    assert (fetched["counts"], fetched["progress"]) == (counts(listed=2, unchanged=2), {"done": 2, "total": 2})
    assert await table.events() == before, "what is fetched again and is the same leaves no event"


async def test_a_document_that_somebody_removed_stays_away_until_the_source_has_another_version(table: Table):
    await table.sync()
    [removed] = [
        each for each in (await table.magnet.get(f"{SOURCE}/documents"))["items"] if each["external_id"] == "a"
    ]
    await table.magnet.do("DELETE", f"{SOURCE}/documents/{removed['id']}")
    assert (await table.sync())["counts"] == counts(listed=2, unchanged=2)
    await table.settings(title="name")
    fetched = await table.sync()
    assert (fetched["counts"], fetched["progress"]) == (counts(listed=2, unchanged=2), {"done": 2, "total": 2})
    assert await table.details() == [("b", "Two", None)], "fetched again for other reasons, it stays away"
    table.do("UPDATE notes SET body = 'other', changed = 2 WHERE id = 'a'")
    assert (await table.sync())["counts"] == counts(listed=2, unchanged=1, changed=1)
    assert await table.details() == [("a", "One", None), ("b", "Two", None)]
    table.do("DELETE FROM notes WHERE id = 'a'")
    await table.sync()
    table.do("INSERT INTO notes VALUES ('a', 'other', 'One', 'staff', 2)")
    assert (await table.sync())["counts"] == counts(listed=2, unchanged=1, added=1), (
        "what the source took away comes back"
    )
    assert await table.details() == [("a", "One", None), ("b", "Two", None)]
