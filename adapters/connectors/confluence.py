"""Pages, blog posts and attachments of Confluence, Cloud or Data Center, with who may read them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import Field

from adapters.connectors.confluence_cloud import CloudWiki
from adapters.connectors.confluence_content import ID, Above, Content, Kind, Wiki
from adapters.connectors.confluence_data_center import DataCenterWiki
from adapters.connectors.confluence_readers import Readers
from adapters.connectors.confluence_storage import html_of
from adapters.connectors.credentials import HTTP_SECRETS, http_credentials
from adapters.connectors.given_values import address, must_be_root, title
from adapters.connectors.together import together
from adapters.connectors.told import told
from adapters.connectors.web import Answer, Ask, Web
from adapters.reading.kinds import kind_of
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place
from commands.knowledge.reading import Unreadable
from domain.definition import Strict, parse

AT_ONCE = 64
"""Documents whose versions are told together."""

SpaceKey = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[~A-Za-z0-9_.@-]+$")]


class ConfluenceConfig(Strict):
    """Pages of Confluence, with blog posts and attachments if wanted, and who may read them."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="Of Confluence: `https://example.atlassian.net` (with scoped tokens "
        "`https://api.atlassian.com/ex/confluence/ID`), or where a Data Center answers, with its path.",
    )
    flavour: Literal["cloud", "data_center"] = Field("cloud", description="Which of Confluence's interfaces is there.")
    spaces: Annotated[list[SpaceKey], FINDS] = Field(
        default_factory=list, max_length=500, description="Keys of spaces; empty: all that the credentials may see."
    )
    blog_posts: Annotated[bool, FINDS] = Field(False, description="Blog posts, too.")
    attachments: Annotated[bool, FINDS] = Field(
        False, description="What is attached to them, too: each a document of its own."
    )
    permissions: bool = Field(
        True,
        description="Who may find a document: the groups that may read the page and what it stands below. false = "
        "as the source says.",
    )


class ConfluenceConnector:
    """Lists spaces page by page and fetches each document alone."""

    config = ConfluenceConfig
    secrets: Mapping[str, str] = {
        "basic": "`email:token` with an API token of Cloud, or `user:password` of a Data Center.",
        "token": "A personal access token of a Data Center, or an access token of OAuth. " + HTTP_SECRETS["token"],
    }

    def __init__(self, web: Web) -> None:
        self._web = web
        self._visits: dict[UUID, Visit] = {}

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none."""
        must_be_root(parse(ConfluenceConfig, dict(config), "/config").url, "/config/url")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all pages, blog posts and attachments that are wanted."""
        self.end(place)
        visit = self._visit(place)
        kinds: Sequence[Kind] = ["page", "blogpost"] if visit.settings.blog_posts else ["page"]
        async for space in visit.wiki.spaces(visit.settings.spaces):
            for kind in kinds:
                contents = [each async for each in visit.wiki.contents(kind, space)]
                for start in range(0, len(contents), AT_ONCE):
                    for listed in await together(contents[start : start + AT_ONCE], visit.listed):
                        for each in listed:
                            yield each

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a page, blog post or attachment."""
        visit = self._visit(place)
        kind, _, id = external_id.partition("/")
        if not ID.match(id) or kind not in ("page", "blogpost", "attachment"):
            raise NotFetched("This is no id of anything in Confluence.")
        return await (
            visit.attachment(id) if kind == "attachment" else visit.page("page" if kind == "page" else "blogpost", id)
        )

    def end(self, place: Place) -> None:
        """Forget what was told during a sync."""
        self._visits.pop(place.visit, None)

    def _visit(self, place: Place) -> "Visit":
        if place.visit not in self._visits:
            self._visits[place.visit] = Visit(self._web, place)
        return self._visits[place.visit]


class Visit:
    """One sync of one Confluence."""

    def __init__(self, web: Web, place: Place) -> None:
        self.settings = parse(ConfluenceConfig, dict(place.config), "/config")
        self._web = web
        self._credentials = http_credentials(place.secrets)
        cloud = self.settings.flavour == "cloud"
        base = self.settings.url.rstrip("/")
        self._base = base if not cloud or base.endswith("/wiki") else f"{base}/wiki"
        self.wiki: Wiki = (CloudWiki if cloud else DataCenterWiki)(self._get, self._base)
        self._readers = Readers(self._get)

    async def _get(self, path: str) -> Answer:
        return await self._web.ask(Ask(url=f"{self._base}{path}", credentials=self._credentials))

    async def listed(self, content: Content) -> list[Listed | None]:
        """Return how a page or blog post is listed, and what is attached to it."""
        if not ID.match(content.id):
            return [None]
        attached = [each async for each in self.wiki.attachments(content)] if self.settings.attachments else []
        around = await self._around(content)
        return [
            Listed(external_id=f"{each.kind}/{each.id}", version=f"{each.version}-{around}") if wanted(each) else None
            for each in [content, *attached]
        ]

    async def _around(self, content: Content) -> str:
        """Return what changes with who may read it and with where it stands, both of which make no version there."""
        try:
            above = await self.wiki.above(content)
            told = [await self._acl(content, above), [[each.id, each.title] for each in above]]
        except NotFetched:
            return "unknown"
        return sha256(orjson.dumps(told)).hexdigest()[:16]

    async def _acl(self, content: Content, above: Sequence[Above]) -> Sequence[str] | None:
        return await self._readers.of(content.id, above) if self.settings.permissions else None

    async def page(self, kind: Kind, id: str) -> GivenDocument:
        """Return a page or blog post."""
        whole = await self.wiki.whole(kind, id)
        above = await self.wiki.above(whole.content)
        metadata = {
            "type": kind,
            "space": whole.space,
            "labels": whole.labels,
            "ancestors": [each.title for each in above],
            "version": whole.content.version,
            "changed_at": whole.changed_at,
        }
        return GivenDocument(
            external_id=f"{kind}/{id}",
            title=title(whole.content.title, id),
            url=address(whole.link),
            media_type="text/html",
            content=await asyncio.to_thread(html_of, whole.content.title, whole.stored),
            metadata=metadata,
            acl=await self._acl(whole.content, above),
        )

    async def attachment(self, id: str) -> GivenDocument:
        """Return an attachment; who may read the page may read it."""
        attachment = await self.wiki.attachment(id)
        assert attachment.on is not None
        above = await self.wiki.above(attachment.on)
        acl = await self._acl(attachment.on, above)
        file = await self.wiki.file(attachment)
        return GivenDocument(
            external_id=f"attachment/{id}",
            title=title(attachment.title, id),
            url=None,
            media_type=media_type_of(attachment),
            content=file.body,
            metadata={
                "type": "attachment",
                "attached_to": attachment.on.title,
                "ancestors": [*(each.title for each in above), attachment.on.title],
                "version": attachment.version,
            },
            acl=acl,
        )


def media_type_of(attachment: Content) -> str:
    """Return what Confluence says an attachment is: Cloud and Data Center say it in different places."""
    return told(attachment.told, "mediaType") or told(attachment.told, "metadata.mediaType") or ""


def wanted(content: Content) -> bool:
    """Return whether a document is taken: an attachment only where its kind can be read."""
    if not ID.match(content.id):
        return False
    if content.kind != "attachment":
        return True
    try:
        kind_of(media_type_of(content).partition(";")[0].strip().lower(), content.title)
    except Unreadable:
        return False
    return True
