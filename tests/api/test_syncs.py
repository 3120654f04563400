"""Syncs of folders over HTTP: what is new is fetched, what is gone is removed, and a source that is away deletes nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.connectors.folder import FolderConnector
from adapters.connectors.roots import Roots
from adapters.knowledge.sync_items import PostgresSyncItems
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from commands.knowledge.syncing import MOST_DOCUMENTS
from domain.errors import Unavailable
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.rebuilding import build_anew
from tests.support.server import serving
from tests.support.synced import SOURCE, Counting, SyncedSource, carrying_out, counts


@dataclass
class Folder(SyncedSource):
    """A server whose source `docs` is a folder."""

    path: Path

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.path / f"{name}.txt").write_text(text)


@pytest.fixture
async def folder(database: Database, tmp_path: Path) -> AsyncIterator[Folder]:
    path = tmp_path / "docs"
    path.mkdir()
    async with serving(database, tmp_path / "home", reader=PlainReader(), MAGNET_FOLDERS=str(tmp_path)) as magnet:
        config = {"path": str(path)}
        await magnet.do("POST", "/v1/knowledge-sources", {"name": "docs", "type": "folder", "config": config})
        yield Folder(magnet=magnet, path=path)


async def test_a_sync_takes_what_is_new_changed_and_gone(folder: Folder):
    folder.write(a="one", b="two", c="three")
    (folder.path / ".hidden.txt").write_text("x")
    first = await folder.sync()
    assert (first["state"], first["counts"]) == ("completed", counts(listed=3, added=3, left_out=1))
    assert (first["progress"], first["estimate_seconds"], first["source"]["name"]) == (
        {"done": 3, "total": 3},
        None,
        "docs",
    )
    assert first["rate"] > 0
    assert await folder.documents() == {"a.txt": 1, "b.txt": 1, "c.txt": 1}
    folder.write(a="one, changed", d="four")
    (folder.path / "b.txt").unlink()
    (folder.path / "c.txt").touch()
    second = await folder.sync()
    assert second["counts"] == counts(listed=3, added=1, changed=1, unchanged=1, removed=1, left_out=1)
    assert await folder.documents() == {"a.txt": 2, "c.txt": 1, "d.txt": 1}
    third = await folder.sync()
    assert third["counts"] == counts(listed=3, unchanged=3, left_out=1)
    assert third["progress"] == {"done": 0, "total": 0}
    found = await folder.magnet.get(f"{SOURCE}/syncs?limit=2")
    assert [each["id"] for each in found["items"]] == [third["id"], second["id"]]
    assert found["last_synced"] == third["ended_at"]
    rest = await folder.magnet.get(f"{SOURCE}/syncs?cursor={found['next_cursor']}")
    assert [each["id"] for each in rest["items"]] == [first["id"]]
    oldest = await folder.magnet.get(f"{SOURCE}/syncs?order=asc&limit=2")
    assert [each["id"] for each in oldest["items"]] == [first["id"], second["id"]]
    rest = await folder.magnet.get(f"{SOURCE}/syncs?order=asc&cursor={oldest['next_cursor']}")
    assert ([each["id"] for each in rest["items"]], rest["next_cursor"]) == ([third["id"]], None)
    events = (await folder.magnet.get("/v1/events?type=document.removed"))["items"]
    assert [(each["data"]["cause"], each["correlation_id"]) for each in events] == [("sync", second["id"])]


async def test_a_file_that_comes_back_is_taken_again(folder: Folder):
    folder.write(a="one", b="two")
    await folder.sync()
    (folder.path / "b.txt").unlink()
    await folder.sync()
    folder.write(b="two")
    assert (await folder.sync())["counts"]["added"] == 1
    assert await folder.documents() == {"a.txt": 1, "b.txt": 2}


async def test_documents_that_were_given_by_hand_are_no_syncs_to_remove(folder: Folder):
    folder.write(a="one")
    await folder.magnet.do("POST", f"{SOURCE}/documents", {"documents": [{"external_id": "by-hand", "text": "x"}]})
    assert (await folder.sync())["counts"]["removed"] == 0
    assert set(await folder.documents()) == {"a.txt", "by-hand"}


async def test_a_source_that_is_down_deletes_nothing(folder: Folder):
    folder.write(a="one", b="two")
    await folder.sync()
    last = await folder.last_synced()
    shutil.move(folder.path, folder.path.with_name("away"))
    failed = await folder.sync()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "source_unavailable")
    assert "no folder" in failed["error"]["reason"]
    assert await folder.last_synced() == last
    assert set(await folder.documents()) == {"a.txt", "b.txt"}
    shutil.move(folder.path.with_name("away"), folder.path)
    assert (await folder.sync())["counts"] == counts(listed=2, unchanged=2)


async def test_a_source_that_lists_nothing_where_it_listed_much_deletes_nothing(folder: Folder):
    folder.write(**{f"f{number}": str(number) for number in range(30)})
    await folder.sync()
    last = await folder.last_synced()
    for number in range(30):
        (folder.path / f"f{number}.txt").unlink()
    for left in (0, 2):
        folder.write(**{f"f{number}": str(number) for number in range(left)})
        failed = await folder.sync()
        assert (failed["state"], failed["error"]["code"]) == ("failed", "too_few_listed")
        assert await folder.last_synced() == last
        assert len(await folder.documents()) == 30
    allowed = await folder.sync(allow_mass_removal=True, message="they were moved")
    assert (allowed["state"], allowed["counts"]["removed"]) == ("completed", 28)
    assert set(await folder.documents()) == {"f0.txt", "f1.txt"}


async def test_a_part_that_can_not_be_listed_deletes_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    (folder.path / "sub").mkdir()
    (folder.path / "sub" / "a.txt").write_text("one")
    folder.write(b="two")
    await folder.sync()
    walk = FolderConnector._walk

    def refused(self: FolderConnector, path: Path) -> Any:
        if path.name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        yield from walk(self, path)

    monkeypatch.setattr(FolderConnector, "_walk", refused)
    failed = await folder.sync()
    assert failed["error"] == {"code": "source_unavailable", "reason": "sub: Permission denied."}
    assert set(await folder.documents()) == {"sub/a.txt", "b.txt"}


async def test_one_sync_of_a_source_at_a_time(folder: Folder):
    await folder.magnet.container.jobs.close()
    folder.write(a="one")
    answers = await asyncio.gather(*(folder.magnet.call("POST", f"{SOURCE}/sync") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
    [begun] = [answer.json() for answer in answers if answer.status_code == 202]
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert {(each["code"], each["sync"]) for each in refused} == {("sync_in_progress", begun["id"])}


async def test_a_new_version_replaces_the_old_only_when_it_is_indexed(folder: Folder):
    folder.write(a="one")
    await folder.sync()
    await folder.magnet.container.jobs.close()
    folder.write(a="one, changed")
    sync = sync_of(folder, await folder.begin())
    await sync()
    folder.magnet.position = await folder.magnet.container.log.head()
    [found] = (await folder.magnet.get(f"{SOURCE}/documents"))["items"]
    assert (found["version"], found["status"], found["indexes"]["1"]["version"]) == (2, "pending", 1)
    body = {"name": "find", "sources": ["docs"]}
    await folder.magnet.do("POST", "/v1/retrieval-tools", body)
    passages = (
        await folder.magnet.do(
            "POST",
            "/v1/retrieval-tools/find/search",
            {"query": "one"},
            Magnet_Min_Position=str(folder.magnet.position),
        )
    )["passages"]
    assert [(each["text"], each["document"]["version"]) for each in passages] == [("one", 1)]


def sync_of(folder: Folder, id: str, connector: Any = None) -> Any:
    """Return what carries a sync out here, without the worker."""
    if connector is None:
        connector = FolderConnector(Roots([folder.path.parent], forbidden=[]))
    return carrying_out(folder.magnet.container, id, {"folder": connector})


@pytest.fixture
async def counting(folder: Folder) -> Counting:
    await folder.magnet.container.jobs.close()
    return Counting(FolderConnector(Roots([folder.path.parent], forbidden=[])))


async def read(folder: Folder, id: str) -> Any:
    folder.magnet.position = await folder.magnet.container.log.head()
    return await folder.magnet.get(f"{SOURCE}/syncs/{id}")


async def test_a_sync_that_stopped_in_the_middle_goes_on_where_it_was(folder: Folder, counting: Counting):
    number = 3 * MOST_DOCUMENTS
    folder.write(**{f"f{each}": str(each) for each in range(number)})
    id = await folder.begin()
    counting.hang_after = MOST_DOCUMENTS + 10
    task = asyncio.create_task(sync_of(folder, id, counting)())
    await counting.hanging.wait()
    half = await read(folder, id)
    assert (half["state"], half["progress"]) == ("running", {"done": MOST_DOCUMENTS, "total": number})
    assert half["estimate_seconds"] > 0
    task.cancel()
    await asyncio.wait([task])
    counting.hang_after = None
    await sync_of(folder, id, counting)()
    done = await read(folder, id)
    assert (done["state"], done["counts"]) == ("completed", counts(listed=number, added=number))
    assert len(counting.fetched) == number + 10  # the batch that was under way was fetched again, nothing else
    assert len(await folder.documents()) == number


async def test_a_batch_that_is_done_again_is_counted_once(
    folder: Folder, counting: Counting, monkeypatch: pytest.MonkeyPatch
):
    folder.write(a="one", b="two", c="three")
    counting.failing["b.txt"] = NotFetched("not now")
    id = await folder.begin()
    settle = PostgresSyncItems.settle
    crashes = [Unavailable("the database is away")]

    async def crash(self: PostgresSyncItems, *arguments: Any) -> None:
        if crashes:
            raise crashes.pop()
        await settle(self, *arguments)

    monkeypatch.setattr(PostgresSyncItems, "settle", crash)
    with pytest.raises(Unavailable):
        await sync_of(folder, id, counting)()
    await sync_of(folder, id, counting)()
    done = await read(folder, id)
    assert done["counts"] == counts(listed=3, added=2, failed=1)
    assert [(each["external_id"], each["code"], each["reason"]) for each in done["errors"]] == [
        ("b.txt", "not_fetched", "not now")
    ]


async def test_a_document_that_fails_harms_no_other_and_is_tried_by_the_next_sync(folder: Folder, counting: Counting):
    folder.write(a="one", b="two", c="three", d="four")
    for name in ("b.txt", "c.txt"):
        counting.failing[name] = NotFetched("not now")
    await sync_of(folder, id := await folder.begin(), counting)()
    done = await read(folder, id)
    assert (done["state"], done["counts"]) == ("completed", counts(listed=4, added=2, failed=2))
    first = await folder.magnet.get(f"{SOURCE}/syncs/{id}/errors?limit=1")
    second = await folder.magnet.get(f"{SOURCE}/syncs/{id}/errors?limit=1&cursor={first['next_cursor']}")
    assert {each["external_id"] for each in first["items"] + second["items"]} == {"b.txt", "c.txt"}
    assert second["next_cursor"] is None
    counting.failing.clear()
    counting.fetched.clear()
    await sync_of(folder, id := await folder.begin(), counting)()
    assert (await read(folder, id))["counts"] == counts(listed=4, added=2, unchanged=2)
    assert sorted(counting.fetched) == ["b.txt", "c.txt"]


async def test_a_sync_that_could_take_nothing_at_all_has_failed_and_deletes_nothing(folder: Folder, counting: Counting):
    folder.write(a="one", b="two")
    await sync_of(folder, await folder.begin(), counting)()
    (folder.path / "a.txt").unlink()
    folder.write(b="two, changed")
    counting.failing["b.txt"] = NotFetched("b.txt may not be asked.")
    await sync_of(folder, id := await folder.begin(), counting)()
    failed = await read(folder, id)
    assert (failed["state"], failed["counts"]) == ("failed", counts(listed=1, failed=1))
    assert failed["error"]["code"] == "nothing_taken" and "b.txt may not be asked." in failed["error"]["reason"]
    assert set(await folder.documents()) == {"a.txt", "b.txt"}
    counting.failing.clear()
    await sync_of(folder, id := await folder.begin(), counting)()
    assert (await read(folder, id))["counts"] == counts(listed=1, changed=1, removed=1)


async def test_a_source_that_goes_away_in_the_middle_keeps_what_was_taken_and_deletes_nothing(
    folder: Folder, counting: Counting
):
    folder.write(a="one", b="two")
    await sync_of(folder, await folder.begin(), counting)()
    (folder.path / "a.txt").unlink()
    folder.write(c="three")
    counting.failing["c.txt"] = SourceUnavailable("it went away")
    await sync_of(folder, id := await folder.begin(), counting)()
    failed = await read(folder, id)
    assert (failed["state"], failed["error"]) == ("failed", {"code": "source_unavailable", "reason": "it went away"})
    assert set(await folder.documents()) == {"a.txt", "b.txt"}


async def test_a_folder_that_goes_away_in_the_middle_deletes_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    folder.write(a="one", b="two")
    await folder.sync()
    (folder.path / "a.txt").unlink()
    folder.write(b="two, changed", c="three")
    read, away = FolderConnector._read, folder.path.with_name("away")

    def after_it_went(self: FolderConnector, path: Path, external_id: str) -> Any:
        with suppress(FileNotFoundError):
            folder.path.rename(away)
        return read(self, path, external_id)

    monkeypatch.setattr(FolderConnector, "_read", after_it_went)
    failed = await folder.sync()
    assert failed["error"] == {"code": "source_unavailable", "reason": "The folder is gone."}
    assert set(await folder.documents()) == {"a.txt", "b.txt"}
    monkeypatch.undo()
    away.rename(folder.path)
    assert (await folder.sync())["counts"] == counts(listed=2, added=1, changed=1, removed=1)


async def test_a_cancelled_sync_stops_after_what_is_under_way_and_another_may_begin(folder: Folder, counting: Counting):
    folder.write(**{f"f{each}": str(each) for each in range(2 * MOST_DOCUMENTS)})
    id = await folder.begin()
    counting.hang_after = MOST_DOCUMENTS - 1
    task = asyncio.create_task(sync_of(folder, id, counting)())
    await counting.hanging.wait()
    task.cancel()
    await asyncio.wait([task])
    answer = await folder.magnet.call("POST", f"{SOURCE}/syncs/{id}/cancel")
    assert (answer.status_code, answer.json()["sync"]) == (202, {"id": id, "state": "cancelling"})
    assert (await folder.magnet.call("POST", f"{SOURCE}/sync")).status_code == 409
    counting.hang_after = None
    await sync_of(folder, id, counting)()
    assert (await read(folder, id))["state"] == "cancelled"
    assert await folder.last_synced() is None
    again = await folder.magnet.call("POST", f"{SOURCE}/syncs/{id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "sync_ended")
    await folder.begin()


async def test_a_rebuild_gives_the_same_syncs(folder: Folder):
    folder.write(a="one")
    await folder.sync()
    shutil.rmtree(folder.path)
    await folder.sync()
    administration = folder.magnet.container.administration
    before = {each.name: each.checksum for each in await administration.status()}["syncs_v1"]
    await build_anew(administration, "syncs_v1")
    assert await folder.magnet.container.reached("syncs_v1", folder.magnet.position, PATIENCE)
    assert {each.name: each.checksum for each in await administration.status()}["syncs_v1"] == before


# Refused ----------------------------------------------------------------------


async def test_folders_outside_of_the_allowed_ones_are_not_read(folder: Folder):
    outside = folder.path.parent.parent
    links = folder.path.parent / "link"
    links.symlink_to(outside)
    for number, path in enumerate(
        ("/etc", str(outside), f"{folder.path}/../..", str(links), str(folder.path.parent / "home"))
    ):
        body = {"name": f"s{number}", "type": "folder", "config": {"path": path}}
        refused = await folder.magnet.call("POST", "/v1/knowledge-sources", body)
        assert (refused.status_code, refused.json()["code"]) == (422, "folder_not_allowed"), path
        patch = {"config": {"path": path}}
        refused = await folder.magnet.call("PATCH", SOURCE, patch)
        assert (refused.status_code, refused.json()["code"]) == (422, "folder_not_allowed"), path


@pytest.mark.parametrize("config", [{}, {"path": ""}, {"path": "a", "x": 1}, {"path": "a", "include": 1}])
async def test_a_folder_needs_its_config(folder: Folder, config: dict[str, object]):
    body = {"name": "other", "type": "folder", "config": config}
    refused = await folder.magnet.call("POST", "/v1/knowledge-sources", body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"].startswith("/config/")


async def test_a_source_takes_only_secrets_that_its_connector_asks_for(folder: Folder):
    refused = await folder.magnet.call("PATCH", SOURCE, {"secrets": {"token": "x" * 20}})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_secret")
    assert refused.json()["errors"][0]["pointer"] == "/secrets/token"


async def test_where_documents_are_given_there_is_nothing_to_set(folder: Folder):
    sources, asked = "/v1/knowledge-sources", {"config": {"path": "/a"}}
    await folder.magnet.do("POST", sources, {"name": "given", "type": "files", "config": {}})
    for refused in (
        await folder.magnet.call("POST", sources, {"name": "other", "type": "files", **asked}),
        await folder.magnet.call("PATCH", f"{sources}/given", asked),
    ):
        assert refused.status_code == 422, refused.text
        assert [each["pointer"] for each in refused.json()["errors"]] == ["/config/path"]


async def test_where_documents_are_given_there_are_no_secrets(folder: Folder):
    body = {"name": "given", "type": "files", "secrets": {"token": "x" * 20}}
    refused = await folder.magnet.call("POST", "/v1/knowledge-sources", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_secret")
    assert refused.json()["errors"][0]["pointer"] == "/secrets/token"


async def test_links_that_lead_outside_are_left_out(folder: Folder):
    secret = folder.path.parent / "secret.txt"
    secret.write_text("canary")
    (folder.path / "link.txt").symlink_to(secret)
    (folder.path / "up").symlink_to(folder.path.parent)
    folder.write(a="one")
    done = await folder.sync()
    assert done["counts"] == counts(listed=1, added=1, left_out=2)
    connector = FolderConnector(Roots([folder.path.parent], forbidden=[]))
    for name in ("link.txt", "../secret.txt", str(secret)):
        with pytest.raises(NotFetched):
            await connector.fetch(Place(source=uuid4(), config={"path": str(folder.path)}), name)


async def test_globs_say_what_is_read(folder: Folder):
    folder.write(a="one", b="two", draft_c="three")
    (folder.path / "d.xyz").write_text("four")
    await folder.magnet.do(
        "PATCH", SOURCE, {"config": {"path": str(folder.path), "include": ["*.txt", "*.xyz"], "exclude": ["draft*"]}}
    )
    await folder.sync()
    assert set(await folder.documents()) == {"a.txt", "b.txt", "d.xyz"}


async def test_what_can_not_be_synced_says_why(folder: Folder):
    magnet = folder.magnet
    await magnet.do("POST", "/v1/knowledge-sources", {"name": "files", "type": "files"})
    refused = await magnet.call("POST", "/v1/knowledge-sources/files/sync")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_syncable")
    nobody = "00000000-0000-0000-0000-000000000000"
    for method, path in (
        ("POST", "/v1/knowledge-sources/none/sync"),
        ("GET", "/v1/knowledge-sources/none/syncs"),
        ("GET", f"{SOURCE}/syncs/{nobody}"),
        ("GET", f"{SOURCE}/syncs/{nobody}/errors"),
        ("GET", f"{SOURCE}/syncs/x"),
        ("POST", f"{SOURCE}/syncs/{nobody}/cancel"),
    ):
        assert (await magnet.call(method, path)).status_code == 404, path
    for body in ({"allow_mass_removal": "yes"}, {"x": 1}, {"allow_mass_removal": 1}):
        assert (await magnet.call("POST", f"{SOURCE}/sync", body)).status_code == 422
    for query in ("state=lost", "cursor=x", "limit=0"):
        assert (await magnet.call("GET", f"{SOURCE}/syncs?{query}")).status_code == 422
    stale = await magnet.call("POST", f"{SOURCE}/sync", If_Match='"9"')
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    for config in ({}, {"path": 1}, {"path": "x", "y": 1}):
        body = {"name": "wrong", "type": "folder", "config": config}
        assert (await magnet.call("POST", "/v1/knowledge-sources", body)).status_code == 422
    await magnet.do("DELETE", SOURCE)
    refused = await magnet.call("POST", f"{SOURCE}/sync")
    assert (refused.status_code, refused.json()["code"]) == (409, "archived")


async def test_a_type_that_nothing_serves_and_a_schedule_where_nothing_is_fetched_are_refused(folder: Folder):
    for more, code, pointer in (
        ({"type": "nope"}, "unknown_type", "/type"),
        ({"type": "files", "schedule": "0 3 * * *"}, "not_syncable", "/schedule"),
    ):
        refused = await folder.magnet.call("POST", "/v1/knowledge-sources", {"name": "other", **more})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]


async def test_a_file_that_is_empty_when_it_is_looked_at_stays_as_it_was_and_is_told(folder: Folder):
    folder.write(a="one", b="two", never="")
    assert (await folder.sync())["counts"] == counts(listed=2, added=2, left_out=1)
    folder.write(a="")
    emptied = await folder.sync()
    assert (emptied["state"], emptied["counts"]) == ("completed", counts(listed=2, unchanged=1, failed=1, left_out=2))
    assert await folder.documents() == {"a.txt": 1, "b.txt": 1}
    folder.write(a="other")
    assert (await folder.sync())["counts"] == counts(listed=2, changed=1, unchanged=1, left_out=1)
