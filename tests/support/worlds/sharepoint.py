"""Microsoft Graph with a site of SharePoint: libraries with folders and files, two things on a page of what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote

from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2
SITE = "contoso.sharepoint.com,2c712604-1370-44e7-a1f5-426573fda80a,2d2244c3-251a-49ea-93a8-39e1c3a060fe"


def granted(**identity: str) -> dict[str, Any]:
    """Return a permission to read of one kind of identity: kind -> display name."""
    return {
        "id": "p1",
        "roles": ["read"],
        "grantedToV2": {kind: {"id": "7", "displayName": name} for kind, name in identity.items()},
    }


@dataclass
class Thing:
    """A file or folder in a library."""

    id: str
    name: str
    content: bytes | None = None
    """None: it is a folder."""

    parent: str = "root"
    drive: str = "b!docs"
    changes: int = 1
    permissions: list[dict[str, Any]] = field(default_factory=lambda: [granted(siteGroup="Team Members")])
    more: dict[str, Any] = field(default_factory=dict)


class SharePointWorld(SiteWorld):
    type = "sharepoint"
    renames = True
    secrets: ClassVar[Mapping[str, str]] = {"client_secret": CANARY}

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.drives = {"b!docs": "Documents"}
        self.things: dict[str, Thing] = {}
        self.ids: dict[str, str] = {}
        self.tokens = 1
        self.expires: Any = 3599
        self.elsewhere: str | None = None
        """Where downloads lead, if not here."""

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": f"{self.site.url}/v1.0",
            "login_url": self.site.url,
            "tenant": "contoso.onmicrosoft.com",
            "client_id": "11111111-2222",
            "site": "contoso.sharepoint.com:/sites/Team",
        }

    @property
    def token(self) -> str:
        return f"token-{self.tokens}-{CANARY}"

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        id = self.ids.setdefault(name, f"01ITEM{len(self.ids)}")
        changes = self.things[id].changes + 1 if id in self.things else 1
        self.add(Thing(id, f"{self.titles.get(name, name)}.txt", text.encode(), changes=changes))

    async def remove(self, name: str) -> None:
        await super().remove(name)
        del self.things[self.ids[name]]

    def add(self, *things: Thing) -> None:
        self.things |= {each.id: each for each in things}

    def external_id(self, name: str) -> str:
        return f"b!docs/{self.ids[name]}"

    def authorized(self, asked: Asked) -> bool:
        if asked.path == "/contoso.onmicrosoft.com/oauth2/v2.0/token":
            form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            return form == {
                "grant_type": "client_credentials",
                "client_id": "11111111-2222",
                "client_secret": CANARY,
                "scope": f"{self.site.url}/.default",
            }
        return asked.headers.get("authorization") == f"Bearer {self.token}" or asked.path.startswith("/download/")

    def asks_for(self, asked: Asked) -> str | None:
        parts = asked.path.split("/")
        return next((name for name, id in self.ids.items() if parts[-2:] == [id, "content"]), None)

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("/oauth2/v2.0/token"):
            return Answer(body={"token_type": "Bearer", "expires_in": self.expires, "access_token": self.token})
        match asked.path.removeprefix("/v1.0").strip("/").split("/"):
            case ["sites", "contoso.sharepoint.com:", "sites", "Team"]:
                return Answer(body={"id": SITE, "displayName": "Team"})
            case ["sites", site, "drives"] if site == SITE:
                return self.page([{"id": id, "name": name} for id, name in self.drives.items()], asked)
            case ["drives", drive, "root", "delta"] if drive in self.drives:
                root = {"id": f"root-{drive}", "name": "root", "root": {}, "folder": {}}
                return self.page([root, *(self.shown(each) for each in self.of(drive))], asked)
            case ["drives", drive] if drive in self.drives:
                return Answer(body={"id": drive, "name": self.drives[drive]})
            case ["drives", _, "items", id] if id in self.things:
                return Answer(body=self.shown(self.things[id], alone=True))
            case ["drives", _, "items", id, "permissions"] if id in self.things:
                return self.page(self.things[id].permissions, asked)
            case ["drives", _, "items", id, "content"] if id in self.things:
                there = self.elsewhere or self.site.url
                return Answer(status=302, headers={"Location": f"{there}/download/{id}?tempauth={CANARY}"})
            case ["download", id] if id in self.things:
                return Answer(body=self.things[id].content or b"")
        return Answer(
            status=404, body={"error": {"code": "itemNotFound", "message": "The resource could not be found."}}
        )

    def of(self, drive: str) -> list[Thing]:
        return [each for each in self.things.values() if each.drive == drive]

    def page(self, everything: Sequence[Any], asked: Asked) -> Answer:
        start = int(asked.query.get("$skiptoken", "0"))
        more = len(everything) > start + PAGE
        following = f"{self.site.url}{quote(asked.path)}?$skiptoken={start + PAGE}"
        end = (
            {"@odata.deltaLink": f"{self.site.url}{quote(asked.path)}?token=1"} if asked.path.endswith("delta") else {}
        )
        links = {"@odata.nextLink": following} if more else end
        return Answer(body={"value": everything[start : start + PAGE], **links})

    def shown(self, thing: Thing, alone: bool = False) -> dict[str, Any]:
        above = self.things.get(thing.parent)
        reference: dict[str, Any] = {"driveId": thing.drive, "id": above.id if above else f"root-{thing.drive}"}
        if alone:
            folders: list[str] = []
            while above is not None:
                folders.insert(0, quote(above.name))
                above = self.things.get(above.parent)
            reference["path"] = "/".join([f"/drives/{thing.drive}/root:", *folders])
        shown = {
            "id": thing.id,
            "name": thing.name,
            "eTag": f'"{{{thing.id}}},{thing.changes}"',
            "webUrl": f"https://contoso.sharepoint.com/sites/Team/{quote(thing.name)}",
            "createdDateTime": "2026-01-01T00:00:00Z",
            "lastModifiedDateTime": "2026-05-01T10:00:00Z",
            "lastModifiedBy": {"user": {"displayName": "Robin"}},
            "parentReference": reference,
        }
        if "package" in thing.more:
            return {**shown, "size": 100, **thing.more}
        if thing.content is None:
            return {**shown, "folder": {"childCount": 1}, **thing.more}
        return {**shown, "size": len(thing.content), "file": {"mimeType": "text/plain"}, **thing.more}
