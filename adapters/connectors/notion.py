"""Pages of Notion, as Markdown."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from pydantic import Field

from adapters.connectors.edit_times import version_of
from adapters.connectors.given_values import address, id_of, items, mapping, must_be_root, text, title
from adapters.connectors.notion_blocks import NOT_FOLLOWED, Block, markdown, unknown_kinds
from adapters.connectors.notion_properties import is_told_in_part, title_of, values_of
from adapters.connectors.pace import Pace
from adapters.connectors.paging import pages
from adapters.connectors.web import Answer, Ask, Web
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import Strict, parse
from domain.paths import at

VERSION = "2025-09-03"
PAGE = 100
MOST_BLOCKS = 100_000
DEEPEST = 50
SETTLED = timedelta(minutes=5)
"""Notion tells the minute of an edit: until it is surely over, another edit may bear the same one."""

NotionId = Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{32,36}$")]


class NotionConfig(Strict):
    """Pages of Notion that are shared with an integration: those of some databases, or all of them."""

    url: Annotated[str, FINDS] = Field(
        "https://api.notion.com", min_length=1, max_length=2000, description="Where the API stands."
    )
    databases: Annotated[list[NotionId], FINDS] = Field(
        default_factory=list,
        max_length=100,
        description="Ids of databases whose pages are taken; empty: every page that the search gives.",
    )
    requests_per_second: Annotated[int, FINDS] = Field(
        3, ge=1, le=1000, description="Notion lets an integration have three."
    )


class NotionConnector:
    """Lists by search or by database; a page is read block by block, into whatever holds blocks itself."""

    config = NotionConfig
    secrets: Mapping[str, str] = {"token": "The integration's secret, which begins with `ntn_` or `secret_`."}

    def __init__(self, web: Web, pace: Pace | None = None) -> None:
        self._web = web
        self._pace = pace or Pace()

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none."""
        must_be_root(parse(NotionConfig, dict(config), "/config").url, "/config/url")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all pages, and None for what lies in the trash."""
        notion = self._notion(place)
        async for page in notion.every_page():
            if is_thrown_away(page):
                yield None
            else:
                yield Listed(external_id=id_of(page), version=version_of(text(page.get("last_edited_time")), SETTLED))

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a page as Markdown, with its properties as metadata."""
        notion = self._notion(place)
        page = await notion.page(external_id)
        blocks = await notion.blocks(external_id)
        properties = mapping(page.get("properties"))
        unknown = Counter(unknown_kinds(blocks))
        return GivenDocument(
            external_id=external_id,
            title=title(title_of(properties), external_id),
            url=address(page.get("url")),
            media_type="text/markdown",
            content=markdown(blocks).encode(errors="replace"),
            metadata={
                "properties": values_of(properties),
                "parent": at(page, f"parent.{at(page, 'parent.type')}"),
                **{name: page.get(name) for name in ("created_time", "last_edited_time")},
                **({"blocks_not_told": dict(unknown)} if unknown else {}),
            },
            acl=None,
        )

    def end(self, place: Place) -> None:
        """Keep nothing: there is nothing."""

    def _notion(self, place: Place) -> "Notion":
        return Notion(self._web, self._pace, parse(NotionConfig, dict(place.config), "/config"), place.secrets)


