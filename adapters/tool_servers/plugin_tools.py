"""Tool servers that are plugins: their tools are called in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.plugins.tool import PluginTool
from adapters.tool_servers.answers import told
from commands.agents.tools import Offer, ToolAnswer, ToolServerUnavailable
from domain.tool_server import ToolServer


@dataclass(frozen=True, kw_only=True)
class PluginTools:
    """Calls plugins by their name."""

    plugins: Mapping[str, PluginTool]
    secrets: SealedSourceSecrets

    async def offer(self, server: ToolServer) -> Offer:
        """Return what the plugin of a server is now."""
        return self._of(server).offer()

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call it once."""
        secrets = await self.secrets.of(server)
        answer = await self._of(server).call(
            server.definition["config"], arguments, secrets, seconds=seconds, changes=server.has_effects(tool)
        )
        return ToolAnswer(text=told(answer.text, secrets.values()), failed=answer.failed, request=answer.request)

    def _of(self, server: ToolServer) -> PluginTool:
        name = server.definition["plugin"]
        if name not in self.plugins:
            raise ToolServerUnavailable(
                f"The plugin '{name}' is not here: install it and restart, or look at its error.", code="no_plugin"
            )
        return self.plugins[name]
