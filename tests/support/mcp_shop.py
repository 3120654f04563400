"""A shop on loopback that speaks MCP by the official package: streamable HTTP and SSE.

The package takes long to import, and not every process that collects the tests opens a shop.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import uvicorn

from tests.support.site import QuietServer

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


@dataclass
class McpShop:
    """The shop, what was ordered, and the headers of what it was asked."""

    url: str = ""
    place: str = ""
    orders: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 0
    """Where set, all that is asked is answered with this alone."""
    token: str = ""
    """Where set, whoever brings another one is answered 401."""
    server: "MCPServer | None" = None

    def repeats(self, secret: str) -> None:
        """Offer tools that repeat a secret: one in its description, one in its name."""
        assert self.server is not None
        self.server.add_tool(lambda: "all", name="show", description=f"Show what {secret} may see.")
        self.server.add_tool(lambda: "all", name=f"show_{secret}", description="Show all.")


def server_of(shop: McpShop) -> "MCPServer":
    """Return the server."""
    from mcp.server.mcpserver import MCPServer
    from mcp_types import ToolAnnotations

    made = MCPServer("Shop")

    @made.tool(annotations=ToolAnnotations(read_only_hint=True))
    def find(item: str) -> str:
        """Find an item."""
        return f"{item} costs 12.50"

    @made.tool()
    def order(item: str, count: int = 1) -> str:
        """Order an item."""
        shop.orders.append(item)
        return f"ordered {count} {item}"

    @made.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("out of paper")

    @made.tool()
    async def hang() -> str:
        """Never answer."""
        await asyncio.sleep(60)
        return "late"

    @made.tool()
    def flood() -> str:
        """Answer too much."""
        return "x" * 900_000 * 3

    @made.prompt()
    def greet(name: str) -> str:
        """Greet somebody."""
        return f"Say hello to {name}."

    @made.resource("shop://hours")
    def hours() -> str:
        """When it is open."""
        return "9 to 5"

    return made


@asynccontextmanager
async def mcp_shop(transport: Literal["streamable_http", "sse"] = "streamable_http") -> AsyncIterator[McpShop]:
    """Open the shop while the block lasts."""
    shop = McpShop()
    server = shop.server = server_of(shop)
    app = server.sse_app() if transport == "sse" else server.streamable_http_app()

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            shop.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
            known = not shop.token or shop.headers[-1].get("authorization") == f"Bearer {shop.token}"
            if shop.status or not known:
                await send({"type": "http.response.start", "status": shop.status or 401, "headers": []})
                await send({"type": "http.response.body", "body": b"no"})
                return
        await app(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        shop.place = f"127.0.0.1:{listening.getsockname()[1]}"
        shop.url = f"http://{shop.place}/{'sse' if transport == 'sse' else 'mcp'}"
        config = uvicorn.Config(asked, log_level="critical", timeout_graceful_shutdown=1)
        served = QuietServer(config)
        task = asyncio.create_task(served.serve(sockets=[listening]))
        try:
            yield shop
        finally:
            served.should_exit = True
            await task