class Notion:
    """The API, asked for one source."""

    def __init__(self, web: Web, pace: Pace, settings: NotionConfig, secrets: Mapping[str, str]) -> None:
        self._web = web
        self._pace = pace
        self._settings = settings
        self._root = settings.url.rstrip("/")
        token = secrets.get("token", "")
        self._credentials = {"Authorization": f"Bearer {token}"} if token else {}
        self._integration = f"{self._root} {sha256(token.encode()).hexdigest()}"

    async def every_page(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield pages as they are listed."""
        if not self._settings.databases:
            async for page in self._searched():
                yield page
        for database in self._settings.databases:
            told = (await self._ask(f"databases/{quote(database, safe='')}")).of_source().json()
            sources = at(told, "data_sources")
            if not isinstance(sources, list):
                raise SourceUnavailable(f"The database {database} names no data sources.")
            for each in sources:
                async for page in self._rows(id_of(each)):
                    yield page

    async def page(self, id: str) -> Mapping[str, Any]:
        """Return a page with all of its properties."""
        path = f"pages/{quote(id, safe='')}"
        page = mapping((await self._ask(path)).of_item("code", "object_not_found").json())
        if page.get("object") != "page":
            raise NotFetched("What was answered is no page.")
        if is_thrown_away(page):
            raise NotFetched("It lies in the trash.", code="gone")
        properties = {name: mapping(each) for name, each in mapping(page.get("properties")).items()}
        for name, each in properties.items():
            if is_told_in_part(each):
                kind = text(each["type"])
                found = await self._listed(f"{path}/properties/{quote(text(each.get('id')), safe='%')}")
                properties[name] = {**each, kind: [mapping(one).get(kind) for one in found]}
        return {**page, "properties": properties}

    async def blocks(self, id: str) -> list[Block]:
        """Return what a page holds."""
        return await self._blocks(id, (id,), Counter())

    async def _blocks(self, id: str, inside: tuple[str, ...], count: Counter[str]) -> list[Block]:
        if len(inside) > DEEPEST:
            raise NotFetched(f"Its blocks lie more than {DEEPEST} deep in each other.", code="too_deep")
        found = []
        for told in await self._listed(f"blocks/{quote(id, safe='')}/children"):
            block = mapping(told)
            if is_thrown_away(block):
                continue
            count["blocks"] += 1
            if count["blocks"] > MOST_BLOCKS:
                raise NotFetched(f"It has more than {MOST_BLOCKS:,} blocks.", code="too_large")
            kind, own = text(block.get("type")), text(block.get("id"))
            children: list[Block] = []
            if block.get("has_children") is True and kind not in NOT_FOLLOWED:
                if not own or own in inside:
                    raise NotFetched("One of its blocks lies in itself, or has no id.")
                children = await self._blocks(own, (*inside, own), count)
            found.append(Block(kind, mapping(block.get(kind)), own, children))
        return found

    async def _searched(self) -> AsyncIterator[Mapping[str, Any]]:
        asked = {"filter": {"property": "object", "value": "page"}, "page_size": PAGE}
        async for page, told in pages(
            lambda cursor: self._posted("search", asked, cursor), items="results", next="next_cursor"
        ):
            if is_cut_off(told):
                raise SourceUnavailable("Notion's search does not give all pages: name their `databases`.")
            for each in page:
                yield mapping(each)

    async def _rows(self, source: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield a data source's pages; one query gives 10,000, then another goes on from the last one's time."""
        since = ""
        while True:
            asked: dict[str, Any] = {
                "sorts": [{"timestamp": "created_time", "direction": "ascending"}], "page_size": PAGE
            }  # fmt: skip
            if since:
                asked["filter"] = {"timestamp": "created_time", "created_time": {"on_or_after": since}}
            last, cut = "", False
            async for page, told in self._query(source, asked):
                cut = cut or is_cut_off(told)
                for each in page:
                    last = text(mapping(each).get("created_time")) or last
                    yield mapping(each)
            if not cut:
                return
            if not last or last == since:
                raise SourceUnavailable(f"Notion does not give all pages of the data source {source}.")
            since = last

    def _query(self, source: str, asked: dict[str, Any]) -> AsyncIterator[tuple[list[Any], Any]]:
        path = f"data_sources/{quote(source, safe='')}/query"
        return pages(lambda cursor: self._posted(path, asked, cursor), items="results", next="next_cursor")

    async def _posted(self, path: str, asked: Mapping[str, Any], cursor: str | None) -> Any:
        body = {**asked, **({"start_cursor": cursor} if cursor else {})}
        return (await self._ask(path, orjson.dumps(body))).of_source().json()

    async def _listed(self, path: str) -> list[Any]:
        """Return all items of a list that belongs to one page."""

        async def ask(cursor: str | None) -> Any:
            further = f"&start_cursor={quote(cursor, safe='')}" if cursor else ""
            return (await self._ask(f"{path}?page_size={PAGE}{further}")).of_part().json()

        found = pages(ask, items="results", next="next_cursor", refusal=NotFetched)
        listed: list[Any] = []
        async for page, told in found:
            if is_cut_off(told):
                raise NotFetched("Notion does not give all that is in it.")
            listed += items(page)
        return listed

    async def _ask(self, path: str, body: bytes | None = None) -> Answer:
        await self._pace.turn(self._integration, self._settings.requests_per_second)
        headers = {"Notion-Version": VERSION, **({} if body is None else {"Content-Type": "application/json"})}
        return await self._web.ask(
            Ask(url=f"{self._root}/v1/{path}", headers=headers, credentials=self._credentials, body=body)
        )


def is_thrown_away(thing: Mapping[str, Any]) -> bool:
    """Return whether a page or a block lies in the trash; older versions call it archived."""
    return thing.get("archived") is True or thing.get("in_trash") is True


def is_cut_off(told: Any) -> bool:
    """Return whether there is more than an answer, and those that follow, will give."""
    unnamed = at(told, "has_more") is True and not at(told, "next_cursor")
    return unnamed or bool(at(told, "request_status.type") == "incomplete")
