"""Counting tokens as the embedding model does, where its tokenizer is known here; else they are estimated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel

from commands.knowledge.reading import Chunk, DocumentReader, Text, Tokenizer, Unreadable
from commands.plugin_settings import must_be_here
from domain.errors import DomainError

Counted = Literal["exact", "estimated"]


class TokenizerGone(DomainError):
    """The tokenizer by which an index's texts are counted is not here any more: put it back, or begin another index."""

    code = "tokenizer_gone"


class ChunkerFailed(Unreadable):
    """The plugin that cuts a source's texts failed at this one."""

    code = "chunker_failed"


class ChunkerLate(DomainError):
    """The plugin that cuts a source's texts did not answer in time."""

    code = "chunker_late"


class Chunker(Protocol):
    """A plugin that cuts texts."""

    config: type[BaseModel]

    async def spans(self, text: str, config: Mapping[str, Any]) -> Sequence[tuple[int, int]]:
        """Return where the chunks of a text begin and end, or raise ChunkerFailed, ChunkerLate or Invalid."""


Chunkers = Mapping[str, Chunker]
"""By the name of the plugin."""


class Tokenizers(Protocol):
    """The tokenizers that are installed here."""

    async def of(self, model: UUID) -> str | None:
        """Return the name of the tokenizer of an embedding model; None: it is not known here."""

    async def load(self, name: str, model: UUID) -> Tokenizer:
        """Return a tokenizer of a model by the name that it had, or raise TokenizerGone."""


@dataclass(frozen=True, kw_only=True)
class Cutter:
    """Cuts texts, counted by the tokenizer that the settings name."""

    reader: DocumentReader
    tokenizers: Tokenizers
    chunkers: Chunkers = field(default_factory=dict)

    async def cut(self, text: Text, settings: Mapping[str, Any], model: str | None) -> Sequence[Chunk]:
        """Return the chunks of a text, or raise Unreadable, ReaderDown, TokenizerGone, ChunkerLate or Invalid."""
        if settings["strategy"] == "plugin":
            settings = {**settings, "spans": await self._spans(text.text, settings)}
        name = settings.get("tokenizer")
        tokenizer = None if name is None or model is None else await self.tokenizers.load(name, UUID(model))
        return await self.reader.cut(text, settings, tokenizer)

    async def _spans(self, text: str, settings: Mapping[str, Any]) -> Sequence[tuple[int, int]]:
        must_be_here(self.chunkers, settings["plugin"], "/chunking/plugin")
        return await self.chunkers[settings["plugin"]].spans(text, settings.get("config") or {})


def counted(settings: Mapping[str, Any]) -> Counted:
    """Return how sizes are counted by these settings."""
    return "exact" if settings.get("tokenizer") else "estimated"
