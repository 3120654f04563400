"""Salesforce: all records by one query, articles by their lasting id, sessions that end, and answers that are none."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.connectors.salesforce import SalesforceConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.asked_connectors import listed, place_of
from tests.support.site import Answer, Asked, site
from tests.support.worlds.salesforce import CLIENT, QUERY, TOKEN, SalesforceWorld, page_of, refused

SETTINGS = {"url": "https://example.my.salesforce.com", "client_id": CLIENT}


@pytest.fixture
async def world() -> AsyncIterator[SalesforceWorld]:
    async with site() as made:
        yield SalesforceWorld(made)


@pytest.fixture
async def salesforce(world: SalesforceWorld) -> AsyncIterator[SalesforceConnector]:
    web = Web(Egress([world.allow]))
    yield SalesforceConnector(web)
    await web.close()


@pytest.fixture
def place(world: SalesforceWorld) -> Place:
    return place_of(world.config, world.secrets)


def answering(world: SalesforceWorld, answer: Any) -> None:
    """Let each query be answered so; `answer` is what is told, or a function of what is asked."""
    usual = world.answer

    def answers(asked: Asked) -> Answer:
        if asked.path == TOKEN:
            return usual(asked)
        told = answer(asked) if callable(answer) else answer
        return told if isinstance(told, Answer) else Answer(body=told)

    world.answer = answers


async def test_a_query_is_followed_to_its_last_page(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place
):
    for name in "abcde":
        await world.put(name, name)
    assert await listed(salesforce, place) == dict.fromkeys(world.ids.values(), "2026-01-01T00:00:01.000+0000")
    token, first, *others = world.site.asked
    assert (token.path, first.path) == (TOKEN, QUERY)
    assert first.query["q"] == "SELECT Id, SystemModstamp FROM Case WHERE IsClosed = false ORDER BY Id"
    assert [asked.path for asked in others] == [f"{QUERY}/01gRO0000016PIAYA2-{start}" for start in (2, 4)]


async def test_what_changed_just_now_has_no_version_yet(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place
):
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    answering(world, {"totalSize": 1, "done": True, "records": [{"Id": "1", "SystemModstamp": moment}]})
    assert await listed(salesforce, place) == {"1": None}


async def test_a_record_is_its_text_with_all_other_fields_as_metadata(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place
):
    await world.put("alpha", "a < b\nc")
    found = await salesforce.fetch(place, world.ids["alpha"])
    assert (found.title, found.media_type, found.acl) == ("About alpha", "text/html", None)
    assert found.content.decode() == "<h1>About alpha</h1>\n<p>a &lt; b<br>c</p>"
    assert found.url == f"{world.site.url}/lightning/r/Case/{world.ids['alpha']}/view"
    assert found.metadata["object"] == "Case"
    assert found.metadata["fields"] == {
        "Id": world.ids["alpha"], "Subject": "About alpha", "Owner": {"Name": "Ann"},
        "SystemModstamp": "2026-01-01T00:00:01.000+0000",
    }  # fmt: skip
    assert world.site.asked[-1].query["q"] == (
        f"SELECT Id, Subject, Description, Owner.Name FROM Case WHERE Id = '{world.ids['alpha']}' LIMIT 1"
    )
    with pytest.raises(NotFetched, match="no longer there"):
        await salesforce.fetch(place, "500' OR Name != '")
    assert world.site.asked[-1].query["q"].endswith(r"WHERE Id = '500\' OR Name != \'' LIMIT 1")


@pytest.mark.parametrize("answer", [Answer(status=404), {}, {"records": None}, {"records": [7]}])
async def test_an_answer_that_tells_nothing_of_a_record_does_not_say_that_it_is_gone(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place, answer: Any
):
    await world.put("alpha", "a")
    answering(world, answer)
    with pytest.raises(NotFetched) as told:
        await salesforce.fetch(place, world.ids["alpha"])
    assert told.value.error_code == "not_fetched"


@pytest.mark.parametrize(("languages", "which"), [
    ([], ""), (["en_US"], " AND Language = 'en_US'"), (["en_US", "de"], " AND Language IN ('en_US', 'de')"),
])  # fmt: skip
async def test_articles_are_told_apart_by_what_stays_when_a_new_version_is_published(
    salesforce: SalesforceConnector, world: SalesforceWorld, languages: list[str], which: str
):
    article = {
        "attributes": {"type": "Knowledge__kav", "url": "/services/data/v62.0/sobjects/Knowledge__kav/ka0"},
        "Id": "ka0", "KnowledgeArticleId": "kA0", "Language": "en_US", "Title": "How to", "Summary": "Short",
        "Answer__c": "<p>Thus</p>", "SystemModstamp": "2026-01-01T00:00:00.000+0000", "UrlName": "how-to",
    }  # fmt: skip
    answering(world, {"totalSize": 1, "done": True, "records": [article]})
    config = {**SETTINGS, "url": world.site.url, "articles": {"languages": languages}, "text": ["Summary", "Answer__c"]}
    place = place_of(config, world.secrets)
    assert await listed(salesforce, place) == {"kA0/en_US": "2026-01-01T00:00:00.000+0000"}
    assert world.site.asked[-1].query["q"] == (
        f"SELECT KnowledgeArticleId, Language, SystemModstamp FROM Knowledge__kav WHERE PublishStatus = 'Online'{which}"
    )
    found = await salesforce.fetch(place, "kA0/en_US")
    assert world.site.asked[-1].query["q"] == (
        "SELECT Id, KnowledgeArticleId, ArticleNumber, Title, Summary, UrlName, Language, LastPublishedDate, "
        "SystemModstamp, Answer__c FROM Knowledge__kav WHERE PublishStatus = 'Online' AND KnowledgeArticleId = 'kA0' "
        "AND Language = 'en_US' LIMIT 1"
    )
    assert found.content.decode() == (
        "<h1>How to</h1>\n<h2>Summary</h2>\n<p>Short</p>\n<h2>Answer__c</h2>\n<p>Thus</p>"
    )
    assert found.url == f"{world.site.url}/lightning/r/Knowledge__kav/ka0/view"


async def test_articles_need_no_fields_to_be_named(salesforce: SalesforceConnector, world: SalesforceWorld):
    answering(
        world, {"records": [{"Summary": "Short", "Title": "T", "Nested": {"records": [{"attributes": {}, "A": 1}]}}]}
    )
    config = {**SETTINGS, "url": world.site.url, "articles": {}}
    salesforce.check(config)
    found = await salesforce.fetch(place_of(config, world.secrets), "kA0/de")
    assert found.content.decode() == "<h1>T</h1>\n<p>Short</p>"
    assert found.metadata == {"object": "", "fields": {"Title": "T", "Nested": [{"A": 1}]}}


async def test_a_session_that_ended_is_begun_anew_once(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place
):
    await world.put("alpha", "text")
    await listed(salesforce, place)
    world.session = 7  # of the sessions that were begun none is known any more
    assert list(await listed(salesforce, place)) == [world.ids["alpha"]]
    assert [asked.path for asked in world.site.asked] == [TOKEN, QUERY, QUERY, TOKEN, QUERY]
    answering(world, lambda _: refused(401, "INVALID_SESSION_ID"))
    del world.site.asked[:]
    with pytest.raises(SourceUnavailable) as ended:
        await listed(salesforce, place)
    assert ended.value.error_code == "credentials_refused"
    assert [asked.path for asked in world.site.asked] == [QUERY, TOKEN, QUERY]


async def test_limits_and_queries_that_are_refused_are_told(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place
):
    answering(world, lambda _: refused(400, "INVALID_FIELD"))
    with pytest.raises(SourceUnavailable, match=r"answered 400.*INVALID_FIELD"):
        await listed(salesforce, place)
    with pytest.raises(NotFetched, match="INVALID_FIELD"):
        await salesforce.fetch(place, "5001")
    answering(world, lambda _: refused(403, "REQUEST_LIMIT_EXCEEDED"))
    with pytest.raises(SourceUnavailable, match="as often as it allows"):
        await salesforce.fetch(place, "5001")
    world.site.next = [Answer(status=400, body={"error": "invalid_client_id"})]
    with pytest.raises(SourceUnavailable, match="invalid_client_id"):
        await listed(salesforce, place_of({**world.config, "client_id": "other"}, world.secrets))


async def test_the_token_goes_nowhere_else(salesforce: SalesforceConnector, world: SalesforceWorld, place: Place):
    async with site() as other:
        for next in (f"{other.url}{QUERY}/x", f"//{other.place}/x", "http://[x", "ftp://x/"):
            answering(world, {"totalSize": 9, "done": False, "nextRecordsUrl": next, "records": []})
            with pytest.raises(SourceUnavailable, match="another address"):
                await listed(salesforce, place)
        assert other.asked == []


@pytest.mark.parametrize("told", [
    [], {}, None, {"done": True}, {"done": True, "records": {}}, {"done": True, "records": [{}]},
    {"done": True, "records": [None]}, {"done": True, "records": [{"Id": True}]}, {"done": False, "records": []},
    {"done": "yes", "records": []}, {"done": False, "records": [], "nextRecordsUrl": f"{QUERY}/again"},
    {"done": True, "totalSize": 2, "records": [{"Id": "1"}]}, {"done": False, "records": [], "nextRecordsUrl": 7},
])  # fmt: skip
async def test_lists_of_wrong_types_in_circles_and_in_part_are_no_lists(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place, told: Any
):
    answering(world, told)
    with pytest.raises(SourceUnavailable):
        await listed(salesforce, place)


@pytest.mark.parametrize(
    "told", [[], {}, None, {"records": {}}, {"records": []}, {"records": [None]}, {"records": ["x"]}]
)
async def test_what_is_no_record_is_no_document(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place, told: Any
):
    answering(world, told)
    with pytest.raises(NotFetched):
        await salesforce.fetch(place, "5001")


@pytest.mark.parametrize("record", [
    {}, {"attributes": 7, "Id": 7, "Subject": ["x"], "Description": 7}, {"attributes": {"type": None, "url": 7}},
])  # fmt: skip
async def test_fields_of_wrong_types_are_as_if_they_were_not_there(
    salesforce: SalesforceConnector, world: SalesforceWorld, place: Place, record: Any
):
    answering(world, page_of([record], 0))
    found = await salesforce.fetch(place, "5001")
    assert (found.title, found.url, found.content) == ("5001", None, b"<h1>5001</h1>")


@pytest.mark.parametrize("more", [
    {}, {"articles": {}, "soql": "SELECT Id FROM Case"}, {"soql": "SELECT Id FROM Case"},
    {"soql": "SELECT Id FROM Case", "text": ["Description"]}, {"soql": "DELETE FROM Case", "text": ["Id"]},
    {"articles": {}, "url": "https://a/?b"}, {"articles": {"object": "a b"}}, {"articles": {"languages": ["x'"]}},
    {"articles": {}, "api_version": "../1"}, {"articles": {}, "text": ["a, b"]}, {"articles": {}, "version": "a b"},
    {"articles": {}, "client_id": "a\r\nb"},
])  # fmt: skip
def test_settings_that_can_not_be_right_are_refused(more: dict[str, Any]):
    with pytest.raises(Invalid):
        SalesforceConnector(Web(Egress())).check({**SETTINGS, **more})


def test_settings_that_are_right_are_taken():
    SalesforceConnector(Web(Egress())).check(
        {**SETTINGS, "soql": "SELECT Subject, Account.Name FROM Case c", "text": ["Subject", "Account.Name"]}
    )
