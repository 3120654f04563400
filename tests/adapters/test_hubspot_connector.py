"""HubSpot: all of each kind, what modules and properties say, what is not for everybody, and answers that are none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.connectors.hubspot import HubSpotConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import GivenDocument, NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.asked_connectors import listed, place_of
from tests.support.site import Answer, Asked, site
from tests.support.worlds.hubspot import HubSpotWorld, page_of

KNOWLEDGE = "/cms/knowledge-base/2027-03-beta/articles"


@pytest.fixture
async def world() -> AsyncIterator[HubSpotWorld]:
    async with site() as made:
        yield HubSpotWorld(made)


@pytest.fixture
async def hubspot(world: HubSpotWorld) -> AsyncIterator[HubSpotConnector]:
    web = Web(Egress([world.allow]))
    yield HubSpotConnector(web)
    await web.close()


@pytest.fixture
def place(world: HubSpotWorld) -> Place:
    return place_of(world.config, world.secrets)


def set_to(world: HubSpotWorld, **settings: Any) -> Place:
    """Return a place with other settings than the world's."""
    return place_of({"url": world.site.url, "requests_per_second": 1000, **settings}, world.secrets)


async def given(hubspot: HubSpotConnector, world: HubSpotWorld, kind: str, item: Any) -> GivenDocument:
    """Return what is made of one item."""
    world.answer = lambda _: Answer(body=item)
    of_crm = [{"type": kind, "text": ["content", "notes"], "properties": ["hs_pipeline"]}]
    chosen = {"objects": of_crm} if kind == "tickets" else {"content": [kind]}
    return await hubspot.fetch(set_to(world, **chosen), f"{kind}/7")


async def test_each_kind_is_followed_to_its_last_page(hubspot: HubSpotConnector, world: HubSpotWorld, place: Place):
    for name in "abcdefghijk":
        await world.put(name, name)
    assert await listed(hubspot, place) == {
        world.external_id(name): "2026-01-01T00:01:00.000Z" for name in "abcdefghijk"
    }
    assert [asked.query.get("after") for asked in world.site.asked] == [None, "2", "4", None, "2", "4"]
    assert {asked.query["limit"] for asked in world.site.asked} == {"100"}


async def test_what_is_archived_or_not_published_is_left_out(hubspot: HubSpotConnector, world: HubSpotWorld):
    posts = [
        {"id": "1", "currentlyPublished": True, "updated": "u1"},
        {"id": "2", "currentlyPublished": False, "state": "PUBLISHED", "updated": "u2"},
        {"id": "3", "state": "PUBLISHED", "updatedAt": "u3"},
        {"id": "4", "state": "DRAFT"},
        {"id": "5", "state": "PUBLISHED", "archived": True},
        {"id": 6, "state": "PUBLISHED_OR_SCHEDULED"},
    ]
    world.answer = lambda asked: page_of(posts, asked.query.get("after"))
    place = set_to(world, content=["landing_pages"])
    assert await listed(hubspot, place) == {
        "landing_pages/1": "u1", "landing_pages/3": "u3", "landing_pages/6": None, "": "3"
    }  # fmt: skip
    place = set_to(world, content=["landing_pages"], drafts=True)
    assert [*await listed(hubspot, place)] == [
        "landing_pages/1", "landing_pages/2", "landing_pages/3", "landing_pages/4", "", "landing_pages/6"
    ]  # fmt: skip
    with pytest.raises(NotFetched, match="archived"):
        await given(hubspot, world, "landing_pages", posts[4])


