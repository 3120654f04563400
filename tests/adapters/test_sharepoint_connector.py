"""SharePoint: libraries to the end of all folders, tokens, downloads from elsewhere, who may read what, hostile answers."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from adapters.connectors import web as requests
from adapters.connectors.sharepoint import SharePointConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import Listed, NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.site import Answer, Asked, site
from tests.support.worlds import CANARY
from tests.support.worlds.sharepoint import SharePointWorld, Thing, granted


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SharePointWorld]:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    async with site() as made:
        yield SharePointWorld(made)


class Reading:
    """A connector on a world."""

    opened: ClassVar[list[Web]] = []

    def __init__(self, world: SharePointWorld, *allowed: str, **config: Any) -> None:
        web = Web(Egress([world.site.place, *allowed]))
        self.opened.append(web)
        self.connector = SharePointConnector(web)
        self.place = Place(source=uuid4(), config={**world.config, **config}, secrets=world.secrets)

    async def versions(self) -> dict[str, str | None]:
        return {each.external_id: each.version for each in await self.all() if each is not None and each.wanted}

    async def all(self) -> list[Listed | None]:
        return [each async for each in self.connector.list(self.place)]

    async def fetch(self, external_id: str) -> Any:
        return await self.connector.fetch(self.place, external_id)


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    while Reading.opened:
        await Reading.opened.pop().close()


def answering(world: SharePointWorld, part: str, answer: Answer) -> None:
    """Let what is asked for by paths with this end be answered so."""
    usual = world.answer
    world.answer = lambda asked: answer if asked.path.endswith(part) else usual(asked)  # type: ignore[method-assign]


def asked_for(world: SharePointWorld, part: str) -> list[Asked]:
    return [each for each in world.site.asked if part in each.path]


async def test_all_files_of_all_folders_of_all_libraries_are_listed(world: SharePointWorld):
    world.drives |= {"b!hr": "HR", "b!it": "IT"}
    world.add(Thing("f1", "Plans"), Thing("f2", "2026 50%", parent="f1"))
    world.add(*(Thing(f"d{number}", f"n{number}.md", b"x", parent="f2") for number in range(5)))
    world.add(Thing("h1", "h.txt", b"x", drive="b!hr"), Thing("i1", "i.txt", b"x", drive="b!it"))
    everything = {*(f"b!docs/d{number}" for number in range(5)), "b!hr/h1", "b!it/i1"}
    assert set(await Reading(world).versions()) == everything
    assert set(await Reading(world, drives=["HR"]).versions()) == {"b!hr/h1"}
    with pytest.raises(SourceUnavailable, match="no document library 'Sales'"):
        await Reading(world, drives=["HR", "Sales"]).versions()


async def test_patterns_are_those_of_paths_and_what_can_not_be_read_is_left_out(world: SharePointWorld):
    world.add(Thing("f1", "Plans"), Thing("a", "a.txt", b"x", parent="f1"), Thing("b", "b.txt", b"x"))
    world.add(
        Thing("c", "c.png", b"x"), Thing("e", "empty.txt", b""), Thing("x", "gone.txt", b"x", more={"deleted": {}})
    )
    world.add(Thing("n", "Notebook", more={"package": {"type": "oneNote"}}))
    reading = Reading(world)
    assert set(await reading.versions()) == {"b!docs/a", "b!docs/b"}
    assert sum(each is None or not each.wanted for each in await reading.all()) == 3
    assert set(await Reading(world, include=["Plans/*"]).versions()) == {"b!docs/a"}
    assert set(await Reading(world, exclude=["Plans/*"]).versions()) == {"b!docs/b"}


async def test_what_a_list_tells_twice_is_as_it_tells_last(world: SharePointWorld):
    world.add(Thing("a", "a.txt", b"x"), Thing("b", "b.txt", b"x"))
    first, second = (world.shown(world.things[id]) for id in ("a", "b"))
    told = [first, second, {"id": "a", "deleted": {"state": "deleted"}}]
    answering(world, "/delta", Answer(body={"value": told, "@odata.deltaLink": "https://x"}))
    assert set(await Reading(world).versions()) == {"b!docs/b"}


async def test_a_file_comes_with_its_place_and_link(world: SharePointWorld):
    world.add(
        Thing("f1", "Plans & more"), Thing("f2", "50%20", parent="f1"), Thing("a", "a b.txt", b"The plan.", parent="f2")
    )
    file = await Reading(world).fetch("b!docs/a")
    assert (file.title, file.content, file.media_type) == ("a b.txt", b"The plan.", "")
    assert file.url == "https://contoso.sharepoint.com/sites/Team/a%20b.txt"
    assert file.metadata == {
        "site": "contoso.sharepoint.com:/sites/Team", "drive": "Documents", "path": "Plans & more/50%20/a b.txt", "size": 9,
        "created_at": "2026-01-01T00:00:00Z", "changed_at": "2026-05-01T10:00:00Z", "changed_by": "Robin",
    }  # fmt: skip


async def test_no_token_goes_along_to_where_a_download_leads(world: SharePointWorld):
    world.add(Thing("a", "a.txt", b"x"))
    async with site(lambda asked: Answer(body=b"from elsewhere")) as elsewhere:
        world.elsewhere = elsewhere.url
        file = await Reading(world, elsewhere.place).fetch("b!docs/a")
        assert file.content == b"from elsewhere"
        [asked] = elsewhere.asked
        assert "authorization" not in asked.headers
    assert CANARY not in repr(file)


async def test_a_token_is_had_once_and_anew_when_it_is_refused(world: SharePointWorld):
    world.add(*(Thing(f"d{number}", f"d{number}.txt", b"x") for number in range(9)))
    reading = Reading(world)
    await reading.versions()
    await reading.fetch("b!docs/d1")
    assert len(asked_for(world, "/oauth2/")) == 1
    world.tokens += 1
    assert (await reading.fetch("b!docs/d2")).title == "d2.txt"
    assert len(await reading.versions()) == 9
    assert len(asked_for(world, "/oauth2/")) == 2


async def test_a_secret_that_is_refused_is_told_without_it(world: SharePointWorld):
    answering(
        world, "/token", Answer(status=401, body={"error": "invalid_client", "error_description": f"not {CANARY}"})
    )
    with pytest.raises(SourceUnavailable, match="invalid_client") as refused:
        await Reading(world).versions()
    assert refused.value.error_code == "credentials_refused"
    assert CANARY not in str(refused.value)


async def test_who_asks_too_often_waits_as_long_as_is_asked_for(world: SharePointWorld):
    await world.put("a", "x")
    world.site.next = [
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=503, headers={"Retry-After": "0"}),
    ]
    assert set(await Reading(world).versions()) == {"b!docs/01ITEM0"}


LINK = {"scope": "users", "type": "view", "webUrl": f"https://contoso.sharepoint.com/:w:/s/{CANARY}"}
ROBIN = {
    "user": {"id": "1", "displayName": "Robin"},
    "siteUser": {"displayName": "Robin", "loginName": "i:0#.f|membership|robin"},
}
EVERYONE = {"siteUser": {"displayName": "Everyone", "loginName": "c:0-.f|rolemanager|spo-grid-all-users/1"}}


@pytest.mark.parametrize(
    ("permissions", "acl"),
    [
        ([granted(group="Staff"), granted(siteGroup="Members"), granted(group="Staff")], ["Members", "Staff"]),
        ([{"roles": ["write"], "grantedToV2": ROBIN}], []),
        ([], []),
        ([{"roles": ["read"], "grantedToV2": EVERYONE}], ["Everyone"]),
        ([{"roles": ["read"], "link": LINK, "grantedToIdentitiesV2": [ROBIN, {"group": {"displayName": "Guests"}}]}], ["Guests"]),
        ([{"roles": ["read"], "link": {**LINK, "scope": "organization"}}], []),
        ([{"roles": ["read"], "link": {**LINK, "scope": "anonymous"}}], []),
        ([granted(group="Staff") | {"roles": []}], []),
        ([granted(group="Staff") | {"roles": ["sp.limited access"]}], []),
        ([granted(group="Staff") | {"expirationDateTime": "2020-01-01T00:00:00Z"}], []),
        ([granted(group="Staff") | {"expirationDateTime": "9999-01-01T00:00:00Z"}], ["Staff"]),
        ([granted(group="Staff") | {"expirationDateTime": "0001-01-01T00:00:00Z"}], ["Staff"]),
        ([granted(group="Staff") | {"expirationDateTime": "soon"}], []),
        ([{"roles": "read", "grantedToV2": []}, {"roles": ["read"], "grantedToV2": {"group": "Staff"}}, "x", None], []),
    ],
)  # fmt: skip
async def test_the_groups_that_may_read_may_find_it(world: SharePointWorld, permissions: list[Any], acl: list[str]):
    world.add(Thing("a", "a.txt", b"x", permissions=permissions))
    assert (await Reading(world).fetch("b!docs/a")).acl == acl
    assert (await Reading(world, permissions=False).fetch("b!docs/a")).acl is None


async def test_another_permission_name_or_folder_makes_another_version(world: SharePointWorld):
    world.add(Thing("f1", "Plans"), Thing("a", "a.txt", b"x", parent="f1"), Thing("b", "b.txt", b"x"))
    reading = Reading(world)
    seen = [await reading.versions()]
    assert await reading.versions() == seen[0]
    world.things["a"].permissions = [granted(group="Board")]
    seen.append(await reading.versions())
    world.things["f1"].name = "Old plans"
    seen.append(await reading.versions())
    world.things["a"].changes += 1
    seen.append(await reading.versions())
    assert len({each["b!docs/a"] for each in seen}) == 4
    assert len({each["b!docs/b"] for each in seen}) == 1


@pytest.mark.parametrize(
    "answer", [Answer(status=403), Answer(body={}), Answer(body={"value": None}), Answer(status=404)]
)
async def test_a_file_is_not_taken_where_nobody_tells_who_may_read_it(world: SharePointWorld, answer: Answer):
    world.add(Thing("a", "a.txt", b"secret"))
    answering(world, "/permissions", answer)
    reading = Reading(world)
    assert await reading.versions() == {"b!docs/a": None}
    with pytest.raises(NotFetched) as told:
        await reading.fetch("b!docs/a")
    assert told.value.error_code != "gone", "the file itself is there"
    assert asked_for(world, "/content") == []


@pytest.mark.parametrize(
    "body",
    [
        {}, [], None, "x", {"value": []}, {"value": {}}, {"value": [{}]}, {"value": [{"id": True}]}, {"value": ["x"]},
        {"value": [], "@odata.nextLink": "https://evil.example/v1.0/next"},
        {"value": [], "@odata.nextLink": "/relative"},
        {"value": [], "@odata.nextLink": 7},
    ],
)  # fmt: skip
async def test_a_list_in_another_shape_is_not_taken_for_all_there_is(world: SharePointWorld, body: Any):
    answering(world, "/delta", Answer(body=body))
    with pytest.raises(SourceUnavailable):
        await Reading(world).versions()


async def test_a_list_that_goes_round_in_a_circle_ends(world: SharePointWorld):
    body = {"value": [], "@odata.nextLink": f"{world.site.url}/v1.0/drives/b!docs/root/delta"}
    answering(world, "/delta", Answer(body=body))
    with pytest.raises(SourceUnavailable, match="read already"):
        await Reading(world).versions()


async def test_folders_that_lie_in_each_other_are_told(world: SharePointWorld):
    world.add(Thing("f1", "One", parent="f2"), Thing("f2", "Two", parent="f1"), Thing("a", "a.txt", b"x", parent="f1"))
    with pytest.raises(SourceUnavailable, match="lie in each other"):
        await Reading(world).versions()


@pytest.mark.parametrize("id", ["a\x00b", "../../me", "..", "ü", "x" * 301, "a b"])
async def test_ids_that_are_none_are_left_out_and_never_asked_for(world: SharePointWorld, id: str):
    shown = world.shown(Thing("a", "a.txt", b"x")) | {"id": id}
    answering(world, "/delta", Answer(body={"value": [shown], "@odata.deltaLink": "https://x"}))
    reading = Reading(world)
    assert await reading.all() == [None]
    asked = len(world.site.asked)
    with pytest.raises(NotFetched, match="no id"):
        await reading.fetch(f"b!docs/{id}")
    assert len(world.site.asked) == asked


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({}, "not_fetched"),
        ([], "not_fetched"),
        ({"id": "a", "folder": {}}, "not_fetched"),
        ({"id": "a", "file": {}, "deleted": {}}, "gone"),
    ],
)
async def test_what_is_no_file_is_told_and_is_gone_only_where_it_was_deleted(
    world: SharePointWorld, item: Any, code: str
):
    answering(world, "/items/a", Answer(body=item))
    with pytest.raises(NotFetched) as told:
        await Reading(world).fetch("b!docs/a")
    assert told.value.error_code == code


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"url": "graph.microsoft.com"}, "/config/url"),
        ({"login_url": "file:///etc"}, "/config/login_url"),
        ({"tenant": "a/../b"}, "/config/tenant"),
        ({"site": "https://contoso.sharepoint.com/sites/x"}, "/config/site"),
    ],
)
async def test_settings_that_can_not_be_right_are_refused(world: SharePointWorld, config: dict[str, Any], pointer: str):
    with pytest.raises(Invalid) as refused:
        Reading(world).connector.check({**world.config, **config})
    assert refused.value.errors[0].pointer == pointer
