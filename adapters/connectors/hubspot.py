"""Content and records of HubSpot: blog posts, pages, knowledge articles, and objects of its CRM."""

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from adapters.connectors.given_values import address, id_of, mapping, must_be_root, text, title
from adapters.connectors.hubspot_text import body_of, is_public, is_published, record_title
from adapters.connectors.pace import Pace
from adapters.connectors.paging import pages
from adapters.connectors.record_html import record_html
from adapters.connectors.web import Answer, Ask, Web
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place
from domain.definition import Strict, parse
from domain.errors import Invalid

PAGE = 100
CONTENT = {
    "blog_posts": "cms/v3/blogs/posts",
    "site_pages": "cms/v3/pages/site-pages",
    "landing_pages": "cms/v3/pages/landing-pages",
    "knowledge_articles": "cms/knowledge-base/2027-03-beta/articles",
}
TITLES = {
    "contacts": ["firstname", "lastname"],
    "companies": ["name"],
    "deals": ["dealname"],
    "tickets": ["subject"],
    "products": ["name"],
    "tasks": ["hs_task_subject"],
    "calls": ["hs_call_title"],
    "meetings": ["hs_meeting_title"],
    "emails": ["hs_email_subject"],
}
TOLD_OF_CONTENT = (
    "name", "slug", "state", "language", "domain", "authorName", "blogAuthorId", "contentGroupId", "tagIds",
    "categoryId", "knowledgeBaseId", "campaign", "metaDescription", "created", "createdAt", "updated", "updatedAt",
    "publishDate",
)  # fmt: skip

Property = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-zA-Z0-9_.-]+$")]


class HubSpotObjects(Strict):
    """Objects of one type of the CRM."""

    type: str = Field(
        max_length=100,
        pattern=r"^[a-zA-Z0-9_-]+$",
        description="Such as `tickets`, `notes`, or the name of a type of your own.",
    )
    text: list[Property] = Field(
        min_length=1, max_length=50, description="Properties that make the document's text, plain or HTML."
    )
    title: list[Property] = Field(
        default_factory=list,
        max_length=10,
        description="Properties that make the title; empty: those usual for the type.",
    )
    properties: list[Property] = Field(
        default_factory=list, max_length=100, description="Further properties, kept as metadata."
    )


class HubSpotConfig(Strict):
    """Blog posts, pages and knowledge articles of HubSpot, and objects of its CRM with chosen properties."""

    url: Annotated[str, FINDS] = Field(
        "https://api.hubapi.com", min_length=1, max_length=2000, description="Where the API stands."
    )
    content: list[Literal["blog_posts", "site_pages", "landing_pages", "knowledge_articles"]] = Field(
        default_factory=list, max_length=4, description="Kinds of content that are taken."
    )
    objects: list[HubSpotObjects] = Field(
        default_factory=list, max_length=50, description="Types of objects that are taken."
    )
    drafts: Annotated[bool, FINDS] = Field(False, description="Whether content that is not published is taken too.")
    requests_per_second: Annotated[int, FINDS] = Field(
        9, ge=1, le=1000, description="HubSpot lets an app have 100 in ten seconds."
    )


