"""Counting tokens as the embedding model does, where its tokenizer is known here; else they are estimated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID

from commands.reading import Chunk, DocumentReader, Text, Tokenizer
from domain.errors import DomainError

Counted = Literal["exact", "estimated"]


class TokenizerGone(DomainError):
    """The tokenizer by which an index's texts are counted is not here any more: put it back, or begin another index."""

    code = "tokenizer_gone"


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

    async def cut(self, text: Text, settings: Mapping[str, Any], model: str | None) -> Sequence[Chunk]:
        """Return the chunks of a text, or raise Unreadable, ReaderDown or TokenizerGone."""
        name = settings.get("tokenizer")
        tokenizer = None if name is None or model is None else await self.tokenizers.load(name, UUID(model))
        return await self.reader.cut(text, settings, tokenizer)


def counted(settings: Mapping[str, Any]) -> Counted:
    """Return how sizes are counted by these settings."""
    return "exact" if settings.get("tokenizer") else "estimated"
