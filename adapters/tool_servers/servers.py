"""Every kind of tool servers behind one port, and the way out that they share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.connectors.oauth import Tokens
from adapters.connectors.web import Web
from adapters.egress import Egress
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.plugins.tool import PluginTool
from adapters.tool_servers.apis import Apis, OpenAPISpecifications
from adapters.tool_servers.guarded_http import GuardedTransport
from adapters.tool_servers.plugin_tools import PluginTools
from commands.agents.tools import Offer, ToolAnswer
from domain.tool_server import ToolServer

if TYPE_CHECKING:
    from adapters.tool_servers.mcp_servers import McpServers


@dataclass(frozen=True, kw_only=True)
class ReachedToolServers:
    """Asks and calls servers by their type."""

    apis: Apis
    transport: GuardedTransport
    tokens: Tokens
    secrets: SealedSourceSecrets
    plugins: PluginTools

    async def offer(self, server: ToolServer) -> Offer:
        """Return what a server offers."""
        return await (await self._of(server)).offer(server)

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call a tool once."""
        return await (await self._of(server)).call(server, tool, arguments, seconds=seconds)

    async def _of(self, server: ToolServer) -> "Apis | McpServers | PluginTools":
        if server.definition["type"] == "plugin":
            return self.plugins
        if server.definition["type"] != "mcp":
            return self.apis
        kind = await asyncio.to_thread(_import_mcp_servers)
        return kind(transport=self.transport, tokens=self.tokens, secrets=self.secrets)


def _import_mcp_servers() -> "type[McpServers]":
    from adapters.tool_servers.mcp_servers import McpServers  # noqa: PLC0415  who calls none does not pay for mcp

    return McpServers


@asynccontextmanager
async def tool_servers(
    egress: Egress, secrets: SealedSourceSecrets, plugins: Mapping[str, PluginTool] | None = None
) -> AsyncIterator[ReachedToolServers]:
    """Yield the way to tool servers; afterwards its connections are closed."""
    web, transport = Web(egress), GuardedTransport(egress)
    tokens = Tokens(web)
    try:
        yield ReachedToolServers(
            apis=Apis(web=web, tokens=tokens, secrets=secrets, specifications=OpenAPISpecifications()),
            transport=transport,
            tokens=tokens,
            secrets=secrets,
            plugins=PluginTools(plugins=plugins or {}, secrets=secrets),
        )
    finally:
        await web.close()
        await transport.aclose()
