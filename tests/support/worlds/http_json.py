"""A list of items in JSON, two on a page, with a cursor to the next; each item is had alone too."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.site import Answer, Asked
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2


class HttpJsonWorld(SiteWorld):
    type = "http_json"
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": f"{self.site.url}/items?limit={PAGE}",
            "items": "data.items",
            "title": "name",
            "text": "body",
            "version": "hash",
            "next": "data.next",
            "cursor_parameter": "after",
            "item_url": f"{self.site.url}/items/{{id}}",
        }

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {CANARY}"

    def asks_for(self, asked: Asked) -> str | None:
        return asked.path.removeprefix("/items/") if asked.path.startswith("/items/") else None

    def answer(self, asked: Asked) -> Answer:
        name = self.asks_for(asked)
        if name is not None:
            return Answer(body=self.item(name)) if name in self.documents else Answer(status=404)
        names = [each for each in sorted(self.documents) if each > asked.query.get("after", "")]
        after = names[PAGE - 1] if len(names) > PAGE else None
        return Answer(body={"data": {"items": [self.item(each) for each in names[:PAGE]], "next": after}})

    def item(self, name: str) -> dict[str, Any]:
        text = self.documents[name]
        return {"id": name, "name": f"About {name}", "body": text, "hash": str(hash(text)), "labels": {"kind": "note"}}
