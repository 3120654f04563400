"""Previewing how a document would be cut: by settings that are not saved, and nothing of it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.knowledge.document_checks import MOST_BYTES
from commands.knowledge.index_entries import read_as, settings_of
from commands.knowledge.knowledge_source import chosen_model
from commands.knowledge.reading import Chunk, Heading, TooLarge
from commands.knowledge.tokenizing import Cutter, counted
from commands.ports import Things
from domain.errors import Invalid
from domain.knowledge_source import profile_of

MOST_SCANNED = 3
"""Pages that are read by OCR while somebody waits."""


@dataclass(frozen=True, kw_only=True)
class PreviewChunking:
    """Cut a document by a source's `chunking`; `name` tells what its content is where `media_type` does not.

    Tokens are counted as for this embedding model, or the default one. At most `most` chunks are shown; how many
    there are is told.
    """

    model: UUID | None = None
    profiles: Sequence[Mapping[str, Any]] = ()
    title: str = ""
    chunking: Mapping[str, Any]
    content: bytes
    media_type: str
    name: str
    most: int


@dataclass(frozen=True, kw_only=True)
class ChunkingPreviews:
    """Shows how documents would be cut."""

    cutter: Cutter
    things: Things

    async def show(self, asked: PreviewChunking) -> dict[str, Any]:
        """Return the first chunks in their public form, or raise Unreadable or ReaderDown."""
        if len(asked.content) > MOST_BYTES:
            raise TooLarge(f"A document has at most {MOST_BYTES:,} bytes.")
        model = await self._model(asked)
        tokenizer = None if model is None else await self.cutter.tokenizers.of(model)
        profile = profile_of(asked.profiles, [asked.name, asked.title]) or {}
        settings = settings_of(asked.chunking, profile) | ({} if tokenizer is None else {"tokenizer": tokenizer})
        reader = self.cutter.reader
        known_as = read_as(profile, asked.media_type, asked.name)
        parser = reader.parser(*known_as)
        text = await reader.read(asked.content, *known_as, most_scanned=MOST_SCANNED)
        chunks = await self.cutter.cut(text, settings, None if model is None else str(model))
        first = chunks[: asked.most]
        paths = headings_above([chunk.start for chunk in first], text.headings)
        return {
            "chunks": [shown(chunk, paths[chunk.start]) for chunk in first],
            "chunks_total": len(chunks),
            "characters": len(text.text),
            "parser": parser.partition("/")[0],
            "title": text.title,
            "profile": profile.get("glob"),
            "ocr": None if text.scanned is None else text.scanned.told,
            "tokens": counted(settings),
        }

    async def _model(self, asked: PreviewChunking) -> UUID | None:
        model = await chosen_model(None if asked.model is None else str(asked.model), self.things)
        if model is None and asked.model is not None:
            raise Invalid("There is no such model.", code="unknown_reference", pointer="/embedding_model")
        return None if model is None else model.id


def shown(chunk: Chunk, headings: Sequence[str]) -> dict[str, Any]:
    """Return a chunk's public form."""
    return {
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "headings": list(headings),
        "tokens": chunk.tokens,
        "parent": chunk.parent,
    }


def headings_above(places: Sequence[int], headings: Sequence[Heading]) -> dict[int, list[str]]:
    """Return place -> the headings that it stands under, the outermost first; each heading is looked at once."""
    found: dict[int, list[str]] = {}
    path: list[Heading] = []
    number = 0
    for at in sorted(set(places)):
        while number < len(headings) and headings[number].at <= at:
            path = [*(each for each in path if each.level < headings[number].level), headings[number]]
            number += 1
        found[at] = [each.text for each in path]
    return found
