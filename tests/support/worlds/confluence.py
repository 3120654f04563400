"""Confluence Cloud and Data Center: a space DOC with pages, two on a page of its list."""

import base64
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2
SPACE = {"id": "77", "key": "DOC", "name": "Documentation"}


@dataclass
class Thing:
    """A page, blog post, folder or attachment."""

    id: str
    title: str
    stored: str = ""
    kind: str = "page"
    version: int = 1
    parent: str | None = None
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    on: str | None = None
    media_type: str = "text/plain"


class ConfluenceWorld(SiteWorld):
    """What both have in common: who is let in, and who may read what."""

    type = "confluence"
    renames = True
    flavour: ClassVar[str]
    wiki: ClassVar[str]
    """The path that all is below."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.things: dict[str, Thing] = {}
        self.ids: dict[str, str] = {}
        self.numbers = count(1001)

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}", "flavour": self.flavour, "spaces": ["DOC"]}

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        id = self.ids.setdefault(name, str(next(self.numbers)))
        version = self.things[id].version + 1 if id in self.things else 1
        self.things[id] = Thing(id, self.title(name), f"<p>{text}</p>", version=version)

    async def remove(self, name: str) -> None:
        await super().remove(name)
        del self.things[self.ids.pop(name)]

    def external_id(self, name: str) -> str:
        return f"page/{self.ids[name]}"

    def add(self, thing: Thing) -> None:
        self.things[thing.id] = thing

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization", "").endswith(
            CANARY if self.flavour == "data_center" else base64.b64encode(f"a@example.com:{CANARY}".encode()).decode()
        )

    def asks_for(self, asked: Asked) -> str | None:
        if "body-format" not in asked.query and "body" not in asked.query.get("expand", ""):
            return None
        id = asked.path.rpartition("/")[2]
        return next((name for name, each in self.ids.items() if each == id), None)

    def answer(self, asked: Asked) -> Answer:
        parts = asked.path.removeprefix(self.wiki).strip("/").split("/")
        if parts[-3:] == ["restriction", "byOperation", "read"]:
            return self.restriction(self.things[parts[3]], asked) if parts[3] in self.things else Answer(status=404)
        return self.told(parts, asked)

    @abstractmethod
    def told(self, parts: list[str], asked: Asked) -> Answer:
        """Answer what is no restriction, as this flavour does."""

    def restriction(self, thing: Thing, asked: Asked) -> Answer:
        start, limit = int(asked.query["start"]), 2
        groups = [{"type": "group", "name": each, "id": f"id-{each}"} for each in thing.groups]
        users = [{"type": "known", "accountId": each} for each in thing.users]
        cut = slice(start, start + limit)
        told = {"start": start, "limit": limit}
        return Answer(
            body={
                "operation": "read",
                "restrictions": {
                    "group": {"results": groups[cut], "size": len(groups[cut]), **told},
                    "user": {"results": users[cut], "size": len(users[cut]), **told},
                },
            }
        )

    def of(self, kind: str) -> list[Thing]:
        return [each for _, each in sorted(self.things.items()) if each.kind == kind]


class CloudWorld(ConfluenceWorld):
    flavour = "cloud"
    wiki = "/wiki"
    secrets: ClassVar[Mapping[str, str]] = {"basic": f"a@example.com:{CANARY}"}
    plurals: ClassVar[Mapping[str, str]] = {"pages": "page", "blogposts": "blogpost", "folders": "folder"}

    def told(self, parts: list[str], asked: Asked) -> Answer:
        match parts:
            case ["api", "v2", "spaces"]:
                return self.page([SPACE] if asked.query["keys"] == "DOC" else [], asked)
            case ["api", "v2", "spaces", "77"]:
                return Answer(body=SPACE)
            case ["api", "v2", ("pages" | "blogposts") as plural]:
                return self.page([self.shown(each) for each in self.of(self.plurals[plural])], asked)
            case ["api", "v2", _, id, "attachments"]:
                attached = [each for each in self.of("attachment") if each.on == id]
                return self.page([self.shown(each) for each in attached], asked)
            case ["api", "v2", _, id, "labels"]:
                return self.page([{"id": each, "name": each} for each in self.things[id].labels], asked)
            case ["api", "v2", _, id] if id in self.things:
                return Answer(body=self.shown(self.things[id], whole="body-format" in asked.query))
            case ["rest", "api", "content", _, "child", "attachment", id, "download"]:
                return Answer(status=302, headers={"Location": f"{self.site.url}/wiki/media/{id}"})
            case ["media", id]:
                return Answer(body=self.things[id].stored.encode())
        return Answer(status=404, body={"errors": [{"status": 404, "code": "NOT_FOUND", "title": "Not Found"}]})

    def page(self, everything: Sequence[Any], asked: Asked) -> Answer:
        start = int(asked.query.get("cursor", "c0")[1:])
        following = f"{asked.path}?limit=250&cursor=c{start + PAGE}" if len(everything) > start + PAGE else None
        links = {"base": f"{self.site.url}/wiki", **({"next": following} if following else {})}
        return Answer(body={"results": everything[start : start + PAGE], "_links": links})

    def shown(self, thing: Thing, whole: bool = False) -> dict[str, Any]:
        parent = self.things.get(thing.parent or "")
        shown = {
            "id": thing.id,
            "status": "current",
            "title": thing.title,
            "version": {"number": thing.version, "createdAt": "2026-05-01T10:00:00.000Z", "authorId": "u1"},
            "_links": {"base": f"{self.site.url}/wiki", "webui": f"/spaces/DOC/pages/{thing.id}/x"},
        }
        if thing.kind == "attachment":
            kind = self.things[thing.on or ""].kind
            return shown | {"mediaType": thing.media_type, "pageId" if kind == "page" else "blogPostId": thing.on}
        shown |= {"spaceId": "77", "parentId": thing.parent, "parentType": parent.kind if parent else None}
        return shown | ({"body": {"storage": {"representation": "storage", "value": thing.stored}}} if whole else {})


class DataCenterWorld(ConfluenceWorld):
    flavour = "data_center"
    wiki = "/confluence"
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    @property
    def config(self) -> dict[str, Any]:
        return {**super().config, "url": f"{self.site.url}/confluence/"}

    def told(self, parts: list[str], asked: Asked) -> Answer:
        match parts:
            case ["rest", "api", "space", "DOC"]:
                return Answer(body=SPACE)
            case ["rest", "api", "content"]:
                return self.page([self.shown(each) for each in self.of(asked.query["type"])], asked)
            case ["rest", "api", "content", id, "child", "attachment"]:
                attached = [each for each in self.of("attachment") if each.on == id]
                return self.page([self.shown(each) for each in attached], asked)
            case ["rest", "api", "content", id, "label"]:
                return self.page([{"prefix": "global", "name": each} for each in self.things[id].labels], asked)
            case ["rest", "api", "content", id] if id in self.things:
                return Answer(body=self.shown(self.things[id], whole="body" in asked.query["expand"]))
            case ["download", "attachments", id, _]:
                return Answer(body=self.things[id].stored.encode())
        return Answer(status=404, body={"statusCode": 404, "message": "No content found"})

    def page(self, everything: Sequence[Any], asked: Asked) -> Answer:
        start = int(asked.query["start"])
        more = len(everything) > start + PAGE
        following = {"next": f"/rest/api/content?limit={PAGE}&start={start + PAGE}"} if more else {}
        told = {"start": start, "limit": PAGE, "size": len(everything[start : start + PAGE])}
        return Answer(body={"results": everything[start : start + PAGE], **told, "_links": following})

    def shown(self, thing: Thing, whole: bool = False) -> dict[str, Any]:
        above, id = list[dict[str, Any]](), thing.parent
        while id is not None:
            above.insert(0, {"id": id, "type": "page", "title": self.things[id].title})
            id = self.things[id].parent
        shown = {
            "id": thing.id,
            "type": thing.kind,
            "status": "current",
            "title": thing.title,
            "version": {"number": thing.version, "when": "2026-05-01T10:00:00.000Z"},
            "ancestors": above,
            "space": SPACE,
            "_links": {"base": f"{self.site.url}/confluence", "webui": f"/display/DOC/{thing.id}"},
        }
        if thing.kind == "attachment":
            shown["metadata"] = {"mediaType": thing.media_type}
            shown["container"] = {"id": thing.on}
            shown["_links"] = {"download": f"/download/attachments/{thing.id}/{thing.title}?version=1"}
        return shown | ({"body": {"storage": {"representation": "storage", "value": thing.stored}}} if whole else {})
