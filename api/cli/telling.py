"""Tells requests and answers as they happen, cut to what matters."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import orjson
from rich.panel import Panel
from rich.text import Text

from api.cli.connection import Connection, quoted
from api.cli.output import console, short

LONGEST_TEXT = 110
WIDTH = 100


class Teller:
    """Sends requests and prints them, with their answers; or, quiet, only keeps them."""

    def __init__(self, connection: Connection, *, quiet: bool) -> None:
        self.connection = connection
        self.steps: list[dict[str, Any]] = []
        self._quiet = quiet
        self._console = console()
        self._numbers = 0

    def chapter(self, title: str, text: str) -> None:
        """Begin a part of the story."""
        self._numbers += 1
        if not self._quiet:
            self._console.print()
            self._console.print(Text(f"{self._numbers}. {title}", style="bold"))
            self._console.print(Text(f"   {text}"))

    def say(self, text: str) -> None:
        """Say what an answer means."""
        if not self._quiet:
            self._console.print(Text(f"   => {text}", style="green"))

    def hint(self, text: str) -> None:
        """Print a line to be copied."""
        if not self._quiet:
            self._console.print(Text(f"   {text}"), soft_wrap=True)

    def block(self, title: str, text: str) -> None:
        """Show a text of several lines."""
        if not self._quiet:
            width = min(self._console.width, WIDTH)
            self._console.print(Panel(Text(text), title=title, title_align="left", width=width, style="dim"))

    async def get(self, path: str, show: Mapping[str, Any] | None = None, **parameters: str | int) -> Any:
        """Send a query; `show` are fields of the answer to print, all where None."""
        return await self._send("GET", path, None, show, parameters)

    async def post(self, path: str, body: Any, show: Mapping[str, Any] | None = None) -> Any:
        """Send a command or a search."""
        return await self._send("POST", path, body, show, {})

    async def patch(self, path: str, body: Any, **parameters: str) -> Any:
        """Send a change."""
        return await self._send("PATCH", path, body, None, parameters)

    async def _send(
        self, method: str, path: str, body: Any, show: Mapping[str, Any] | None, parameters: Mapping[str, Any]
    ) -> Any:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        whole = quoted(path) + ("?" + query if query else "")
        began = perf_counter()
        answer = await self.connection.raw(method, path, body, parameters=parameters)
        milliseconds = (perf_counter() - began) * 1000
        content = orjson.loads(answer.content)
        self.steps.append(
            {"method": method, "path": whole, "body": body, "status": answer.status_code, "answer": content}
        )
        if not self._quiet:
            self._console.print(Text.assemble("   ", (f"{method} {whole}", "cyan")))
            if body is not None:
                self._lines(body, "cyan")
            self._console.print(Text(f"   {answer.status_code} in {milliseconds:.0f} ms", style="dim"))
            self._lines(content if show is None else {name: content[name] for name in show}, "")
        return content

    def _lines(self, value: Any, style: str) -> None:
        for name, item in value.items() if isinstance(value, dict) else ((None, value),):
            told = short(item, LONGEST_TEXT)
            self._console.print(
                Text(f"       {name}: {told}" if name else f"       {told}", style=style),
                overflow="ellipsis",
                no_wrap=True,
            )
