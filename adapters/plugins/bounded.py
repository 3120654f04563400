"""Calls of a plugin, each in a thread of its own and bounded in time; who never returns is not called for ever."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapters.own_thread import OwnThread, TookTooLong
from adapters.plugins.checking import Plugin
from adapters.plugins.reasons import reason

MOST_LEFT = 20
"""Threads of calls that were given up and did not return; more of them are not begun."""


class PluginFailed(Exception):
    """A plugin did not do what was asked of it; it says why, without secrets. `late`: it took too long."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class BoundedCalls:
    """Calls the method of a plugin's group."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self._left: list[OwnThread] = []

    async def call(
        self, method: str | Callable[..., Any], *arguments: Any, seconds: float, secrets: Iterable[str] = ()
    ) -> Any:
        """Return what the method gives, as a list where it yields; or raise PluginFailed.

        A method of the plugin by its name, or what belongs to an object that the plugin gave.
        """
        self._left = [each for each in self._left if not each.ended]
        if len(self._left) >= MOST_LEFT:
            raise PluginFailed(f"{len(self._left)} earlier calls of this plugin have not returned.")
        thread = OwnThread(f"plugin {self.plugin.name}")
        returned = False
        try:
            given = await thread.call(self._given, method, arguments, seconds=seconds)
            returned = True
            return given
        except asyncio.CancelledError:
            raise
        except Exception as error:
            late = isinstance(error, TookTooLong)
            returned = not late
            message = f"The plugin '{self.plugin.name}' failed: {reason(error, secrets)}"
            raise PluginFailed(message, late=late) from None
        finally:
            thread.end()
            if not returned:
                self._left.append(thread)

    def _given(self, method: str | Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call it where what it yields is taken too."""
        given = (getattr(self.plugin.object, method) if isinstance(method, str) else method)(*arguments)
        whole = isinstance(given, str | bytes | list | tuple | Mapping) or not isinstance(given, Iterable)
        return given if whole else list(given)
