"""Confluence: all of both its interfaces' lists, macros as text, who may read what, and what hostile answers come to."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from adapters.connectors import web as requests
from adapters.connectors.confluence import ConfluenceConnector
from adapters.connectors.confluence_storage import html_of
from adapters.connectors.web import Web
from adapters.egress import Egress
from adapters.reading.html import read_html
from commands.knowledge.connectors import Listed, NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.site import Answer, site
from tests.support.worlds.confluence import CloudWorld, ConfluenceWorld, DataCenterWorld, Thing


@pytest.fixture(params=[CloudWorld, DataCenterWorld], ids=["cloud", "data_center"])
async def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConfluenceWorld]:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    async with site() as made:
        yield request.param(made)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CloudWorld]:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    async with site() as made:
        yield CloudWorld(made)


class Reading:
    """A connector on a world."""

    opened: ClassVar[list[Web]] = []

    def __init__(self, world: ConfluenceWorld, **config: Any) -> None:
        web = Web(Egress([world.site.place]))
        self.opened.append(web)
        self.connector = ConfluenceConnector(web)
        self.place = Place(source=uuid4(), config={**world.config, **config}, secrets=world.secrets)

    async def versions(self) -> dict[str, str | None]:
        return {each.external_id: each.version for each in await self.all() if each is not None}

    async def all(self) -> list[Listed | None]:
        return [each async for each in self.connector.list(self.place)]

    async def fetch(self, external_id: str) -> Any:
        return await self.connector.fetch(self.place, external_id)

    async def acl(self, external_id: str) -> Any:
        self.connector.end(self.place)
        return (await self.fetch(external_id)).acl


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    while Reading.opened:
        await Reading.opened.pop().close()


async def test_lists_are_walked_to_their_ends(world: ConfluenceWorld):
    for number in range(7):
        await world.put(f"p{number}", "text")
    world.add(Thing("31", "News", "<p>new</p>", kind="blogpost"))
    for number in range(5):
        world.add(Thing(f"att{number}", f"notes{number}.txt", "noted", kind="attachment", on="1001"))
    world.add(Thing("att9", "of-news.txt", "noted", kind="attachment", on="31"))
    world.add(Thing("att10", "cat.png", "", kind="attachment", on="31", media_type="image/png"))
    pages = {f"page/{1001 + number}" for number in range(7)}
    attached = {f"attachment/att{number}" for number in (0, 1, 2, 3, 4)}
    assert set(await Reading(world).versions()) == pages
    assert set(await Reading(world, blog_posts=True).versions()) == pages | {"blogpost/31"}
    assert set(await Reading(world, attachments=True).versions()) == pages | attached
    everything = Reading(world, blog_posts=True, attachments=True, spaces=[])
    assert set(await everything.versions()) == pages | attached | {"blogpost/31", "attachment/att9"}
    assert (await everything.all()).count(None) == 1, "a picture is left out"


async def test_a_page_comes_with_its_labels_space_ancestors_and_link(world: ConfluenceWorld):
    world.add(Thing("10", "Handbook"))
    world.add(Thing("11", "Holidays", parent="10"))
    world.add(Thing("12", "Leave & <rest>", "<p>30 days</p>", parent="11", labels=["hr", "a", "b"], version=4))
    page = await Reading(world).fetch("page/12")
    assert (page.title, page.media_type, page.acl) == ("Leave & <rest>", "text/html", None)
    assert read_html(page.content).text == "Leave & <rest>\n\n30 days"
    assert page.url.startswith(f"{world.site.url}{world.wiki}/")
    assert {**page.metadata, "changed_at": page.metadata["changed_at"][:10]} == {
        "type": "page", "space": "DOC", "labels": ["hr", "a", "b"], "ancestors": ["Handbook", "Holidays"],
        "version": "4", "changed_at": "2026-05-01",
    }  # fmt: skip


async def test_an_attachment_comes_with_the_page_it_is_attached_to(world: ConfluenceWorld):
    world.add(Thing("10", "Handbook", groups=["staff"]))
    world.add(Thing("att1", "plan.txt", "The plan.", kind="attachment", on="10"))
    attachment = await Reading(world).fetch("attachment/att1")
    assert (attachment.title, attachment.content, attachment.acl) == ("plan.txt", b"The plan.", ["staff"])
    assert attachment.media_type == "text/plain"
    assert attachment.metadata["attached_to"] == "Handbook"


async def test_who_may_read_is_told_by_the_page_and_all_that_it_stands_below(world: ConfluenceWorld):
    world.add(Thing("10", "Open"))
    world.add(Thing("11", "Staff", parent="10", groups=["staff", "board", "hr", "it", "law"], users=["u1", "u2", "u3"]))
    world.add(Thing("12", "Below", parent="11"))
    world.add(Thing("13", "Narrower", parent="12", groups=["board", "guests"]))
    world.add(Thing("14", "Persons", users=["u1"]))
    world.add(Thing("15", "Nobody", parent="13", groups=["guests"]))
    reading = Reading(world)
    assert await reading.acl("page/10") is None
    assert await reading.acl("page/11") == await reading.acl("page/12") == ["board", "hr", "it", "law", "staff"]
    assert await reading.acl("page/13") == ["board"]
    assert await reading.acl("page/14") == await reading.acl("page/15") == []
    assert await Reading(world, permissions=False).acl("page/14") is None


async def test_another_restriction_or_place_makes_another_version(world: ConfluenceWorld):
    world.add(Thing("10", "Top"))
    world.add(Thing("11", "Page", parent="10"))
    world.add(Thing("12", "Other"))
    reading = Reading(world)
    before = await reading.versions()
    assert await reading.versions() == before
    world.things["10"].groups = ["board"]
    restricted = await reading.versions()
    assert {id for id in before if before[id] != restricted[id]} == {"page/10", "page/11"}
    world.things["11"].parent = "12"
    moved = await reading.versions()
    assert {id for id in before if moved[id] != restricted[id]} == {"page/11"}


@pytest.mark.parametrize(
    "body",
    [{}, {"restrictions": None}, {"restrictions": {"group": {"results": []}}}, [], "x",
     {"restrictions": {"group": {"results": [{"id": "1"}]}, "user": {"results": []}}},
     {"restrictions": {"group": {"results": ["staff"]}, "user": {"results": []}}}],
)  # fmt: skip
async def test_a_page_is_not_taken_where_nobody_tells_who_may_read_it(world: ConfluenceWorld, body: Any):
    world.add(Thing("10", "Page", "<p>secret</p>"))
    usual = world.answer
    world.answer = lambda asked: Answer(body=body) if "restriction" in asked.path else usual(asked)  # type: ignore[method-assign]
    reading = Reading(world)
    assert await reading.versions() == {"page/10": "1-unknown"}
    with pytest.raises(NotFetched, match="may read it"):
        await reading.fetch("page/10")


@pytest.mark.parametrize("status", [403, 404])
async def test_restrictions_that_are_refused_are_no_freedom(world: ConfluenceWorld, status: int):
    world.add(Thing("10", "Page"))
    usual = world.answer
    world.answer = lambda asked: Answer(status=status) if "restriction" in asked.path else usual(asked)  # type: ignore[method-assign]
    with pytest.raises(NotFetched, match=f"answered {status}") as told:
        await Reading(world).fetch("page/10")
    assert told.value.error_code != "gone", "the page itself is there"
    assert (await Reading(world, permissions=False).fetch("page/10")).acl is None


async def test_folders_are_ancestors_too_and_one_that_is_hidden_hides_what_is_below(cloud: CloudWorld):
    cloud.add(Thing("20", "Folder", kind="folder", groups=["staff"]))
    cloud.add(Thing("21", "Page", parent="20"))
    page = await Reading(cloud).fetch("page/21")
    assert (page.acl, page.metadata["ancestors"]) == (["staff"], ["Folder"])
    usual = cloud.answer
    cloud.answer = lambda asked: Answer(status=404) if "folders" in asked.path else usual(asked)  # type: ignore[method-assign]
    with pytest.raises(NotFetched, match="can't be seen"):
        await Reading(cloud).fetch("page/21")
    assert (await Reading(cloud, permissions=False).fetch("page/21")).metadata["ancestors"] == [""]


async def test_pages_that_stand_below_each_other_are_told_and_harm_no_other(cloud: CloudWorld):
    cloud.add(Thing("20", "One", parent="21"))
    cloud.add(Thing("21", "Two", parent="20"))
    cloud.add(Thing("22", "Three"))
    reading = Reading(cloud)
    assert {id for id, version in (await reading.versions()).items() if version == "1-unknown"} == {
        "page/20",
        "page/21",
    }
    with pytest.raises(NotFetched, match="circle"):
        await reading.fetch("page/20")
    assert (await reading.fetch("page/22")).title == "Three"


async def test_a_space_that_is_not_there_is_told_before_anything_is_taken_away(world: ConfluenceWorld):
    with pytest.raises(SourceUnavailable, match="GONE"):
        await Reading(world, spaces=["DOC", "GONE"]).versions()


@pytest.mark.parametrize(
    "body",
    [
        {}, {"results": None}, {"results": {}}, {"results": ["x"]}, {"results": [{}]}, [], None,
        {"results": [{"id": True, "version": {"number": 1}}]},
        {"results": [{"id": "1", "version": {}}]},
        {"results": [], "_links": {"next": "/rest?start=0&x=1"}},
        {"results": [], "_links": {"next": "https://evil.example/"}},
    ],
)  # fmt: skip
async def test_a_list_in_another_shape_is_not_taken_for_all_there_is(world: ConfluenceWorld, body: Any):
    usual = world.answer
    lists = ("/api/v2/pages", "/rest/api/content")
    world.answer = lambda asked: Answer(body=body) if asked.path.endswith(lists) else usual(asked)  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable):
        await Reading(world).versions()


async def test_a_list_that_goes_round_in_a_circle_ends(world: ConfluenceWorld):
    usual = world.answer
    body = {"results": [], "_links": {"next": "/x?cursor=again&start=100"}}
    lists = ("/api/v2/pages", "/rest/api/content")
    world.answer = lambda asked: Answer(body=body) if asked.path.endswith(lists) else usual(asked)  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="next"):
        await Reading(world).versions()


@pytest.mark.parametrize("id", ["1\x002", "../../admin", "a/b", "", "ü", "1" * 65])
async def test_ids_that_are_none_are_left_out_and_never_asked_for(world: ConfluenceWorld, id: str):
    usual = world.answer
    body = {"results": [{"id": id or " ", "title": "x", "version": {"number": 1}, "ancestors": []}]}
    lists = ("/api/v2/pages", "/rest/api/content")
    world.answer = lambda asked: Answer(body=body) if asked.path.endswith(lists) else usual(asked)  # type: ignore[method-assign]
    reading = Reading(world)
    assert await reading.all() == [None]
    asked = len(world.site.asked)
    with pytest.raises(NotFetched, match="no id"):
        await reading.fetch(f"page/{id}")
    assert len(world.site.asked) == asked


async def test_what_is_no_address_is_refused():
    with pytest.raises(Invalid) as refused:
        ConfluenceConnector(Web(Egress())).check({"url": "file:///etc"})
    assert refused.value.errors[0].pointer == "/config/url"


async def test_every_address_of_cloud_leads_to_its_wiki(cloud: CloudWorld):
    await cloud.put("a", "text")
    for url in (cloud.site.url, f"{cloud.site.url}/", f"{cloud.site.url}/wiki", f"{cloud.site.url}/wiki/"):
        assert set(await Reading(cloud, url=url).versions()) == {"page/1001"}


def macro(name: str, body: str = "", **parameters: str) -> str:
    given = "".join(f'<ac:parameter ac:name="{key}">{value}</ac:parameter>' for key, value in parameters.items())
    return f'<ac:structured-macro ac:name="{name}" ac:schema-version="1">{given}{body}</ac:structured-macro>'


def code(text: str) -> str:
    return f"<ac:plain-text-body><![CDATA[{text}]]></ac:plain-text-body>"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("<p>a&nbsp;b &amp; c &ouml; &unknown;</p>", "a b & c ö &unknown;"),
        (macro("code", code("if a < b && c:\n    x = '&nbsp;'"), language="python"), "if a < b && c:\n    x = '&nbsp;'"),
        (macro("info", "<ac:rich-text-body><p>Mind <b>this</b></p></ac:rich-text-body>", title="Note"), "Note\n\nMind this"),
        (f"<p>It is {macro('status', title='DONE', colour='Green')} by <time datetime='2026-01-02'/>.</p>", "It is DONE by 2026-01-02."),
        (f"<p>See {macro('jira', server='x', key='ABC-1')} {macro('toc', maxLevel='2')}there</p>", "See ABC-1 there"),
        ('<p>a <ac:link><ri:page ri:content-title="The Page"/></ac:link> z</p>', "a The Page z"),
        ('<p>a <ac:link><ri:page ri:content-title="P"/><ac:link-body>these <i>words</i></ac:link-body></ac:link> z</p>', "a these words z"),
        ('<p>a <ac:link><ri:user ri:account-id="557"/></ac:link> z</p>', "a z"),
        (("<ac:task-list><ac:task><ac:task-id>1</ac:task-id><ac:task-status>complete</ac:task-status>"
         "<ac:task-body>milk</ac:task-body></ac:task></ac:task-list>"), "- [x] milk"),
        ('<ac:image ac:alt="a cat"><ri:attachment ri:filename="c.png"/></ac:image>', "a cat"),
        (("<ac:layout><ac:layout-section><ac:layout-cell><p>left</p></ac:layout-cell>"
         "<ac:layout-cell><p>right</p></ac:layout-cell></ac:layout-section></ac:layout>"), "left\n\nright"),
        ('<p>x<ac:emoticon ac:name="smile" ac:emoji-fallback="😀"/>y <ac:placeholder>type here</ac:placeholder>z</p>', "x😀y z"),
        (("<ac:adf-extension><ac:adf-node><ac:adf-content><p>p</p></ac:adf-content></ac:adf-node>"
         "<ac:adf-fallback><p>p</p></ac:adf-fallback></ac:adf-extension>"), "p"),
        (macro("expand", f"<ac:rich-text-body>{macro('code', code('deep'))}<p>q</p></ac:rich-text-body>", title="More"), "More\n\ndeep\n\nq"),
        ("<script>alert(1)</script><p>x</p>", "x"),
        ("", ""),
    ],
)  # fmt: skip
def test_macros_links_and_layouts_become_their_text(stored: str, text: str):
    assert read_html(html_of("T", stored)).text == f"T\n\n{text}".strip()


@pytest.mark.parametrize(
    "stored",
    ["<p>", "</root>", '<!DOCTYPE x [<!ENTITY a "b">]><p>&a;</p>', "<p>\x00</p>", "<x:y/>" * 2 + "<"],
)
def test_what_is_no_storage_format_is_told(stored: str):
    with pytest.raises(NotFetched, match="no XML"):
        html_of("T", stored)


def test_a_page_that_is_nested_very_deep_is_turned_all_the_same():
    deep = "<div>" * 1000 + "core" + "</div>" * 1000
    assert "core" in read_html(html_of("T", deep)).text
