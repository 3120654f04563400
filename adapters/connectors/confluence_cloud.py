"""Confluence Cloud: version 2 of its interface, with cursors from page to page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from adapters.connectors.confluence_content import Above, Content, Get, Kind, Space, Whole
from adapters.connectors.paging import pages
from adapters.connectors.told import needed, objects, told
from adapters.connectors.web import Answer
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from domain.paths import at

LIMIT = 250
DEEPEST = 100
MISSING = ("errors.0.code", "NOT_FOUND")
"""Where an answer says that a thing is not there, and how."""

PLURALS = {
    "page": "pages",
    "folder": "folders",
    "whiteboard": "whiteboards",
    "database": "databases",
    "embed": "embeds",
    "blogpost": "blogposts",
}


class CloudWiki:
    """Asks for lists and things under `/api/v2`, and for files and restrictions where only version 1 has them."""

    def __init__(self, get: Get, base: str) -> None:
        self._get = get
        self._base = base
        self._spaces: dict[str, str | None] = {}
        self._things: dict[str, Any] = {}

    async def spaces(self, keys: Sequence[str]) -> AsyncIterator[Space]:
        """Yield the spaces with these keys; raise SourceUnavailable where one is not there."""
        if not keys:
            yield Space(id=None, key=None)
            return
        for key in keys:
            found = [each async for each in self._list("spaces", {"keys": key}) if told(each, "key") == key]
            if not found:
                raise SourceUnavailable(f"There is no space {key}, or these credentials may not see it.")
            id = needed(found[0], "id", "spaces")
            self._spaces[id] = key
            yield Space(id=id, key=key)

    async def contents(self, kind: Kind, space: Space) -> AsyncIterator[Content]:
        """Yield all that is current in a space; what stands below what is remembered."""
        narrowed = {} if space.id is None else {"space-id": space.id}
        async for each in self._list(PLURALS[kind], {**narrowed, "status": "current"}):
            content = content_of(kind, each)
            self._things[content.id] = each
            yield content

    async def attachments(self, content: Content) -> AsyncIterator[Content]:
        """Yield all that is attached to a page or blog post."""
        path = f"{PLURALS[content.kind]}/{quote(content.id, safe='')}/attachments"
        async for each in self._list(path, {"status": "current"}):
            yield content_of("attachment", each, on=content)

    async def above(self, content: Content) -> Sequence[Above]:
        """Return what a page stands below: pages, folders and the like, the highest first."""
        below, found = content.told, list[Above]()
        while (id := told(below, "parentId")) is not None:
            kind = told(below, "parentType") or "page"
            if len(found) == DEEPEST or id in [each.id for each in found]:
                raise NotFetched("What it stands below goes round in a circle, or has no end.")
            below = await self._thing(kind, id)
            found.append(Above(id=id, title=told(below, "title") or "", whole=below is not None))
        return found[::-1]

    async def _thing(self, kind: str, id: str) -> Any:
        """Return a page, folder or the like, None where it can't be seen."""
        if id in self._things:
            return self._things[id]
        thing = None
        if kind in PLURALS:
            answer = await self._get(f"/api/v2/{PLURALS[kind]}/{quote(id, safe='')}")
            try:
                thing = answer.of_part().json()
            except NotFetched:
                pass  # it is not for these credentials: who may read what is below it can't be told then
        self._things[id] = thing
        return thing

    async def whole(self, kind: Kind, id: str) -> Whole:
        """Return a page or blog post with its labels and its space's key."""
        path = f"/api/v2/{PLURALS[kind]}/{quote(id, safe='')}"
        answer = (await self._get(f"{path}?body-format=storage")).of_item(*MISSING).json()
        stored = at(answer, "body.storage.value")
        if not isinstance(stored, str):
            raise NotFetched("Confluence does not tell what it says: there is no `body.storage.value`.", code="no_text")
        return Whole(
            content=content_of(kind, answer),
            stored=stored,
            space=await self._key_of(told(answer, "spaceId")),
            labels=[
                name async for each in self._list(f"{PLURALS[kind]}/{id}/labels", {}) if (name := told(each, "name"))
            ],
            changed_at=told(answer, "version.createdAt"),
            link=self._link(answer),
        )

    async def attachment(self, id: str) -> Content:
        """Return an attachment with the page or blog post that it is attached to."""
        answer = (await self._get(f"/api/v2/attachments/{quote(id, safe='')}")).of_item(*MISSING).json()
        kind: Kind = "page" if told(answer, "pageId") is not None else "blogpost"
        on = needed(answer, "pageId" if kind == "page" else "blogPostId", "an attachment")
        thing = (
            self._things.get(on) or (await self._get(f"/api/v2/{PLURALS[kind]}/{quote(on, safe='')}")).of_part().json()
        )
        self._things[on] = thing
        return content_of("attachment", answer, on=content_of(kind, thing))

    async def file(self, attachment: Content) -> Answer:
        """Return the bytes: Confluence sends on to where they lie."""
        assert attachment.on is not None
        on, id = quote(attachment.on.id, safe=""), quote(attachment.id, safe="")
        return (await self._get(f"/rest/api/content/{on}/child/attachment/{id}/download")).of_part()

    async def _key_of(self, space: str | None) -> str | None:
        if space is None:
            return None
        if space not in self._spaces:
            answer = (await self._get(f"/api/v2/spaces/{quote(space, safe='')}")).of_part().json()
            self._spaces[space] = told(answer, "key")
        return self._spaces[space]

    async def _list(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield all objects of all pages of a list; of the address of a next page only the cursor is taken."""

        async def ask(following: str | None) -> Any:
            cursor = {} if following is None else {"cursor": cursor_of(following, path)}
            asked = {**query, "limit": str(LIMIT), **cursor}
            return (await self._get(f"/api/v2/{path}?{urlencode(asked)}")).of_source().json()

        async for _, answer in pages(ask, items="results", next="_links.next"):
            for each in objects(answer, "results", path):
                yield each

    def _link(self, answer: Any) -> str | None:
        """Return the address that people open."""
        shown = told(answer, "_links.webui")
        return None if shown is None else f"{told(answer, '_links.base') or self._base}{shown}"


def cursor_of(following: str, path: str) -> str:
    """Return the cursor in the address of a next page, or raise SourceUnavailable."""
    named = parse_qs(urlsplit(following).query).get("cursor")
    if not named:
        raise SourceUnavailable(f"The list of {path} names a next page without a cursor.")
    return named[0]


def content_of(kind: Kind, answer: Any, on: Content | None = None) -> Content:
    """Return what an answer tells of a page, blog post or attachment, or raise SourceUnavailable."""
    return Content(
        kind=kind,
        id=needed(answer, "id", f"a {kind}"),
        title=told(answer, "title") or "",
        version=needed(answer, "version.number", f"a {kind}"),
        on=on,
        told=answer,
    )
