"""Files of SharePoint's document libraries, by Microsoft Graph, with the groups that may read them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import orjson
from pydantic import Field

from adapters.connectors.given_values import address, id_of, mapping, must_be_root, text, title
from adapters.connectors.oauth import Grant, Tokens
from adapters.connectors.paging import pages
from adapters.connectors.selection import Selection, wanted
from adapters.connectors.sharepoint_files import ID, File, files_of, folder_of, noted
from adapters.connectors.sharepoint_readers import readers_of
from adapters.connectors.together import together
from adapters.connectors.web import Answer, Ask, Web, origin_of
from adapters.reading.kinds import kind_of
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from commands.knowledge.reading import Unreadable
from domain.definition import parse

AT_ONCE = 64
"""Files whose readers are asked for together."""

Name = Annotated[str, Field(min_length=1, max_length=255)]


class SharePointConfig(Selection):
    """Files of a SharePoint site's document libraries, and which groups may read them."""

    url: str = Field("https://graph.microsoft.com/v1.0", max_length=2000, description="Where Microsoft Graph stands.")
    login_url: Annotated[str, FINDS] = Field(
        "https://login.microsoftonline.com", max_length=2000, description="Where tokens are given out."
    )
    tenant: str = Field(max_length=100, pattern=r"^[A-Za-z0-9.-]+$", description="Id or domain of the directory.")
    client_id: Annotated[str, FINDS] = Field(
        max_length=100, pattern=r"^[A-Za-z0-9-]+$", description="Of the application."
    )
    site: str = Field(
        max_length=1000,
        pattern=r"^[A-Za-z0-9.-]+(:/[^\x00-\x1f?#/][^\x00-\x1f?#]*)?$",
        description="Host and path, as `contoso.sharepoint.com:/sites/Handbook`; only the host: the root site.",
    )
    drives: Annotated[list[Name], FINDS] = Field(
        default_factory=list, max_length=100, description="Names of document libraries; empty: all of the site."
    )
    permissions: bool = Field(
        True, description="Who may find a document: the groups that may read the file. false = as the source says."
    )


