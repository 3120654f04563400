"""Tools of plugins: what they are told as, and how they are called."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel

from adapters.openai.text import cleaned
from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import Plugin
from commands.agents.tools import Offer, ToolAnswer, ToolServerUnavailable
from domain.definition import parse
from domain.turn_effects import UNKNOWN

LONGEST_ANSWER = 2_000_000
"""Characters."""


class PluginTool:
    """A plugin that is a tool."""

    def __init__(self, plugin: Plugin) -> None:
        self.config = plugin.config
        self.secrets = plugin.secrets
        self._plugin = plugin
        self._arguments: type[BaseModel] = plugin.object.Arguments
        self._calls = BoundedCalls(plugin)

    def offer(self) -> Offer:
        """Return it as the one tool of its server."""
        tool = {
            "name": self._plugin.name.replace(".", "_"),
            "description": self._plugin.description or self._plugin.name,
            "input_schema": self._arguments.model_json_schema(),
            "side_effects": getattr(self._plugin.object, "side_effects", True) is not False,
            "request": {"kind": "plugin"},
        }
        return Offer(title=self._plugin.name, server=None, tools=[tool])

    async def call(
        self,
        config: Mapping[str, Any],
        arguments: Mapping[str, Any],
        secrets: Mapping[str, str],
        *,
        seconds: float,
        changes: bool,
    ) -> ToolAnswer:
        """Call it once; what it raises is told as its answer. `changes`: one that is late may have done it."""
        settings = parse(self.config, dict(config), "/config")
        asked = parse(self._arguments, dict(arguments), "/arguments")
        request = f"plugin {self._plugin.name}"
        try:
            given = await self._calls.call("call", asked, settings, secrets, seconds=seconds, secrets=secrets.values())
            text = given if isinstance(given, str) else orjson.dumps(given).decode()
        except PluginFailed as error:
            if not error.late:
                return ToolAnswer(text=str(error), failed=True, request=request)
            unknown = f" {UNKNOWN}" if changes else ""
            raise ToolServerUnavailable(f"{error}{unknown}", code="tool_timed_out") from None
        except TypeError:
            told = f"The plugin '{self._plugin.name}' gives what can't be told in JSON: {type(given).__name__}."
            return ToolAnswer(text=told, failed=True, request=request)
        if len(text) > LONGEST_ANSWER:
            raise ToolServerUnavailable(
                f"The plugin '{self._plugin.name}' gives more than {LONGEST_ANSWER:,} characters.",
                code="answer_too_large",
            )
        return ToolAnswer(text=cleaned(text)[0], request=request)
