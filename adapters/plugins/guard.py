"""Guardrails of plugins: what their `check` finds in a text."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import Plugin
from adapters.plugins.finding import Finding as Told
from commands.agents.guardrails import Finding, GuardrailFailed

CHECK_SECONDS = 10.0
LABEL = re.compile(r"[\w .:/-]{1,100}\Z")


class PluginGuard:
    """Asks a plugin."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self.config = plugin.config
        self._calls = BoundedCalls(plugin)

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return what the plugin finds; raise GuardrailFailed with what it says went wrong."""
        try:
            told = await self._calls.call("check", text, config, seconds=CHECK_SECONDS)
        except PluginFailed as error:
            raise GuardrailFailed(str(error)) from None
        return [self._finding(each, len(text)) for each in self._listed(told)]

    def _listed(self, told: object) -> Sequence[Any]:
        if not isinstance(told, list | tuple):
            raise GuardrailFailed(f"The plugin '{self._plugin.name}' gives no findings but {type(told).__name__}.")
        return told

    def _finding(self, told: object, length: int) -> Finding:
        if not isinstance(told, Told) or not isinstance(told.label, str) or not LABEL.match(told.label):
            raise GuardrailFailed(f"The plugin '{self._plugin.name}' gives a finding without a label.")
        end = length if told.end is None else told.end
        if not (type(told.start) is type(end) is int and 0 <= told.start <= end <= length):
            raise GuardrailFailed(f"The plugin '{self._plugin.name}' gives a finding that is not in the text.")
        return Finding(label=told.label, start=told.start, end=end)
