"""Notion with pages of one paragraph each, two on a page of any list."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from tests.support.site import Answer, Asked
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2
VERSION = "2025-09-03"


def notion_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def said(words: str, **more: Any) -> list[dict[str, Any]]:
    """Return rich text."""
    return [{"type": "text", "text": {"content": words}, "plain_text": words, "href": None, "annotations": {}} | more]


def block(kind: str, id: str = "", *, has_children: bool = False, **value: Any) -> dict[str, Any]:
    return {"object": "block", "id": id or notion_id(kind), "type": kind, "has_children": has_children, kind: value}


def paragraph(words: str) -> dict[str, Any]:
    return block("paragraph", rich_text=said(words))


def refused(status: int, code: str) -> Answer:
    return Answer(status=status, body={"object": "error", "status": status, "code": code, "message": "Not so."})


def page_of(found: list[Any], cursor: str | None, size: int = PAGE) -> Answer:
    """Return one page of a list, whose cursors are numbers here."""
    start = int(cursor or 0)
    end = start + size
    more = end < len(found)
    body = {"object": "list", "results": found[start:end], "has_more": more, "next_cursor": str(end) if more else None}
    return Answer(body=body)


class NotionWorld(SiteWorld):
    type = "notion"
    renames = True
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    def __init__(self, site: Any) -> None:
        super().__init__(site)
        self.edits: dict[str, int] = {}

    @property
    def config(self) -> dict[str, Any]:
        return {"url": self.site.url, "requests_per_second": 1000}

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        self.edits[name] = self.edits.get(name, 0) + 1

    def external_id(self, name: str) -> str:
        return notion_id(name)

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {CANARY}"

    def asks_for(self, asked: Asked) -> str | None:
        parts = asked.path.split("/")
        if len(parts) < 4 or parts[2] not in ("pages", "blocks"):
            return None
        return next((name for name in self.edits if notion_id(name) == parts[3]), parts[3])

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("notion-version") != VERSION:
            return refused(400, "missing_version")
        if (asked.method, asked.path) == ("POST", "/v1/search"):
            assert asked.json["filter"] == {"property": "object", "value": "page"}
            return page_of([self.page(name) for name in sorted(self.documents)], asked.json.get("start_cursor"))
        name = self.asks_for(asked)
        if name not in self.documents:
            return refused(404, "object_not_found")
        if asked.path.startswith("/v1/pages/"):
            return Answer(body=self.page(name))
        return page_of([paragraph(self.documents[name])], asked.query.get("start_cursor"))

    def page(self, name: str) -> dict[str, Any]:
        return {
            "object": "page",
            "id": notion_id(name),
            "created_time": "2026-01-01T00:00:00.000Z",
            "last_edited_time": f"2026-01-01T00:{self.edits[name]:02}:00.000Z",
            "in_trash": False,
            "archived": False,
            "parent": {"type": "workspace", "workspace": True},
            "properties": {"title": {"id": "title", "type": "title", "title": said(self.title(name))}},
            "url": f"https://www.notion.so/{notion_id(name).replace('-', '')}",
        }
