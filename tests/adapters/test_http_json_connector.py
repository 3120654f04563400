"""Lists of items in JSON: pages by cursors, numbers and links; texts in the list or had alone; what is told of wrong answers."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from adapters.connectors import web as requests
from adapters.connectors.http_json import HttpJsonConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.site import Answer, Asked, Site, site

ITEMS = [{"id": number, "title": f"t{number}", "body": f"text {number}"} for number in range(5)]


@pytest.fixture
async def there() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


@pytest.fixture
async def connector(there: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpJsonConnector]:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    web = Web(Egress([there.place]))
    yield HttpJsonConnector(web)
    await web.close()


def place_of(there: Site, **config: Any) -> Place:
    return Place(source=uuid4(), config={"url": f"{there.url}/items", "title": "title", "text": "body", **config})


async def ids(connector: HttpJsonConnector, place: Place) -> list[str]:
    return [each.external_id async for each in connector.list(place) if each is not None]


def by_number(asked: Asked) -> Answer:
    first = 2 * (int(asked.query["page"]) - 1)
    return Answer(body=ITEMS[first : first + 2])


def by_link(asked: Asked) -> Answer:
    after = int(asked.query.get("after", 0))
    links = {"Link": f'</items>; rel="first", </items?after={after + 2}>; rel="next"'} if after < 4 else {}
    return Answer(body=ITEMS[after : after + 2], headers=links)


def by_address(asked: Asked) -> Answer:
    after = int(asked.query.get("after", 0))
    return Answer(body={"found": ITEMS[after : after + 2], "more": f"/items?after={after + 2}" if after < 4 else None})


@pytest.mark.parametrize(("answers", "config"), [
    (by_number, {"page_parameter": "page"}), (by_link, {}), (by_address, {"items": "found", "next": "more"}),
])  # fmt: skip
async def test_pages_are_walked_to_the_last(
    connector: HttpJsonConnector, there: Site, answers: Callable[[Asked], Answer], config: dict[str, Any]
):
    there.answers = answers
    assert await ids(connector, place_of(there, **config)) == ["0", "1", "2", "3", "4"]


async def test_items_of_the_list_are_fetched_without_asking_again(connector: HttpJsonConnector, there: Site):
    there.answers = by_link
    place = place_of(there)
    await ids(connector, place)
    there.asked.clear()
    given = await connector.fetch(place, "3")
    assert (given.title, given.content, given.media_type) == ("t3", b"text 3", "text/plain")
    assert given.metadata == {"id": 3, "title": "t3"}
    assert there.asked == []
    with pytest.raises(NotFetched, match="no longer"):
        await connector.fetch(place, "9")


async def test_a_trial_beside_a_sync_takes_nothing_from_it(connector: HttpJsonConnector, there: Site):
    there.answers = by_link
    sync = place_of(there)
    trial = Place(source=sync.source, config=sync.config)
    listing = connector.list(sync)
    assert await anext(listing) is not None
    tried = connector.list(trial)
    assert await anext(tried) is not None
    await tried.aclose()  # type: ignore[attr-defined]
    connector.end(trial)
    assert len([each async for each in listing]) == 4
    for number in range(5):
        assert (await connector.fetch(sync, str(number))).content == f"text {number}".encode()


async def test_a_sync_that_goes_on_elsewhere_lists_once_more(connector: HttpJsonConnector, there: Site):
    there.answers = by_link
    place = place_of(there)
    assert (await connector.fetch(place, "4")).content == b"text 4"
    asked = len(there.asked)
    assert (await connector.fetch(place, "1")).content == b"text 1"
    assert len(there.asked) == asked == 3


async def test_items_of_a_list_that_breaks_off_when_it_is_listed_once_more_are_not_gone(
    connector: HttpJsonConnector, there: Site
):
    def breaking_off(asked: Asked) -> Answer:
        if "after" in asked.query:
            return Answer(status=302, headers={"Location": asked.target})
        return by_link(asked)

    there.answers = breaking_off
    place = place_of(there)
    for id in ("0", "3"):
        with pytest.raises(SourceUnavailable) as told:
            await connector.fetch(place, id)
        assert told.value.error_code == "too_many_redirects"


@pytest.mark.parametrize(("answer", "config"), [
    (Answer(body=b"<html>"), {}), (Answer(body={"items": []}), {}), (Answer(body=[{"name": "x"}]), {}),
    (Answer(body=[{"id": None}]), {}), (Answer(body=[{"id": {}}]), {}), (Answer(body=[], headers={"Link": '</items>; rel="next"'}), {}),
    (Answer(body={"i": [], "n": "http://["}), {"items": "i", "next": "n"}),
    (Answer(body=[{"id": 1}], headers={"Link": "<http://[>; rel=next"}), {}), (Answer(status=404), {}),
])  # fmt: skip
async def test_an_answer_that_is_no_list_lists_nothing_at_all(
    connector: HttpJsonConnector, there: Site, answer: Answer, config: dict[str, Any]
):
    there.answers = lambda _: answer
    with pytest.raises(SourceUnavailable):
        await ids(connector, place_of(there, **config))


async def test_headers_and_secrets_go_to_where_the_list_is_and_nowhere_else(connector: HttpJsonConnector, there: Site):
    async with site(lambda asked: Answer(body=[])) as other:
        there.answers = lambda asked: Answer(body=[], headers={"Link": f'<{other.url}/more>; rel="next"'})
        web = Web(Egress([there.place, other.place]))
        place = Place(
            source=uuid4(),
            config={"url": f"{there.url}/items", "headers": {"X-Tenant": "a"}},
            secrets={"token": "canary"},
        )
        assert await ids(HttpJsonConnector(web), place) == []
        await web.close()
        [first], [second] = there.asked, other.asked
        assert (first.headers["x-tenant"], first.headers["authorization"]) == ("a", "Bearer canary")
        assert {"x-tenant", "authorization"} & second.headers.keys() == set()


@pytest.mark.parametrize("config", [
    {"headers": {"Authorization": "x"}}, {"headers": {"cookie": "x"}}, {"headers": {"Host": "x"}}, {"headers": {"a b": "x"}},
    {"headers": {"A": "x\n"}}, {"url": "x"}, {"item_url": "http://other.example/{id}"}, {"first_page": 2}, {"media_type": "x"},
])  # fmt: skip
async def test_settings_that_can_not_be_right_are_refused(connector: HttpJsonConnector, config: dict[str, Any]):
    with pytest.raises(Invalid):
        connector.check({"url": "http://example.com/items", **config})
