"""The plugins of an installation: found, checked and started with it, asked how they are, and stopped."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import BaseModel

from adapters.own_thread import OwnThread, TookTooLong, called
from adapters.plugins.checking import (
    CHUNKERS,
    GUARDRAILS,
    SCORERS,
    SOURCES,
    TOOLS,
    VECTOR_STORES,
    NoPlugin,
    Plugin,
    plugin_of,
)
from adapters.plugins.chunker import PluginChunker
from adapters.plugins.connector import PluginConnector
from adapters.plugins.discovery import Found, coming_along, installed, of_module
from adapters.plugins.guard import PluginGuard
from adapters.plugins.listed import ListedPlugin, built_in, built_in_of
from adapters.plugins.reasons import reason
from adapters.plugins.scorer import PluginScorer
from adapters.plugins.tool import PluginTool
from commands.agents.guardrails import Guards
from commands.knowledge.connectors import Connector, Connectors
from commands.knowledge.tokenizing import Chunkers
from commands.replays.scorers import Scorers

START_SECONDS = 30.0
HEALTH_SECONDS = 5.0
STOP_SECONDS = 10.0
NOT_FETCHED = frozenset({"files"})
"""Types of sources that have no connector."""

log = structlog.get_logger(__name__)


@dataclass
class Started:
    """A plugin that runs; `silent` is the thread that it was asked in how it is, where it has not answered."""

    plugin: Plugin
    shown: ListedPlugin
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    silent: OwnThread | None = None


class Plugins:
    """Each plugin for itself: one that fails is listed with its error and hurts nothing else.

    `guardrails` and `scorers` are those that come along, by type, with what their settings are; `vector_stores` are
    plugins as others are.
    """

    def __init__(
        self,
        connectors: Connectors,
        modules: Sequence[str] = (),
        *,
        guardrails: Mapping[str, type[BaseModel]] = MappingProxyType({}),
        scorers: Mapping[str, type[BaseModel]] = MappingProxyType({}),
        vector_stores: Sequence[type[Any]] = (),
    ) -> None:
        self._built_in = dict(connectors)
        self._settings = {GUARDRAILS: guardrails, SCORERS: scorers}
        self._vector_stores = vector_stores
        self._modules = modules
        self._started: list[Started] = []
        self._failed: list[ListedPlugin] = []

    async def open(self) -> None:
        """Find, check and start them; what they print meanwhile is no answer of a command."""
        with redirect_stdout(sys.stderr):
            await self._open()

    async def _open(self) -> None:
        for each in [*coming_along(VECTOR_STORES, self._vector_stores), *installed()]:
            await self._take(each)
        for module in dict.fromkeys(self._modules):
            try:
                found = await called(module, of_module, module, seconds=START_SECONDS)
            except Exception as error:
                self._fail(Found(group="", name=module, package=module, version=None, load=dict), error)
                continue
            for each in found:
                await self._take(each)

    async def close(self) -> None:
        """Stop them, the last one first."""
        while self._started:
            started = self._started.pop()
            try:
                stop = getattr(started.plugin.object, "stop", None)
                if stop is not None:
                    await called(started.plugin.name, stop, seconds=STOP_SECONDS)
            except Exception as error:
                log.warning("plugin_not_stopped", plugin=started.plugin.name, error=reason(error))

    @property
    def connectors(self) -> Connectors:
        """By the type of source: the built-in ones, and those of plugins."""
        found: dict[str, Connector] = {name: PluginConnector(each) for name, each in self.of(SOURCES).items()}
        return found | dict(self._built_in)

    @property
    def chunkers(self) -> Chunkers:
        """Those that cut texts, by their name."""
        return {name: PluginChunker(each) for name, each in self.of(CHUNKERS).items()}

    @property
    def tools(self) -> Mapping[str, PluginTool]:
        """Those that are tools, by their name."""
        return {name: PluginTool(each) for name, each in self.of(TOOLS).items()}

    @property
    def guards(self) -> Guards:
        """The guardrails of plugins, by their type."""
        return {name: PluginGuard(each) for name, each in self.of(GUARDRAILS).items()}

    @property
    def scorers(self) -> Scorers:
        """The scorers of plugins, by their type."""
        return {name: PluginScorer(each) for name, each in self.of(SCORERS).items()}

    def of(self, group: str) -> Mapping[str, Plugin]:
        """Return the plugins of a group that have started, by their name."""
        return {each.plugin.name: each.plugin for each in self._started if each.plugin.group == group}

    def failure(self, group: str, name: str) -> str | None:
        """Return why a plugin of this name is not there, where one was found."""
        return next((each.error for each in self._failed if (each.group, each.name) == (group, name)), None)

    @cached_property
    def _own(self) -> Sequence[ListedPlugin]:
        own = (each for group, configs in self._settings.items() for each in built_in_of(group, configs))
        return [*built_in(self._built_in), *own]

    async def shown(self) -> Sequence[ListedPlugin]:
        """Return all of them as they are now, those that failed too."""
        now = await asyncio.gather(*map(self._now, self._started))
        found = [*self._own, *now, *self._failed]
        return sorted(found, key=lambda each: (each.group, not each.built_in, each.name, each.package))

    async def _take(self, found: Found) -> None:
        """Load, check and start one."""
        try:
            plugin = await called(found.name, _made, found, seconds=START_SECONDS)
            self._must_be_free(plugin)
            start = getattr(plugin.object, "start", None)
            if start is not None:
                await called(plugin.name, start, seconds=START_SECONDS)
        except Exception as error:
            self._fail(found, error)
            return
        shown = ListedPlugin(
            group=plugin.group,
            name=plugin.name,
            package=found.package,
            version=found.version,
            description=plugin.description,
            state="ready",
            error=None,
            schema=plugin.schema,
            secrets=plugin.secrets,
            built_in=found.built_in,
        )
        self._started.append(Started(plugin=plugin, shown=shown))

    def _must_be_free(self, plugin: Plugin) -> None:
        own = plugin.group == SOURCES and (plugin.name in self._built_in or plugin.name in NOT_FETCHED)
        own = own or plugin.name in self._settings.get(plugin.group, ())
        taken = (
            each.shown.package for each in self._started if (each.plugin.group, each.plugin.name) == name_of(plugin)
        )
        by = "magnet" if own else next(taken, None)
        if by is not None:
            raise NoPlugin(f"the name {plugin.name} is taken in {plugin.group}, by {by}")

    def _fail(self, found: Found, error: Exception) -> None:
        why = reason(error)
        log.warning("plugin_failed", group=found.group, plugin=found.name, package=found.package, error=why)
        self._failed.append(
            ListedPlugin(
                group=found.group,
                name=found.name,
                package=found.package,
                version=found.version,
                description="",
                state="failed",
                error=why,
                schema=None,
            )
        )

    async def _now(self, started: Started) -> ListedPlugin:
        """Return one with what it says of its health; while it has not answered it is not asked again."""
        async with started.asking:
            if started.silent is not None and not started.silent.ended:
                return replace(started.shown, state="unhealthy", error="It has not said yet how it is.")
            thread = OwnThread(f"plugin {started.plugin.name}")
            try:
                health = getattr(started.plugin.object, "health", None)
                answered = None if health is None else await thread.call(health, seconds=HEALTH_SECONDS)
            except Exception as error:
                started.silent = thread if isinstance(error, TookTooLong) else None
                return replace(started.shown, state="unhealthy", error=reason(error))
            finally:
                thread.end()
        if answered is False:
            return replace(started.shown, state="unhealthy", error="It says that it is not well.")
        return started.shown


def name_of(plugin: Plugin) -> tuple[str, str]:
    """Return what no two plugins have in common."""
    return plugin.group, plugin.name


def _made(found: Found) -> Plugin:
    return plugin_of(found.group, found.load(), found.named)
