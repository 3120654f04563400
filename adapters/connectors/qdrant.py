"""Points of a collection in Qdrant, over its HTTP API."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from adapters.connectors.given_values import id_of, mapping, must_be_root
from adapters.connectors.paging import pages
from adapters.connectors.stored_passages import StoredPassage, VectorStoreConfig
from adapters.connectors.web import Answer, Ask, Web
from commands.knowledge.connectors import Listed, NotFetched, Place

PAGE = 1000


class QdrantPoints:
    """Scrolls through a collection in the order of its ids; each point is had alone."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def check(self, settings: VectorStoreConfig) -> None:
        """Raise Invalid where the address is none."""
        must_be_root(settings.url, "/config/url")

    async def list(self, settings: VectorStoreConfig, place: Place) -> AsyncIterator[Listed]:
        """Yield all points."""
        given: dict[str, Any] = {}

        async def ask(cursor: str | None) -> Any:
            offset = {} if cursor is None else {"offset": given[cursor]}
            body = {"limit": PAGE, "with_payload": True, "with_vector": False, **offset}
            told = (await self._ask(settings, place, "points/scroll", body)).of_source().json()
            following = mapping(mapping(told).get("result")).get("next_page_offset")
            given[str(following)] = following  # an id is a number or a text, and has to be sent as what it is
            return told

        async for points, _ in pages(ask, items="result.points", next="result.next_page_offset"):
            for point in points:
                found = passage_of(point)
                yield Listed(external_id=found.id, version=found.version)

    async def one(self, settings: VectorStoreConfig, place: Place, id: str) -> StoredPassage:
        """Return a point, or raise NotFetched."""
        # asked for as a list of one: a 404 of a point can't be told from that of the whole collection
        asked = {"ids": [int(id) if id.isdecimal() else id], "with_payload": True, "with_vector": False}
        found = mapping((await self._ask(settings, place, "points", asked)).of_part().json()).get("result")
        if found == []:
            raise NotFetched("The collection has no such point any more.", code="gone")
        if not isinstance(found, list) or not isinstance(found[0], Mapping) or "id" not in found[0]:
            raise NotFetched("What was answered is no point.")
        return passage_of(found[0])

    def end(self, place: Place) -> None:
        """Keep nothing: there is nothing."""

    async def _ask(self, settings: VectorStoreConfig, place: Place, path: str, body: Mapping[str, Any]) -> Answer:
        url = f"{settings.url.rstrip('/')}/collections/{quote(settings.collection, safe='')}/{path}"
        credentials = {}
        if "api_key" in place.secrets:
            credentials["api-key"] = place.secrets["api_key"]
        if "token" in place.secrets:
            credentials["Authorization"] = f"Bearer {place.secrets['token']}"
        headers = {"Content-Type": "application/json"}
        return await self._web.ask(Ask(url=url, headers=headers, credentials=credentials, body=orjson.dumps(body)))


def passage_of(point: Any) -> StoredPassage:
    """Return a point as a passage, or raise SourceUnavailable where it has no id."""
    return StoredPassage(id=id_of(point), payload=mapping(point.get("payload")))
