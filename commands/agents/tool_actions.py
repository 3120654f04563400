"""Tools of tool servers as actions of agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.agents.tools import ToolFailed, Tools
from commands.runs.runs import Recording
from domain.agent import TOOLS
from domain.tool_server import NoSuchTool, ToolServer

GONE = "This is not available now."
"""What a model is told of a tool that is no longer offered."""


@dataclass(frozen=True, kw_only=True)
class ToolFacts:
    """What is known of a tool before it is called."""

    changes: bool
    requires_confirmation: bool
    calls_per_turn: int | None


@dataclass(frozen=True, kw_only=True)
class ToolActions:
    """Tells models of tools, and calls them."""

    tools: Tools

    async def described(self, action: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return what a model is told of an action's tool: its description, and the schema of its arguments."""
        server = await self._server(action)
        try:
            tool = server.tool(action["operation"])
        except NoSuchTool:
            return GONE, {"type": "object", "properties": {}}
        settings = server.settings(tool["name"])
        return settings.description or tool["description"], tool["input_schema"]

    async def facts(self, actions: Sequence[Mapping[str, Any]]) -> dict[str, ToolFacts]:
        """Return function -> facts of those actions that are tools; one that is gone changes nothing."""
        found = {}
        for action in actions:
            if action["type"] in TOOLS:
                server = await self._server(action)
                settings = server.settings(action["operation"])
                tool = next((each for each in server.offered if each["name"] == action["operation"]), None)
                found[action["function"]] = ToolFacts(
                    changes=tool is not None and server.has_effects(tool),
                    requires_confirmation=settings.requires_confirmation,
                    calls_per_turn=settings.calls_per_turn,
                )
        return found

    async def call(
        self,
        recording: Recording,
        action: Mapping[str, Any],
        arguments: Mapping[str, Any],
        note: dict[str, Any],
        asked: dict[str, Any],
    ) -> str:
        """Call an action's tool, and return what it answered; raise ToolFailed where that is an error.

        What is known of the call besides is put into `note`, and into `asked` what may hold what was said.
        """
        server = await self.tools.server(UUID(action["tool"]))
        used = {"id": str(server.id), "name": server.name, "version": server.version}
        recording.versions.setdefault("tool_servers", []).append(used)
        answer = await self.tools.call(server, action["operation"], arguments)
        asked["request"], note["mocked"] = answer.request, answer.mocked
        if answer.status is not None:
            note["status"] = answer.status
        if answer.failed:
            raise ToolFailed(answer.text or "The tool failed, and says nothing of it.")
        return answer.text

    async def _server(self, action: Mapping[str, Any]) -> ToolServer:
        return await self.tools.things.newest(ToolServer, UUID(action["tool"]))
