"""Confluence Data Center: version 1 of the interface, with numbers from page to page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from adapters.connectors.confluence_cloud import content_of
from adapters.connectors.confluence_content import Above, Content, Get, Kind, Space, Whole
from adapters.connectors.paging import pages
from adapters.connectors.told import needed, objects, told
from adapters.connectors.web import Answer
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from domain.paths import at

LIMIT = 100
EXPANDED = "version,ancestors"
MISSING = ("statusCode", 404)
"""Where an answer says that a content is not there, and how: what stands before Confluence does not write so."""


class DataCenterWiki:
    """Asks for contents under `/rest/api`; what one stands below is told with it."""

    def __init__(self, get: Get, base: str) -> None:
        self._get = get
        self._base = base

    async def spaces(self, keys: Sequence[str]) -> AsyncIterator[Space]:
        """Yield the spaces with these keys; raise SourceUnavailable where one is not there."""
        if not keys:
            yield Space(id=None, key=None)
        for key in keys:
            (await self._get(f"/rest/api/space/{quote(key, safe='')}")).of_source()
            yield Space(id=key, key=key)

    async def contents(self, kind: Kind, space: Space) -> AsyncIterator[Content]:
        """Yield all that is current in a space."""
        narrowed = {} if space.id is None else {"spaceKey": space.id}
        query = {"type": kind, **narrowed, "status": "current", "expand": EXPANDED}
        async for each in self._list("/rest/api/content", query):
            yield content_of(kind, each)

    async def attachments(self, content: Content) -> AsyncIterator[Content]:
        """Yield all that is attached to a page or blog post."""
        path = f"/rest/api/content/{quote(content.id, safe='')}/child/attachment"
        async for each in self._list(path, {"expand": "version"}):
            yield content_of("attachment", each, on=content)

    async def above(self, content: Content) -> Sequence[Above]:
        """Return what a page stands below, the highest first, as was told with it."""
        if content.kind != "page":
            return []
        listed = objects(content.told, "ancestors", "a page")
        return [Above(id=needed(each, "id", "an ancestor"), title=told(each, "title") or "") for each in listed]

    async def whole(self, kind: Kind, id: str) -> Whole:
        """Return a page or blog post with its labels and its space's key."""
        answer = (await self._content(id, f"body.storage,space,metadata.labels,{EXPANDED}")).of_item(*MISSING).json()
        stored = at(answer, "body.storage.value")
        if not isinstance(stored, str):
            raise NotFetched("Confluence does not tell what it says: there is no `body.storage.value`.", code="no_text")
        labels = self._list(f"/rest/api/content/{quote(id, safe='')}/label", {})
        return Whole(
            content=content_of(kind, answer),
            stored=stored,
            space=told(answer, "space.key"),
            labels=[name async for each in labels if (name := told(each, "name"))],
            changed_at=told(answer, "version.when"),
            link=self._link(answer),
        )

    async def attachment(self, id: str) -> Content:
        """Return an attachment with the page or blog post that it is attached to."""
        answer = (await self._content(id, "version,container")).of_item(*MISSING).json()
        on = (await self._content(needed(answer, "container.id", "an attachment"), EXPANDED)).of_part().json()
        kind: Kind = "blogpost" if told(on, "type") == "blogpost" else "page"
        return content_of("attachment", answer, on=content_of(kind, on))

    async def file(self, attachment: Content) -> Answer:
        """Return the bytes, from the path below Confluence's address that was told with it."""
        path = told(attachment.told, "_links.download")
        if path is None or not path.startswith("/"):
            raise NotFetched("Confluence does not tell where its bytes are: there is no path at `_links.download`.")
        return (await self._get(path)).of_part()

    async def _content(self, id: str, expand: str) -> Answer:
        return await self._get(f"/rest/api/content/{quote(id, safe='')}?{urlencode({'expand': expand})}")

    async def _list(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield all objects of all pages of a list; of the address of a next page only its number is taken."""
        start = 0

        async def ask(following: str | None) -> Any:
            nonlocal start
            start = start if following is None else start_of(following, start, path)
            asked = {**query, "start": str(start), "limit": str(LIMIT)}
            return (await self._get(f"{path}?{urlencode(asked)}")).of_source().json()

        async for _, answer in pages(ask, items="results", next="_links.next"):
            for each in objects(answer, "results", path):
                yield each

    def _link(self, answer: Any) -> str | None:
        """Return the address that people open."""
        shown = told(answer, "_links.webui")
        return None if shown is None else f"{told(answer, '_links.base') or self._base}{shown}"


def start_of(following: str, before: int, path: str) -> int:
    """Return the number that the address of a next page begins with, or raise SourceUnavailable."""
    named = parse_qs(urlsplit(following).query).get("start", [""])[0]
    if not named.isdecimal() or int(named) <= before:
        raise SourceUnavailable(f"The list at {path} names a next page that is not after this one.")
    return int(named)