async def test_a_post_is_its_body_with_what_is_told_of_it(hubspot: HubSpotConnector, world: HubSpotWorld):
    post = await given(hubspot, world, "blog_posts", {
        "id": "7", "name": "Internal", "htmlTitle": "Two\nlines", "postBody": "<p>Words</p>", "url": "https://a.example/b",
        "tagIds": [1], "authorName": "Ann", "updated": "2026", "password": "", "widgets": {"x": {"body": {"html": "<p>no</p>"}}},
        "publicAccessRulesEnabled": False,
    })  # fmt: skip
    assert (post.title, post.url, post.media_type) == ("Two lines", "https://a.example/b", "text/html")
    assert (post.content, post.acl) == (b"<p>Words</p>", None)
    assert post.metadata == {
        "kind": "blog_posts", "name": "Internal", "tagIds": [1], "authorName": "Ann", "updated": "2026"
    }  # fmt: skip


@pytest.mark.parametrize("more", [{"password": "canary"}, {"publicAccessRulesEnabled": True}])
async def test_what_is_not_for_everybody_is_for_admins_only(
    hubspot: HubSpotConnector, world: HubSpotWorld, more: dict[str, Any]
):
    page = await given(hubspot, world, "site_pages", {"id": "7", "name": "x", **more})
    assert page.acl == []
    assert "canary" not in str(page)


async def test_a_page_is_what_its_modules_say_in_their_order(hubspot: HubSpotConnector, world: HubSpotWorld):
    def module(**params: Any) -> dict[str, Any]:
        return {"type": "custom_widget", "params": {"css_class": "dnd", "path": "@hubspot/rich_text", **params}}

    sections = {"dnd_area": {
        "label": "Main section", "cells": [], "cssClass": "<b>no</b>", "rowMetaData": [{"cssClass": "title"}],
        "rows": [
            {"10": module(html="<p>right</p>"), "2": module(heading="Left & first", style={"text": "<i>no</i>"})},
            {"0": {"rows": [{"0": module(items=[{"question": "Why?", "answer": "So\nit is"}, {"count": 3}])}]}},
        ],
    }}  # fmt: skip
    widgets = {
        "logo": {"body": {"src": "https://a/b.png", "alt": "A logo"}},
        "again": {"body": {"html": "<p>right</p>"}},
    }
    page = await given(
        hubspot, world, "site_pages", {"id": "7", "name": "Home", "layoutSections": sections, "widgets": widgets}
    )
    assert page.content.decode().split("\n") == [
        "<h2>Left &amp; first</h2>", "<p>right</p>", "<h2>Why?</h2>", "<p>So<br>it is</p>",
        "<p>A logo</p>",
    ]  # fmt: skip


async def test_a_page_that_says_nothing_says_its_title(hubspot: HubSpotConnector, world: HubSpotWorld):
    page = await given(
        hubspot, world, "site_pages", {"id": "7", "name": "<Home>", "layoutSections": {}, "widgets": None}
    )
    assert page.content == b"<h1>&lt;Home&gt;</h1>"


async def test_knowledge_articles_are_had_from_their_own_place(hubspot: HubSpotConnector, world: HubSpotWorld):
    article = {
        "id": "7",
        "title": "How to",
        "body": "<p>Thus</p>",
        "state": "PUBLISHED",
        "updatedAt": "u",
        "language": "en",
    }

    def answer(asked: Asked) -> Answer:
        if asked.path == KNOWLEDGE:
            return page_of([article], None)
        assert asked.path == f"{KNOWLEDGE}/7"
        return Answer(body=article)

    world.answer = answer
    place = set_to(world, content=["knowledge_articles"])
    assert await listed(hubspot, place) == {"knowledge_articles/7": "u"}
    found = await hubspot.fetch(place, "knowledge_articles/7")
    assert (found.title, found.content, found.metadata["language"]) == ("How to", b"<p>Thus</p>", "en")