class HubSpotConnector:
    """Lists by kind, page by page; each document is fetched alone, since lists may leave out what is long."""

    config = HubSpotConfig
    secrets: Mapping[str, str] = {"token": "The access token of a private app, which begins with `pat-`."}

    def __init__(self, web: Web, pace: Pace | None = None) -> None:
        self._web = web
        self._pace = pace or Pace()

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none, or nothing is asked for, or something twice."""
        settings = parse(HubSpotConfig, dict(config), "/config")
        must_be_root(settings.url, "/config/url")
        kinds = [*settings.content, *(each.type for each in settings.objects)]
        if not kinds:
            raise Invalid("Name kinds of `content`, or types of `objects`.", code="nothing_chosen", pointer="/config")
        if len(set(kinds)) < len(kinds):
            raise Invalid("A kind or type may stand only once.", code="named_twice", pointer="/config")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield everything of each kind, and None for what is archived or not published."""
        settings = parse(HubSpotConfig, dict(place.config), "/config")
        paths: dict[str, str] = {kind: CONTENT[kind] for kind in settings.content}
        paths |= {each.type: f"crm/v3/objects/{each.type}" for each in settings.objects}
        for kind, path in paths.items():
            async for each in self._every(settings, place, path):
                item = mapping(each)
                id = id_of(item)
                left_out = kind in CONTENT and not settings.drafts and not is_published(item)
                version = text(item.get("updatedAt")) or text(item.get("updated"))
                if left_out or item.get("archived") is True:
                    yield None
                else:
                    yield Listed(external_id=f"{kind}/{id}", version=version or None)

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return content or an object as HTML."""
        settings = parse(HubSpotConfig, dict(place.config), "/config")
        kind, _, id = external_id.partition("/")
        for each in settings.objects:
            if each.type == kind:
                return await self._record(settings, place, each, id)
        if kind not in settings.content:
            raise NotFetched("The settings name no such kind any more.", code="gone")
        item = await self._one(settings, place, f"{CONTENT[kind]}/{quote(id, safe='')}")
        named = next((text(item.get(each)) for each in ("htmlTitle", "title", "name") if item.get(each)), "")
        called = title(named, external_id)
        return GivenDocument(
            external_id=external_id,
            title=called,
            url=address(item.get("url")),
            media_type="text/html",
            content=body_of(item, called).encode(errors="replace"),
            metadata={"kind": kind, **{name: item[name] for name in TOLD_OF_CONTENT if name in item}},
            acl=None if is_public(item) else [],
        )

    def end(self, place: Place) -> None:
        """Keep nothing: there is nothing."""

    async def _record(self, settings: HubSpotConfig, place: Place, of: HubSpotObjects, id: str) -> GivenDocument:
        named = of.title or TITLES.get(of.type, [])
        asked = dict.fromkeys([*of.text, *named, *of.properties])
        path = f"crm/v3/objects/{of.type}/{quote(id, safe='')}?properties={quote(','.join(asked), safe='')}"
        item = await self._one(settings, place, path)
        properties = mapping(item.get("properties"))
        called = title(record_title(properties, named), f"{of.type} {id}")
        return GivenDocument(
            external_id=f"{of.type}/{id}",
            title=called,
            url=address(item.get("url")),
            media_type="text/html",
            content=record_html(called, {name: properties.get(name) for name in of.text}).encode(errors="replace"),
            metadata={
                "kind": of.type,
                **{name: item.get(name) for name in ("createdAt", "updatedAt")},
                "properties": {name: properties.get(name) for name in asked if name not in of.text},
            },
            acl=None,
        )

    def _every(self, settings: HubSpotConfig, place: Place, path: str) -> AsyncIterator[Any]:
        async def ask(cursor: str | None) -> Any:
            further = f"&after={quote(cursor, safe='')}" if cursor else ""
            return (await self._ask(settings, place, f"{path}?limit={PAGE}{further}")).of_source().json()

        async def every() -> AsyncIterator[Any]:
            async for found, _ in pages(ask, items="results", next="paging.next.after"):
                for each in found:
                    yield each

        return every()

    async def _one(self, settings: HubSpotConfig, place: Place, path: str) -> Mapping[str, Any]:
        item = (await self._ask(settings, place, path)).of_item("category", "OBJECT_NOT_FOUND").json()
        if not isinstance(item, Mapping) or "id" not in item:
            raise NotFetched("What was answered is neither content nor an object.")
        if item.get("archived") is True:
            raise NotFetched("It is archived.", code="gone")
        return item

    async def _ask(self, settings: HubSpotConfig, place: Place, path: str) -> Answer:
        root, token = settings.url.rstrip("/"), place.secrets.get("token", "")
        await self._pace.turn(f"{root} {sha256(token.encode()).hexdigest()}", settings.requests_per_second)
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        return await self._web.ask(Ask(url=f"{root}/{path}", credentials=credentials))
