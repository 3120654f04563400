"""A tool server's own rules: what it offers is recorded, and settings are for tools that there are."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from commands.agents.tools import Offer, Specifications, ToolPlugins, Tools, ToolServers
from commands.bus import Bus, Done
from commands.configuration import Change, OnThing
from commands.knowledge.trials import ShowTrial
from commands.plugin_settings import must_be_asked_for, must_be_here
from commands.ports import Context, Receipt, Things, Unit
from domain.definition import parse, same
from domain.errors import Conflict, Invalid
from domain.references import escaped
from domain.tool_server import SECRET_OF, ToolServer


class ServerChanged(Conflict):
    """Its settings were changed while it was being asked: sync it again."""

    code = "changed_meanwhile"


@dataclass(frozen=True, kw_only=True)
class SyncTools(OnThing):
    """Ask a tool server what it offers, and record that."""

    kind: type[ToolServer] = ToolServer


@dataclass(frozen=True, kw_only=True)
class NoteTools(OnThing):
    """Record what a tool server offers; `asked` is what it was set to when it was asked."""

    asked: Mapping[str, Any]
    offer: Offer
    kind: type[ToolServer] = ToolServer


@dataclass(frozen=True, kw_only=True)
class TryTool(OnThing):
    """Call a tool."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: type[ToolServer] = ToolServer


@dataclass(frozen=True, kw_only=True)
class ToolServerHandlers:
    """Carries out the commands on tool servers; as their rule, reads a specification as soon as it is given."""

    specifications: Specifications
    plugins: ToolPlugins = field(default_factory=dict)

    async def __call__(self, change: Change) -> None:
        """Refuse secrets and settings that belong to nothing; read a specification that is new."""
        server = cast(ToolServer, change.thing)
        if server.archived:
            return
        before, now = change.before, server.definition
        if now["type"] == "plugin":
            self._settle_plugin(server, before)
        else:
            must_know(server)
        if now["spec"] is not None and (before is None or not same(read_of(before), read_of(now))):
            server.sync((await self.specifications.read(now["spec"], now["auth"])).document())
        if server.synced is not None:
            must_be_offered(server, before or {"tools": {}, "mocks": {}})

    def _settle_plugin(self, server: ToolServer, before: Mapping[str, Any] | None) -> None:
        """Refuse what the plugin can't be set to; take down what it offers."""
        now = server.definition
        if before is None or not same(read_of(before), read_of(now)):
            must_be_here(self.plugins, now["plugin"], "/plugin")
            plugin = self.plugins[now["plugin"]]
            parse(plugin.config, dict(now["config"]), "/config")
            server.sync(plugin.offer().document())
        if now["plugin"] in self.plugins:
            kept = {name.partition("/")[2]: f"/{name}" for name in server.secrets}
            must_be_asked_for(self.plugins[now["plugin"]].secrets, kept)

    async def note(self, command: NoteTools, unit: Unit) -> Done:
        """Record what a tool server offers."""
        server = await unit.load(ToolServer, command.id)
        server.must_be_at(command.if_match)
        if not same(read_of(server.definition), dict(command.asked)):
            raise ServerChanged
        before = {tool["name"]: tool for tool in server.offered}
        server.sync(command.offer.document())
        unit.save(server)
        now = {tool["name"]: tool for tool in server.offered}
        shown = {
            "tools": len(now),
            "added": sorted(now.keys() - before.keys()),
            "changed": sorted(name for name in now.keys() & before.keys() if not same(now[name], before[name])),
            "removed": sorted(before.keys() - now.keys()),
            "left_out": [dict(each) for each in command.offer.left_out],
            "unknown_settings": list(server.unknown_names()),
        }
        return Done(aggregate=server, shown=shown)


@dataclass(frozen=True, kw_only=True)
class ToolServerCalls:
    """Asks tool servers what they offer, and tries their tools out."""

    bus: Bus
    things: Things
    servers: ToolServers
    tools: Tools

    async def sync(self, command: SyncTools, context: Context) -> Receipt:
        """Ask, and record; raise NotFound, Archived, StaleVersion, or what says what is wrong with the server."""
        receipt = await self.bus.earlier(context)
        if receipt is not None:
            return receipt
        server = await self.tools.server(command.id)
        offer = await self.servers.offer(server)
        note = NoteTools(id=command.id, if_match=command.if_match, asked=read_of(server.definition), offer=offer)
        return await self.bus.dispatch(note, context)

    async def try_out(self, command: TryTool, context: Context) -> Receipt:
        """Call a tool, and show what came of it; raise what says why it can't be called."""
        receipt = await self.bus.earlier(context)
        if receipt is not None:
            return receipt
        server = await self.tools.server(command.id)
        server.must_be_at(command.if_match)
        began = time.perf_counter()
        answer = await self.tools.call(server, command.tool, command.arguments)
        shown = {
            "ok": not answer.failed,
            "request": answer.request,
            "status": answer.status,
            "result": answer.text,
            "mocked": answer.mocked,
            "duration_ms": round((time.perf_counter() - began) * 1000, 3),
        }
        return await self.bus.dispatch(ShowTrial(kind=ToolServer, id=command.id, shown=shown), context)


def read_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that say what there is to be read."""
    return {name: definition.get(name) for name in READ}


READ = ("url", "spec", "base_url", "transport", "auth", "plugin", "config")


def must_know(server: ToolServer) -> None:
    """Raise Invalid where a secret is kept that no way of being let in asks for."""
    known = set(SECRET_OF.values())
    for name in (kept.partition("/")[2] for kept in server.secrets):
        if name not in known:
            raise Invalid(
                f"A tool server has no such secret; there are: {', '.join(sorted(known))}.",
                code="unknown_secret",
                pointer=f"/secrets/{escaped(name)}",
            )


def must_be_offered(server: ToolServer, before: Mapping[str, Any]) -> None:
    """Raise Invalid where settings or mocks are given anew for a tool that is not offered."""
    had = {f"/{kind}/{escaped(name)}" for kind in ("tools", "mocks") for name in before[kind]}
    strange: Sequence[str] = [pointer for pointer in server.unknown_names() if pointer not in had]
    if strange:
        raise Invalid("The tool server offers no tool of this name.", code="unknown_tool", pointer=strange[0])
