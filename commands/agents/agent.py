"""An agent's own rules: templates that can be rendered, tools that are offered, and guardrails that there are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.agents.guardrails import Guards
from commands.configuration import Change
from commands.ports import PromptRenderer, Template, Things
from domain.definition import parse
from domain.errors import Invalid
from domain.tool_server import ToolServer


@dataclass(frozen=True, kw_only=True)
class AgentRules:
    """Has changed templates of agents parsed where a hostile one does no harm, their tools and guardrails looked up."""

    renderer: PromptRenderer
    things: Things
    guards: Guards

    async def __call__(self, change: Change) -> None:
        """Refuse what is no template, what is no tool of its tool server, and what is looked for by nobody here."""
        await self._must_be_offered(change)
        for pointer, rail in guardrails(change.thing.definition):
            self._must_fit(pointer, rail)
        before = {} if change.before is None else dict(templates(change.before))
        changed = [
            Template(name=pointer, source=source)
            for pointer, source in templates(change.thing.definition)
            if before.get(pointer) != source and "{" in source
        ]
        if changed:
            await self.renderer.check(changed)

    def _must_fit(self, pointer: str, rail: Mapping[str, Any]) -> None:
        guard = self.guards.get(rail["type"])
        if guard is None:
            known = ", ".join(sorted(self.guards))
            raise Invalid(
                f"There is no guardrail of this type; there are {known}.",
                code="unknown_guardrail",
                pointer=f"{pointer}/type",
            )
        parse(guard.config, rail.get("config", {}), f"{pointer}/config")

    async def _must_be_offered(self, change: Change) -> None:
        """Raise Invalid where an action that is new calls a tool that is not offered.

        Whether there is such a tool server at all, the append looks at. What one offers that was never synced is not
        known yet.
        """
        before = {} if change.before is None else {tool: True for _, tool in tools_of(change.before)}
        for pointer, (kind, server_id, operation) in tools_of(change.thing.definition):
            server = (await self.things.newest_of(ToolServer, [UUID(server_id)])).get(UUID(server_id))
            if server is None or (kind, server_id, operation) in before:
                continue
            if server.definition["type"] not in TYPES[kind]:
                raise Invalid(
                    f"This tool server is of type {server.definition['type']}: its tools are actions of type "
                    f"{next(each for each in TYPES if server.definition['type'] in TYPES[each])}.",
                    code="wrong_type",
                    pointer=f"{pointer}/type",
                )
            if server.synced is not None and all(tool["name"] != operation for tool in server.offered):
                raise Invalid(
                    "The tool server offers no such tool: sync it where it does by now.",
                    code="unknown_tool",
                    pointer=f"{pointer}/operation",
                )


TYPES: Mapping[str, frozenset[str]] = {"api_tool": frozenset({"openapi", "plugin"}), "mcp_tool": frozenset({"mcp"})}
"""Of which types the tool servers are whose tools are actions of a type."""


def guardrails(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (JSON pointer, guardrail) of a definition, variants' too."""
    variants = definition.get("variants", {})
    for prefix, settings in (("", definition), *((f"/variants/{name}", each) for name, each in variants.items())):
        for stage in ("input", "output"):
            for number, rail in enumerate((settings.get("guardrails") or {}).get(stage, ())):
                yield f"{prefix}/guardrails/{stage}/{number}", rail


def templates(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, source) of each template of a definition, variants' too."""
    for pointer, action in actions_of(definition):
        if action.get("confirmation_message") is not None:
            yield f"{pointer}/confirmation_message", action["confirmation_message"]


def tools_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield (JSON pointer, (type, tool server, tool)) of each action that is a tool, variants' too."""
    for pointer, action in actions_of(definition):
        if action.get("type") in TYPES:
            yield pointer, (action["type"], action["tool"], action["operation"])


def actions_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (JSON pointer, action) of each action of a definition, those of topics and variants too."""
    variants = definition.get("variants", {})
    for prefix, settings in (("", definition), *((f"/variants/{name}", each) for name, each in variants.items())):
        for number, action in enumerate(settings.get("actions", ())):
            yield f"{prefix}/actions/{number}", action
        for place, topic in enumerate(settings.get("topics", ())):
            for number, action in enumerate(topic.get("actions", ())):
                yield f"{prefix}/topics/{place}/actions/{number}", action
