"""HubSpot with blog posts and tickets in turn, two on a page of any list."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.site import Answer, Asked
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2
POSTS = "/cms/v3/blogs/posts"
TICKETS = "/crm/v3/objects/tickets"


def page_of(found: list[Any], after: str | None) -> Answer:
    """Return one page of a list; `paging` is there only where there is a next one."""
    start = int(after or 0)
    end = start + PAGE
    paging = {"paging": {"next": {"after": str(end), "link": "?after="}}} if end < len(found) else {}
    return Answer(body={"results": found[start:end], **paging})


def refused(status: int, category: str) -> Answer:
    return Answer(status=status, body={"status": "error", "message": "Not so.", "category": category})


class HubSpotWorld(SiteWorld):
    type = "hubspot"
    renames = True
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    def __init__(self, site: Any) -> None:
        super().__init__(site)
        self.edits: dict[str, int] = {}
        self.ids: dict[str, int] = {}

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": self.site.url,
            "content": ["blog_posts"],
            "objects": [{"type": "tickets", "text": ["content"], "properties": ["hs_pipeline_stage"]}],
            "requests_per_second": 1000,
        }

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        self.edits[name] = self.edits.get(name, 0) + 1
        self.ids.setdefault(name, 1001 + len(self.ids))

    def is_post(self, name: str) -> bool:
        return self.ids[name] % 2 == 0

    def external_id(self, name: str) -> str:
        return f"{'blog_posts' if self.is_post(name) else 'tickets'}/{self.ids[name]}"

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {CANARY}"

    def asks_for(self, asked: Asked) -> str | None:
        for kind, path in ((True, POSTS), (False, TICKETS)):
            if asked.path.startswith(f"{path}/"):
                id = asked.path.removeprefix(f"{path}/")
                return next((name for name in self.ids if (str(self.ids[name]), self.is_post(name)) == (id, kind)), id)
        return None

    def answer(self, asked: Asked) -> Answer:
        if asked.path in (POSTS, TICKETS):
            names = [name for name in sorted(self.documents) if self.is_post(name) == (asked.path == POSTS)]
            return page_of([self.item(name, "") for name in names], asked.query.get("after"))
        name = self.asks_for(asked)
        if name not in self.documents:
            return refused(404, "OBJECT_NOT_FOUND")
        return Answer(body=self.item(name, asked.query.get("properties", "")))

    def item(self, name: str, properties: str) -> dict[str, Any]:
        """Return a post, or a ticket with the properties that are asked for."""
        id, moment, text = str(self.ids[name]), f"2026-01-01T00:{self.edits[name]:02}:00.000Z", self.documents[name]
        if self.is_post(name):
            return {
                "id": id, "name": self.title(name), "htmlTitle": self.title(name), "postBody": f"<p>{text}</p>",
                "currentlyPublished": True, "state": "PUBLISHED", "created": "2026-01-01T00:00:00Z", "updated": moment,
                "url": f"https://blog.example.com/{name}", "archivedAt": "1970-01-01T00:00:00Z", "password": "",
            }  # fmt: skip
        known = {"content": text, "subject": self.title(name), "hs_pipeline_stage": "1"}
        return {
            "id": id,
            "properties": {each: known.get(each) for each in properties.split(",") if each},
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": moment,
            "archived": False,
        }
