"""Each request of each connector, answered wrongly: a list is whole or refused, and nothing but the source's own word takes a document away."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

import orjson
import pytest

from adapters.connectors import web
from adapters.connectors.confluence import ConfluenceConnector
from adapters.connectors.http_json import HttpJsonConnector
from adapters.connectors.hubspot import HubSpotConnector
from adapters.connectors.notion import NotionConnector
from adapters.connectors.pace import Pace
from adapters.connectors.roots import Roots
from adapters.connectors.salesforce import SalesforceConnector
from adapters.connectors.sharepoint import SharePointConnector
from adapters.connectors.sql import SqlConnector
from adapters.connectors.url import UrlConnector
from adapters.connectors.vector_store import VectorStoreConnector
from adapters.egress import Egress
from commands.knowledge.connectors import Connector, GivenDocument, NotFetched, Place, SourceUnavailable
from tests.support.site import Answer, Asked, Site
from tests.support.worlds import SiteWorld
from tests.support.worlds.confluence import CloudWorld, DataCenterWorld
from tests.support.worlds.http_json import HttpJsonWorld
from tests.support.worlds.hubspot import HubSpotWorld
from tests.support.worlds.notion import NotionWorld
from tests.support.worlds.salesforce import SalesforceWorld
from tests.support.worlds.sharepoint import SharePointWorld
from tests.support.worlds.url import CrawlWorld, UrlWorld
from tests.support.worlds.vector_store import ChromaWorld, QdrantWorld

HTML = {"Content-Type": "text/html"}
LOGIN = b"<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Who are you?</form></body></html>"
FAULTS: Mapping[str, Answer] = {
    "401": Answer(status=401),
    "403": Answer(status=403, body={"message": "Forbidden"}),
    "404 of a proxy": Answer(status=404, body=b"<html><body>nginx</body></html>", headers=HTML),
    "404 of a gateway": Answer(status=404, body={"message": "no Route matched with those values"}),
    "410 of a proxy": Answer(status=410, body=b"<html><body>gone</body></html>", headers=HTML),
    "429": Answer(status=429),
    "500": Answer(status=500),
    "302 to a login": Answer(status=302, headers={"Location": "/login"}),
    "a login": Answer(body=LOGIN, headers=HTML),
    "a login in XHTML": Answer(body=LOGIN.removeprefix(b"<!DOCTYPE html>"), headers=HTML),
    "nothing": Answer(),
    "204": Answer(status=204),
    "{}": Answer(body={}),
    "[]": Answer(body=[]),
    "null": Answer(body=None),
    "an error": Answer(body={"error": {"code": 500, "message": "Internal error"}, "status": "error", "ok": False}),
    "JSON that ends in the middle": Answer(
        body=b'{"results": [{"id": "1"}, ', headers={"Content-Type": "application/json"}
    ),
}


class DirectWeb(web.Web):
    """Asks a world without a network; everything above the sending is as it is."""

    def __init__(self, site: Site) -> None:
        super().__init__(Egress(["127.0.0.0/8"]), pause=no_pause)
        self._site = site

    async def _send(self, url: str, headers: Mapping[str, str], ask: web.Ask) -> web.Answer:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        asked = Asked(
            method=ask.verb,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers.items()},
            body=ask.body or b"",
            target=target,
        )
        self._site.asked.append(asked)
        answer = self._site.answers(asked)
        body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        told = {name.lower(): value for name, value in answer.headers.items()}
        return web.Answer(url=url, status=answer.status, headers=told, body=body)


async def no_pause(_: float) -> None:
    return None


KINDS: Mapping[str, tuple[type[SiteWorld], Callable[[DirectWeb], Any]]] = {
    "confluence-cloud": (CloudWorld, ConfluenceConnector),
    "confluence-data-center": (DataCenterWorld, ConfluenceConnector),
    "sharepoint": (SharePointWorld, SharePointConnector),
    "notion": (NotionWorld, lambda web: NotionConnector(web, Pace(pause=no_pause))),
    "hubspot": (HubSpotWorld, lambda web: HubSpotConnector(web, Pace(pause=no_pause))),
    "salesforce": (SalesforceWorld, SalesforceConnector),
    "http_json": (HttpJsonWorld, HttpJsonConnector),
    "qdrant": (QdrantWorld, lambda web: VectorStoreConnector(web, SqlConnector(Egress([]), Roots([], forbidden=[])))),
    "chroma": (ChromaWorld, lambda web: VectorStoreConnector(web, SqlConnector(Egress([]), Roots([], forbidden=[])))),
    "url-sitemap": (UrlWorld, UrlConnector),
    "url-crawl": (CrawlWorld, UrlConnector),
}


@dataclass
class Source:
    """A world with its connector; `faulty` is a request of a visit that is answered by `fault`, whenever it is sent."""

    world: SiteWorld
    web: DirectWeb
    make: Callable[[DirectWeb], Any]
    faulty: tuple[str, bytes] | None = None
    fault: Answer = field(default_factory=Answer)

    def believes(self, fault: Answer) -> bool:
        """Return whether the status alone is the word of such a source: of pages, and of APIs of which nothing is known."""
        return isinstance(self.world, UrlWorld) or (isinstance(self.world, HttpJsonWorld) and fault.headers != HTML)

    def place(self) -> Place:
        return Place(source=uuid4(), config=self.world.config, secrets=dict(self.world.secrets))

    def answer(self, usual: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
        def answered(asked: Asked) -> Answer:
            if asked.path == "/login":
                return Answer(body=LOGIN, headers=HTML)
            return self.fault if key(asked) == self.faulty else usual(asked)

        return answered

    async def listed(self) -> dict[str, str | None]:
        """Return id -> version of all that is listed, by a connector that knows nothing."""
        connector: Connector = self.make(self.web)
        found = [each async for each in connector.list(self.place()) if each is not None]
        if not all(each.leads for each in found):
            raise SourceUnavailable("What is not listed is asked for itself before it is taken away.")
        return {each.external_id: each.version for each in found}

    async def fetched(self, id: str) -> GivenDocument:
        connector: Connector = self.make(self.web)
        return await connector.fetch(self.place(), id)

    async def requests_of(self, what: Callable[[], Any]) -> list[tuple[str, bytes]]:
        self.world.site.asked.clear()
        await what()
        return list(dict.fromkeys(map(key, self.world.site.asked)))


def key(asked: Asked) -> tuple[str, bytes]:
    return f"{asked.method} {asked.target}", asked.body


@pytest.fixture(params=KINDS.values(), ids=KINDS)
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    kind, make = request.param
    site = Site(port=1)
    world = kind(site)
    for name in ("alpha", "beta", "gamma"):
        await world.put(name, f"{name}word stands here.")
    direct = DirectWeb(site)
    made = Source(world, direct, make)
    site.answers = made.answer(site.answers)
    yield made
    await direct.close()


async def test_a_list_with_any_answer_wrong_is_refused_or_has_all_that_it_had(source: Source):
    whole = set(await source.listed())
    assert whole == {source.world.external_id(name) for name in ("alpha", "beta", "gamma")}
    lost: dict[tuple[str, str], set[str]] = {}
    for request in await source.requests_of(source.listed):
        for name, fault in FAULTS.items():
            if fault.status in (404, 410) and source.believes(fault):
                continue
            source.faulty, source.fault = request, fault
            try:
                found = set(await source.listed())
            except (SourceUnavailable, NotFetched):
                continue
            if whole - found:
                lost[request[0], name] = whole - found
    assert lost == {}


async def test_a_document_with_any_answer_wrong_is_not_taken_for_gone(source: Source):
    id = source.world.external_id("beta")
    gone = []
    for request in await source.requests_of(lambda: source.fetched(id)):
        for name, fault in FAULTS.items():
            if fault.status in (404, 410) and source.believes(fault):
                continue
            source.faulty, source.fault = request, fault
            try:
                await source.fetched(id)
            except SourceUnavailable:
                continue
            except NotFetched as error:
                if error.error_code == "gone":
                    gone.append((request[0], name))
    assert gone == []


async def test_a_document_that_the_source_says_is_no_more_is_gone(source: Source):
    id = source.world.external_id("beta")
    await source.world.remove("beta")
    with pytest.raises(NotFetched) as told:
        await source.fetched(id)
    assert told.value.error_code == "gone"
