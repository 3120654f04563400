"""Every connector: what is new, changed, renamed and gone is taken over; whatever goes wrong loses and doubles nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.connectors import web
from api.connectors import connectors_of
from commands.knowledge import syncing
from commands.knowledge.syncing import FETCHED_AT_ONCE
from tests.api.test_secrets import assert_nowhere, dumped
from tests.support.connector_worlds import WORLDS, Make
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.synced import SOURCE, Counting, SyncedSource, carrying_out, counts
from tests.support.worlds import GuardedWorld, SiteWorld, World


@pytest.fixture(params=WORLDS.values(), ids=WORLDS)
async def world(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> AsyncIterator[World]:
    make: Make = request.param
    async with make(tmp_path, database) as made:
        yield made


@pytest.fixture
async def source(
    world: World, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SyncedSource]:
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.001)
    async with serving(
        database, tmp_path / "home", MAGNET_EGRESS_ALLOW=world.allow, MAGNET_FOLDERS=str(tmp_path),
        MAGNET_PLUGINS=world.plugins,
    ) as magnet:  # fmt: skip
        body = {"name": "docs", "type": world.type, "config": world.config, "secrets": dict(world.secrets)}
        made = await magnet.call("POST", "/v1/knowledge-sources", body)
        assert made.status_code == 201, made.text
        await magnet.do("POST", "/v1/retrieval-tools", {"name": "docs", "sources": ["docs"], "mode": "lexical"})
        yield SyncedSource(magnet=magnet)


async def found(source: SyncedSource, world: World, *names: str) -> dict[str, list[str]]:
    """Return by name, for documents `<word> text`, what is found of each: each once."""
    passages: dict[str, list[str]] = {}
    for name in names:
        answer = await source.magnet.do("POST", "/v1/retrieval-tools/docs/search", {"query": f"{name}word"})
        passages[name] = [
            each["document"]["external_id"] for each in answer["passages"] if f"{name}word" in each["text"]
        ]
    return passages


def only(world: World, *names: str) -> dict[str, list[str]]:
    return {name: [world.external_id(name)] for name in names}


async def test_what_is_new_changed_renamed_and_gone_is_taken_over(
    source: SyncedSource, world: World, database: Database
):
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        await world.put(name, f"{name}word stands here.")
    first = await source.sync()
    assert (first["state"], first["counts"]) == ("completed", counts(listed=5, added=5, left_out=world.left_out)), first
    names = ("alpha", "beta", "gamma", "delta", "epsilon")
    assert await found(source, world, *names) == only(world, *names)

    before = await source.documents()
    unchanged = await source.sync()
    assert (unchanged["state"], unchanged["counts"]) == (
        "completed",
        counts(listed=5, unchanged=5, left_out=world.left_out),
    )
    assert await source.documents() == before

    await world.put("alpha", "omegaword stands here now.")
    await world.remove("beta")
    await world.remove("gamma")
    await world.put("zeta", "gammaword stands here.")
    second = await source.sync()
    assert second["state"] == "completed", second
    assert second["counts"] == counts(listed=4, added=1, changed=1, removed=2, unchanged=2, left_out=world.left_out)
    assert set(await source.documents()) == {world.external_id(each) for each in ("alpha", "delta", "epsilon", "zeta")}
    assert await found(source, world, "alpha", "omega", "beta") == {
        "alpha": [], "omega": [world.external_id("alpha")], "beta": []
    }  # fmt: skip
    assert (await found(source, world, "gamma"))["gamma"] == [world.external_id("zeta")]

    if isinstance(world, SiteWorld) and world.renames:
        ids = set(await source.documents())
        await world.rename("delta", "Otherwise")
        renamed = await source.sync()
        assert (renamed["state"], renamed["progress"]["total"]) == ("completed", 1), renamed
        items = (await source.magnet.get(f"{SOURCE}/documents"))["items"]
        assert {each["external_id"] for each in items} == ids
        [title] = [each["title"] for each in items if each["external_id"] == world.external_id("delta")]
        assert title.removesuffix(".txt") == "Otherwise"
        assert await found(source, world, "delta") == only(world, "delta")

    shown = await source.magnet.get(SOURCE)
    assert {name: each["set"] for name, each in shown.get("secrets", {}).items()} == dict.fromkeys(world.secrets, True)
    for table, rows in dumped(database).items():
        assert_nowhere(rows, table, *world.secrets.values())


async def test_whatever_goes_wrong_loses_and_doubles_nothing(source: SyncedSource, world: World):
    names = [f"n{number:02}" for number in range(FETCHED_AT_ONCE + 4)]
    for name in names:
        await world.put(name, f"{name}word stands here.")
    ids = {world.external_id(name) for name in names}

    if isinstance(world, GuardedWorld):
        world.refusing = True
        refused = await source.sync()
        assert (refused["state"], refused["error"]["code"]) == ("failed", "credentials_refused"), refused
        world.refusing = False
        world.throttle(3)
        world.broken = {names[3]} if world.breakable else set()

    first = await source.sync()
    broken = {world.external_id(each) for each in world.broken} if isinstance(world, GuardedWorld) else set()
    assert first["state"] == "completed", first
    assert first["counts"]["failed"] == len(broken), first
    assert set(await source.documents()) == ids - broken
    if isinstance(world, GuardedWorld):
        world.broken = set()
        assert (await source.sync())["counts"]["added"] == len(broken)

    await world.leave()
    away = await source.sync()
    assert away["state"] == "failed", away
    assert away["error"]["reason"]
    assert set(await source.documents()) == ids
    await world.come_back()

    for name in names:
        await world.put(name, f"new{name}word stands here.")
    if isinstance(world, GuardedWorld):
        world.expire(after=3)
        expired = await source.sync()
        assert (expired["state"], expired["error"]["code"]) == ("failed", "credentials_refused"), expired
        assert set(await source.documents()) == ids
        world.lets_in = None
    await world.leave(after=3)
    half = await source.sync()
    assert half["state"] == "failed", half
    assert set(await source.documents()) == ids
    await world.come_back()
    done = await source.sync()
    assert done["state"] == "completed", done
    assert set(await source.documents()) == ids
    changed = [f"new{name}" for name in names]
    assert await found(source, world, *changed) == {
        new: [world.external_id(name)] for new, name in zip(changed, names, strict=True)
    }
    log: Any = await source.magnet.get("/v1/events?type=document.removed")
    assert log["items"] == []


async def test_a_sync_that_is_killed_in_the_middle_goes_on_in_another_process(
    source: SyncedSource, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(syncing, "MOST_DOCUMENTS", FETCHED_AT_ONCE)
    container = source.magnet.container
    await container.jobs.close()
    names = [f"n{number:02}" for number in range(FETCHED_AT_ONCE + 4)]
    for name in names:
        await world.put(name, f"{name}word stands here.")
    id = await source.begin()
    async with connectors_of(container.settings) as first:
        doomed = Counting(first.connectors[world.type])
        doomed.hang_after = FETCHED_AT_ONCE + 2
        killed = asyncio.create_task(carrying_out(container, id, {world.type: doomed})())
        await doomed.hanging.wait()
        killed.cancel()
        await asyncio.wait([killed])
    async with connectors_of(container.settings) as second:
        other = Counting(second.connectors[world.type])
        await carrying_out(container, id, {world.type: other})()
    assert len(other.fetched) == 4, "what was settled is not fetched again"
    source.magnet.position = await container.log.head()
    done = await source.magnet.get(f"{SOURCE}/syncs/{id}")
    assert (done["state"], done["counts"]) == (
        "completed",
        counts(listed=len(names), added=len(names), left_out=world.left_out),
    ), done
    assert await source.documents() == {world.external_id(name): 1 for name in names}
    log: Any = await source.magnet.get("/v1/events?type=document.version_added&limit=500")
    assert len(log["items"]) == len(names)


async def test_a_source_is_tried_out_before_it_is_synced(source: SyncedSource, world: World):
    await world.put("alpha", "alphaword stands here.")
    tried = await source.magnet.do("POST", f"{SOURCE}/test")
    assert tried["ok"] is True
    assert tried["documents"] == [world.external_id("alpha")]
    assert tried["sample"]["external_id"] == world.external_id("alpha")
    assert tried["sample"]["bytes"] > 0
    assert await source.documents() == {}
    proposed = tried["proposed_metadata"]
    await source.magnet.do("PATCH", SOURCE, {"metadata": proposed})
    await world.leave()
    away = await source.magnet.call("POST", f"{SOURCE}/test")
    assert (away.status_code, away.json()["code"]) == (502, "source_unavailable"), away.text
    assert away.json()["detail"]
    if isinstance(world, GuardedWorld):
        await world.come_back()
        world.refusing = True
        refused = await source.magnet.call("POST", f"{SOURCE}/test")
        assert (refused.status_code, refused.json()["code"]) == (502, "credentials_refused")


async def test_an_address_that_is_not_allowed_is_not_asked(world: World, database: Database, tmp_path: Path):
    if not world.allow:
        return
    async with serving(database, tmp_path / "home", MAGNET_FOLDERS=str(tmp_path)) as magnet:
        body = {"name": "docs", "type": world.type, "config": world.config, "secrets": dict(world.secrets)}
        made = await magnet.call("POST", "/v1/knowledge-sources", body)
        assert made.status_code == 201, made.text
        tried = await magnet.call("POST", f"{SOURCE}/test")
        assert (tried.status_code, tried.json()["code"]) == (409, "address_refused"), tried.text
        refused = await SyncedSource(magnet=magnet).sync()
        assert (refused["state"], refused["error"]["code"]) == ("failed", "address_refused"), refused
        if isinstance(world, SiteWorld):
            assert world.site.asked == []