async def test_an_object_is_the_properties_chosen_as_its_text(hubspot: HubSpotConnector, world: HubSpotWorld):
    properties = {
        "subject": "It <broke>",
        "content": "a < b\nc",
        "notes": "<p>html</p>",
        "hs_pipeline": "0",
        "other": "x",
    }
    ticket = await given(
        hubspot, world, "tickets", {"id": "7", "properties": properties, "updatedAt": "u", "archived": False}
    )
    assert ticket.title == "It <broke>"
    assert ticket.content.decode().split("\n") == [
        "<h1>It &lt;broke&gt;</h1>", "<h2>content</h2>", "<p>a &lt; b<br>c</p>", "<h2>notes</h2>", "<p>html</p>"
    ]  # fmt: skip
    assert ticket.metadata == {
        "kind": "tickets", "createdAt": None, "updatedAt": "u",
        "properties": {"subject": "It <broke>", "hs_pipeline": "0"},
    }  # fmt: skip
    [asked] = world.site.asked
    assert asked.query == {"properties": "content,notes,subject,hs_pipeline"}
    empty = await given(hubspot, world, "tickets", {"id": "7", "properties": {"content": None}})
    assert (empty.title, empty.content) == ("tickets 7", b"<h1>tickets 7</h1>")


def nested(depth: int) -> Any:
    value: Any = "<p>deep</p>"
    for _ in range(depth):
        value = {"params": value}
    return value


@pytest.mark.parametrize("item", [
    None, [], "x", {}, {"name": "no id"}, {"id": "7", "layoutSections": nested(500)},
])  # fmt: skip
async def test_what_is_no_document_is_not_made_one(hubspot: HubSpotConnector, world: HubSpotWorld, item: Any):
    with pytest.raises(NotFetched):
        await given(hubspot, world, "site_pages", item)


@pytest.mark.parametrize("item", [
    {"id": 7, "name": 7, "postBody": 7, "url": "javascript:x", "widgets": [None, 7, {"html": None}], "tagIds": {}},
    {"id": "7", "name": None, "htmlTitle": ["x"], "layoutSections": "x", "password": None},
    {"id": "7", "properties": []},
])  # fmt: skip
async def test_fields_of_wrong_types_are_as_if_they_were_not_there(
    hubspot: HubSpotConnector, world: HubSpotWorld, item: Any
):
    for kind in ("blog_posts", "tickets"):
        found = await given(hubspot, world, kind, item)
        assert found.title in ("blog_posts/7", "tickets 7")
        assert (found.url, found.acl) == (None, None)


@pytest.mark.parametrize("answer", [
    [], {}, {"results": None}, {"results": [{}]}, {"results": [None]}, {"results": [{"id": []}]},
    {"results": [], "paging": {"next": {"after": "again"}}},
])  # fmt: skip
async def test_lists_of_wrong_types_and_in_circles_are_no_lists(
    hubspot: HubSpotConnector, world: HubSpotWorld, place: Place, answer: Any
):
    world.answer = lambda _: Answer(body=answer)
    with pytest.raises(SourceUnavailable):
        await listed(hubspot, place)


async def test_a_kind_that_may_not_be_read_is_told_and_none_is_taken_for_empty(
    hubspot: HubSpotConnector, world: HubSpotWorld, place: Place
):
    world.answer = lambda asked: page_of([], None) if "posts" in asked.path else Answer(status=403)
    with pytest.raises(SourceUnavailable, match="tickets answered 403"):
        await listed(hubspot, place)
    with pytest.raises(NotFetched, match="no such kind"):
        await hubspot.fetch(place, "contacts/1")


@pytest.mark.parametrize("config", [
    {}, {"content": []}, {"content": ["emails"]}, {"content": ["blog_posts", "blog_posts"]},
    {"objects": [{"type": "a/b", "text": ["x"]}]}, {"objects": [{"type": "a", "text": []}]},
    {"objects": [{"type": "a", "text": ["x&y"]}]}, {"content": ["blog_posts"], "url": "https://a/?b"},
    {"content": ["blog_posts"], "objects": [{"type": "blog_posts", "text": ["x"]}]},
])  # fmt: skip
def test_settings_that_can_not_be_right_are_refused(config: dict[str, Any]):
    with pytest.raises(Invalid):
        HubSpotConnector(Web(Egress())).check(config)
