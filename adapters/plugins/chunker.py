"""Chunkers of plugins: where the parts of a text begin and end."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import Plugin
from commands.knowledge.tokenizing import ChunkerFailed, ChunkerLate
from domain.definition import parse

CHUNK_SECONDS = 120.0
MOST_TIMES = 20
"""How often all of a text may stand in its chunks, which may overlap."""


class PluginChunker:
    """Asks a plugin."""

    def __init__(self, plugin: Plugin) -> None:
        self.config = plugin.config
        self._name = plugin.name
        self._calls = BoundedCalls(plugin)

    async def spans(self, text: str, config: Mapping[str, Any]) -> Sequence[tuple[int, int]]:
        """Return where the chunks of a text are, without blanks around them.

        Raises ChunkerFailed with what it says went wrong, ChunkerLate, or Invalid where it can't be set so.
        """
        settings = parse(self.config, dict(config), "/chunking/config")
        try:
            given = await self._calls.call("chunk", text, settings, seconds=CHUNK_SECONDS)
        except PluginFailed as error:
            raise (ChunkerLate if error.late else ChunkerFailed)(str(error)) from None
        if not isinstance(given, list | tuple):
            raise ChunkerFailed(f"The plugin '{self._name}' gives no chunks but {type(given).__name__}.")
        left = MOST_TIMES * len(text)
        spans: list[tuple[int, int]] = []
        for each in given:
            start, end = self._span(each, text, spans)
            left -= end - start
            if left < 0:
                raise ChunkerFailed(f"The plugin '{self._name}' gives the text more than {MOST_TIMES} times.")
            said = text[start:end].strip()
            if said:
                start += len(text[start:end]) - len(text[start:end].lstrip())
                spans.append((start, start + len(said)))
        return spans

    def _span(self, given: object, text: str, before: Sequence[tuple[int, int]]) -> tuple[int, int]:
        match given:
            case (int(start), int(end)) if 0 <= start <= end <= len(text):
                if before and start < before[-1][0]:
                    raise ChunkerFailed(f"The plugin '{self._name}' gives chunks that are not in the text's order.")
                return start, end
        raise ChunkerFailed(f"The plugin '{self._name}' gives what is no (start, end) of a chunk in the text.")
