"""Guardrails of plugins: what their `check` finds in a text."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from adapters.plugins.checking import Plugin
from adapters.plugins.finding import Finding as Told
from adapters.plugins.own_thread import OwnThread
from adapters.plugins.reasons import reason
from commands.guardrails import Finding, GuardrailFailed

CHECK_SECONDS = 10.0
MOST_LEFT = 20
"""Threads of checks that were given up and did not return; more of them are not begun."""

MOST_FINDINGS = 10_000
LABEL = re.compile(r"[\w .:/-]{1,100}\Z")


class PluginGuard:
    """Asks a plugin; each check has a thread of its own."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self.config = plugin.config
        self._left: list[OwnThread] = []

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return what the plugin finds; raise GuardrailFailed with what it says went wrong."""
        self._left = [each for each in self._left if not each.ended]
        if len(self._left) >= MOST_LEFT:
            raise GuardrailFailed(f"{len(self._left)} earlier checks of this plugin have not returned.")
        thread = OwnThread(self._plugin.name)
        try:
            told = await thread.call(self._checked, text, config, seconds=CHECK_SECONDS)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise GuardrailFailed(f"The plugin '{self._plugin.name}' failed: {reason(error)}") from None
        finally:
            thread.end()
            self._left.append(thread)
        return [self._finding(each, len(text)) for each in self._listed(told)]

    def _checked(self, text: str, config: BaseModel) -> Any:
        """Call it where what it yields is taken too."""
        told = self._plugin.object.check(text, config)
        return list(told) if isinstance(told, Iterable) else told

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