class SharePointConnector:
    """Lists libraries whole, by their changes since the beginning, and fetches each file alone."""

    config = SharePointConfig
    secrets: Mapping[str, str] = {"client_secret": "A client secret of the application (its value, not its id)."}

    def __init__(self, web: Web) -> None:
        self._tokens = Tokens(web)
        self._visits: dict[UUID, Visit] = {}

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where an address is none."""
        settings = parse(SharePointConfig, dict(config), "/config")
        must_be_root(settings.url, "/config/url")
        must_be_root(settings.login_url, "/config/login_url")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all files of the libraries."""
        self.end(place)
        visit = self._visit(place)
        for drive in await visit.drives():
            files = [each async for each in visit.files(drive)]
            for start in range(0, len(files), AT_ONCE):
                for listed in await together(files[start : start + AT_ONCE], partial(visit.listed, drive)):
                    yield listed

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a file."""
        drive, _, id = external_id.partition("/")
        if not ID.match(drive) or not ID.match(id):
            raise NotFetched("This is no id of a file in SharePoint.")
        return await self._visit(place).file(drive, id)

    def end(self, place: Place) -> None:
        """Forget what was told during a sync."""
        self._visits.pop(place.visit, None)

    def _visit(self, place: Place) -> "Visit":
        if place.visit not in self._visits:
            self._visits[place.visit] = Visit(self._tokens, place)
        return self._visits[place.visit]


class Visit:
    """One sync of one site."""

    def __init__(self, tokens: Tokens, place: Place) -> None:
        self._settings = parse(SharePointConfig, dict(place.config), "/config")
        self._tokens = tokens
        self._base = self._settings.url.rstrip("/")
        graph = urlsplit(self._settings.url)
        self._grant = Grant(
            url=f"{self._settings.login_url.rstrip('/')}/{self._settings.tenant}/oauth2/v2.0/token",
            form={
                "grant_type": "client_credentials",
                "client_id": self._settings.client_id,
                "client_secret": place.secrets.get("client_secret", ""),
                "scope": f"{graph.scheme}://{graph.netloc}/.default",
            },
        )
        self._drives: dict[str, str] = {}
        self._readers: dict[str, Sequence[str] | None] = {}

    async def drives(self) -> list[str]:
        """Return the ids of the libraries that are wanted; raise SourceUnavailable where one is not there."""
        host, _, path = self._settings.site.partition(":")
        site = f"/sites/{host}:{quote(path.rstrip('/'))}" if path.strip("/") else f"/sites/{host}"
        id = id_of((await self._get(site)).of_source().json())
        found = [each async for each in self._all(f"/sites/{quote(id, safe=',')}/drives")]
        self._drives = {id_of(each): text(mapping(each).get("name")) for each in found}
        missing = [name for name in self._settings.drives if name not in self._drives.values()]
        if missing:
            raise SourceUnavailable(
                f"The site has no document library {missing[0]!r}, or the application may not see it."
            )
        return [id for id, name in self._drives.items() if not self._settings.drives or name in self._settings.drives]

    async def files(self, drive: str) -> AsyncIterator[File]:
        """Yield all files of a library, in all its folders."""
        told: dict[str, Mapping[str, Any]] = {}
        async for each in self._all(f"/drives/{quote(drive, safe='')}/root/delta", end="@odata.deltaLink"):
            noted(told, each)
        for file in files_of(told):
            yield file

    async def listed(self, drive: str, file: File) -> Listed | None:
        """Return how a file is listed; None: it is none that is read."""
        readable = not file.is_package and wanted(file.path, self._settings)
        if not readable or not ID.match(drive) or not ID.match(file.id):
            return None
        if not file.size:  # as while it is uploaded
            return Listed(external_id=f"{drive}/{file.id}", version=None, wanted=False)
        try:
            readers = await self._acl(drive, file.id)
        except NotFetched:
            return Listed(external_id=f"{drive}/{file.id}", version=None)
        around = sha256(orjson.dumps([file.tag, file.path, readers])).hexdigest()[:32]
        return Listed(external_id=f"{drive}/{file.id}", version=around if file.tag else None)

    async def file(self, drive: str, id: str) -> GivenDocument:
        """Return a file, or raise NotFetched."""
        path = f"/drives/{quote(drive, safe='')}/items/{quote(id, safe='')}"
        item = mapping((await self._get(path)).of_item("error.code", "itemNotFound").json())
        if "deleted" in item:
            raise NotFetched("It was thrown away.", code="gone")
        if "file" not in item:
            raise NotFetched("What was answered is no file.")
        readers = await self._acl(drive, id)
        content = (await self._get(f"{path}/content")).of_part().body
        if not content:
            raise NotFetched("It is empty.", code="empty")
        name = text(item.get("name"))
        return GivenDocument(
            external_id=f"{drive}/{id}",
            title=title(name, id),
            url=address(item.get("webUrl")),
            media_type=media_type_of(item),
            content=content,
            metadata={
                "site": self._settings.site,
                "drive": await self._name_of(drive),
                "path": "/".join([*folder_of(item), name]),
                "size": len(content),
                "created_at": text(item.get("createdDateTime")),
                "changed_at": text(item.get("lastModifiedDateTime")),
                "changed_by": text(mapping(mapping(item.get("lastModifiedBy")).get("user")).get("displayName")),
            },
            acl=readers,
        )

    async def _acl(self, drive: str, id: str) -> Sequence[str] | None:
        """Return the groups that may read a file, or raise NotFetched: what may be secret is not taken over."""
        if not self._settings.permissions:
            return None
        key = f"{drive}/{id}"
        if key not in self._readers:
            path = f"/drives/{quote(drive, safe='')}/items/{quote(id, safe='')}/permissions"
            told = [each async for each in self._all(path, of_part=True)]
            self._readers[key] = readers_of(told, datetime.now(UTC))
        return self._readers[key]

    async def _name_of(self, drive: str) -> str:
        if drive not in self._drives:
            answer = (await self._get(f"/drives/{quote(drive, safe='')}")).of_part().json()
            self._drives[drive] = text(mapping(answer).get("name"))
        return self._drives[drive]

    async def _all(self, path: str, *, of_part: bool = False, end: str | None = None) -> AsyncIterator[Any]:
        """Yield all items of a list; one of a document that is refused concerns this document only.

        `end` is what the last page says: without it the list is cut off.
        """
        last: Any = None

        async def ask(following: str | None) -> Any:
            answer = await self._get(path) if following is None else await self._ask(self._own(following))
            return (answer.of_part() if of_part else answer.of_source()).json()

        refusal = NotFetched if of_part else SourceUnavailable
        async for found, told in pages(ask, items="value", next="@odata.nextLink", refusal=refusal):
            last = told
            for each in found:
                yield each
        if end is not None and end not in mapping(last):
            raise refusal(f"A list ends without saying so: there is neither a next page nor `{end}`.")

    def _own(self, following: str) -> str:
        """Return the address of a next page, or raise SourceUnavailable where it leads to somebody else."""
        try:
            own = origin_of(following) == origin_of(self._base)
        except ValueError:
            own = False
        if not own:
            raise SourceUnavailable("Microsoft Graph names a next page that is not its own.")
        return following

    async def _get(self, path: str) -> Answer:
        return await self._ask(f"{self._base}{path}")

    async def _ask(self, url: str) -> Answer:
        return await self._tokens.ask(self._grant, Ask(url=url))


def media_type_of(item: Mapping[str, Any]) -> str:
    """Return what a file says it is, where its name does not tell."""
    try:
        kind_of("", text(item.get("name")))
    except Unreadable:
        return text(mapping(item.get("file")).get("mimeType"))
    return ""
