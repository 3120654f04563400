"""Who may read a document where it comes from may find it here, as of the next sync, and nobody else."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from adapters.connectors import web
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.site import site
from tests.support.synced import SOURCE, SyncedSource
from tests.support.worlds import SiteWorld
from tests.support.worlds.confluence import CloudWorld, ConfluenceWorld, DataCenterWorld
from tests.support.worlds.sharepoint import SharePointWorld, granted


@pytest.fixture(params=[CloudWorld, DataCenterWorld, SharePointWorld], ids=["cloud", "data-center", "sharepoint"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[SiteWorld]:
    async with site() as made:
        yield request.param(made)


@pytest.fixture
async def source(
    world: SiteWorld, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SyncedSource]:
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.001)
    async with serving(database, tmp_path / "home", MAGNET_EGRESS_ALLOW=world.allow) as magnet:
        body = {"name": "docs", "type": world.type, "config": world.config, "secrets": dict(world.secrets)}
        await magnet.do("POST", "/v1/knowledge-sources", body)
        await magnet.do("POST", "/v1/retrieval-tools", {"name": "docs", "sources": ["docs"], "mode": "lexical"})
        yield SyncedSource(magnet=magnet)


def let_read(world: SiteWorld, name: str, groups: Sequence[str]) -> None:
    """Let only these groups read a document where it is."""
    if isinstance(world, ConfluenceWorld):
        world.things[world.ids[name]].groups = list(groups)
        world.things[world.ids[name]].users = ["u1"]
    else:
        assert isinstance(world, SharePointWorld)
        world.things[world.ids[name]].permissions = [granted(group=each) for each in groups]


async def keys_of(source: SyncedSource, *groups: str) -> list[str]:
    """Return a key for each group; from now on all else is done with an administrator's."""
    magnet = source.magnet
    admin = await magnet.do("POST", "/v1/api-keys", {"name": "admin", "roles": ["admin"]})
    magnet.client.headers["X-API-Key"] = admin["key"]
    made = [
        await magnet.do("POST", "/v1/api-keys", {"name": each, "roles": ["user"], "groups": [each]}) for each in groups
    ]
    return [each["key"] for each in made]


async def found(source: SyncedSource, key: str) -> int:
    """Return how many passages somebody finds."""
    path, body = "/v1/retrieval-tools/docs/search", {"query": "planword"}
    return len((await source.magnet.do("POST", path, body, X_API_Key=key))["passages"])


async def test_a_restriction_holds_from_the_next_sync_on_although_the_content_is_the_same(
    source: SyncedSource, world: SiteWorld
):
    keys = await keys_of(source, "staff", "board", "guests")
    await world.put("plan", "The planword stands here.")
    let_read(world, "plan", ["staff", "board"])
    assert (await source.sync())["counts"]["added"] == 1
    assert [await found(source, each) for each in keys] == [1, 1, 0]

    let_read(world, "plan", ["board"])
    assert (await source.sync())["state"] == "completed"
    assert [await found(source, each) for each in keys] == [0, 1, 0]

    let_read(world, "plan", [])
    assert (await source.sync())["state"] == "completed"
    assert [await found(source, each) for each in keys] == [0, 0, 0]

    let_read(world, "plan", ["guests"])
    assert (await source.sync())["state"] == "completed"
    assert [await found(source, each) for each in keys] == [0, 0, 1]
    assert len(await source.documents()) == 1


async def test_a_trial_shows_no_sample_to_who_may_not_find_it(source: SyncedSource, world: SiteWorld):
    await world.put("plan", "The planword stands here.")
    let_read(world, "plan", ["board"])
    magnet = source.magnet
    admin = await magnet.do("POST", "/v1/api-keys", {"name": "admin", "roles": ["admin"]})
    magnet.client.headers["X-API-Key"] = admin["key"]
    samples = {}
    for group in ("board", "staff"):
        key = await magnet.do("POST", "/v1/api-keys", {"name": group, "roles": ["operator"], "groups": [group]})
        told = await magnet.do("POST", f"{SOURCE}/test", X_API_Key=key["key"])
        samples[group] = (told["sample"] is None, told["proposed_metadata"] == {})
    assert samples == {"board": (False, False), "staff": (True, True)}
