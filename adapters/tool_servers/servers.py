"""Every kind of tool servers behind one port, and the way out that they share."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from adapters.connectors.oauth import Tokens
from adapters.connectors.web import Web
from adapters.egress import Egress
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.tool_servers.apis import Apis, OpenAPISpecifications
from adapters.tool_servers.guarded_http import GuardedTransport
from adapters.tool_servers.mcp_servers import McpServers
from commands.tools import Offer, ToolAnswer
from domain.tool_server import ToolServer


@dataclass(frozen=True, kw_only=True)
class ReachedToolServers:
    """Asks and calls servers by their type."""

    apis: Apis
    mcp: McpServers

    async def offer(self, server: ToolServer) -> Offer:
        """Return what a server offers."""
        return await self._of(server).offer(server)

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call a tool once."""
        return await self._of(server).call(server, tool, arguments, seconds=seconds)

    def _of(self, server: ToolServer) -> Apis | McpServers:
        return self.mcp if server.definition["type"] == "mcp" else self.apis


@asynccontextmanager
async def tool_servers(egress: Egress, secrets: SealedSourceSecrets) -> AsyncIterator[ReachedToolServers]:
    """Yield the way to tool servers; afterwards its connections are closed."""
    web, transport = Web(egress), GuardedTransport(egress)
    tokens = Tokens(web)
    try:
        yield ReachedToolServers(
            apis=Apis(web=web, tokens=tokens, secrets=secrets, specifications=OpenAPISpecifications()),
            mcp=McpServers(transport=transport, tokens=tokens, secrets=secrets),
        )
    finally:
        await web.close()
        await transport.aclose()
