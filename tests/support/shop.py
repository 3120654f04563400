"""A shop on loopback that tools can be made of: an API that OpenAPI describes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from json import dumps
from typing import Any

from tests.support.patience import PATIENCE
from tests.support.site import Answer, Asked, Site, site

SPEC: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "/v1"}],
    "paths": {
        "/items/{item-id}": {
            "parameters": [{"name": "item-id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "findItem", "summary": "Find an item"},
        },
        "/orders": {
            "post": {
                "operationId": "order",
                "summary": "Order an item",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["item"],
                                "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
                            }
                        }
                    },
                },
            }
        },
    },
}


def answered(asked: Asked) -> Answer:
    """Answer as the shop does."""
    if asked.path == "/openapi.json":
        return Answer(body=SPEC)
    if asked.path.startswith("/v1/items/"):
        return Answer(body={"item": asked.path.removeprefix("/v1/items/"), "price": "12.50"})
    if asked.path == "/v1/orders" and asked.method == "POST":
        return Answer(status=201, body={"ordered": asked.json["item"]})
    return Answer(status=404, body={"error": "There is nothing here."})


class Shop:
    """The shop, and what it was asked."""

    def __init__(self, served: Site) -> None:
        self.site = served

    @property
    def orders(self) -> list[Any]:
        """What was ordered."""
        return [asked.json for asked in self.site.asked if asked.path == "/v1/orders"]

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return a tool server's settings, with the specification as text."""
        return {"name": "shop", "type": "openapi", "spec": dumps(SPEC), "base_url": f"{self.site.url}/v1", **more}

    async def until_asked(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(PATIENCE):
            while len(self.site.asked) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """Open the shop while the block lasts."""
    async with site(answered) as served:
        yield Shop(served)
