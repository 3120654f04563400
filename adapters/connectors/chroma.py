"""Records of a collection in Chroma, over its HTTP API (`/api/v2`)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson

from adapters.connectors.given_values import id_of, items, mapping, must_be_root, text
from adapters.connectors.stored_passages import StoredPassage, VectorStoreConfig
from adapters.connectors.web import Answer, Ask, Web
from commands.knowledge.connectors import Listed, NotFetched, Place, SourceUnavailable

PAGE = 1000


class ChromaRecords:
    """Counts through a collection; each record is had alone."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._collections: dict[UUID, str] = {}

    def check(self, settings: VectorStoreConfig) -> None:
        """Raise Invalid where the address is none."""
        must_be_root(settings.url, "/config/url")

    async def list(self, settings: VectorStoreConfig, place: Place) -> AsyncIterator[Listed]:
        """Yield all records.

        Its pages are told by numbers, which shift where records are taken away meanwhile: raises SourceUnavailable
        where afterwards there are others than were listed, since what is not listed is taken away here.
        """
        self.end(place)
        collection = await self._collection(settings, place)
        seen: set[str] = set()
        while True:
            asked = {"limit": PAGE, "offset": len(seen), "include": ["documents", "metadatas"]}
            told = (await self._ask(settings, place, f"{collection}/get", asked)).of_source().json()
            found = passages_in(told)
            for each in found:
                if each.id in seen:
                    raise SourceUnavailable("The collection changed while it was listed: sync again.")
                seen.add(each.id)
                yield Listed(external_id=each.id, version=each.version)
            if not found:
                break
        count = (await self._ask(settings, place, f"{collection}/count")).of_source().json()
        if count != len(seen):
            raise SourceUnavailable(f"{len(seen):,} records were listed, and there are {count} now: sync again.")

    async def one(self, settings: VectorStoreConfig, place: Place, id: str) -> StoredPassage:
        """Return a record, or raise NotFetched."""
        collection = await self._collection(settings, place)
        asked = {"ids": [id], "include": ["documents", "metadatas"]}
        told = (await self._ask(settings, place, f"{collection}/get", asked)).of_part().json()
        found = passages_in(told)
        if not found:
            raise NotFetched("The collection has no such record any more.", code="gone")
        return found[0]

    def end(self, place: Place) -> None:
        """Forget which collection it was: its name may be another one's by then."""
        self._collections.pop(place.visit, None)

    async def _collection(self, settings: VectorStoreConfig, place: Place) -> str:
        """Return the id by which a collection is asked."""
        if place.visit not in self._collections:
            told = (await self._ask(settings, place, quote(settings.collection, safe=""))).of_source().json()
            self._collections[place.visit] = quote(id_of(told), safe="")
        return self._collections[place.visit]

    async def _ask(
        self, settings: VectorStoreConfig, place: Place, path: str, body: Mapping[str, Any] | None = None
    ) -> Answer:
        tenant, database = quote(settings.tenant, safe=""), quote(settings.database, safe="")
        root = f"{settings.url.rstrip('/')}/api/v2/tenants/{tenant}/databases/{database}/collections"
        credentials = {}
        if "api_key" in place.secrets:
            credentials["x-chroma-token"] = place.secrets["api_key"]
        if "token" in place.secrets:
            credentials["Authorization"] = f"Bearer {place.secrets['token']}"
        sent = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        return await self._web.ask(Ask(url=f"{root}/{path}", headers=headers, credentials=credentials, body=sent))


def passages_in(told: Any) -> list[StoredPassage]:
    """Return the records of an answer, whose parts are lists of the same length; or raise SourceUnavailable."""
    answer = mapping(told)
    ids, texts, metadata = answer.get("ids"), items(answer.get("documents")), items(answer.get("metadatas"))
    if not isinstance(ids, list) or not len(ids) == len(texts) == len(metadata) or not all(map(text, ids)):
        raise SourceUnavailable("What was answered is no list of records: this is no answer of such an API.")
    return [
        StoredPassage(id=id, text=said if isinstance(said, str) else None, payload=mapping(more))
        for id, said, more in zip(ids, texts, metadata, strict=True)
    ]
