"""Previewing how a document would be cut: by settings that are not saved, and nothing of it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.document_checks import MOST_BYTES
from commands.reading import Chunk, DocumentReader, Heading, TooLarge


@dataclass(frozen=True, kw_only=True)
class PreviewChunking:
    """Cut a document by a source's `chunking`; `name` tells what its content is where `media_type` does not.

    At most `most` chunks are shown; how many there are is told.
    """

    chunking: Mapping[str, Any]
    content: bytes
    media_type: str
    name: str
    most: int


@dataclass(frozen=True, kw_only=True)
class ChunkingPreviews:
    """Shows how documents would be cut."""

    reader: DocumentReader

    async def show(self, asked: PreviewChunking) -> dict[str, Any]:
        """Return the first chunks in their public form, or raise Unreadable or ReaderDown."""
        if len(asked.content) > MOST_BYTES:
            raise TooLarge(f"A document has at most {MOST_BYTES:,} bytes.")
        parser = self.reader.parser(asked.media_type, asked.name)
        text = await self.reader.read(asked.content, asked.media_type, asked.name)
        chunks = await self.reader.cut(text, asked.chunking)
        return {
            "chunks": [shown(chunk, text.headings) for chunk in chunks[: asked.most]],
            "chunks_total": len(chunks),
            "characters": len(text.text),
            "parser": parser.partition("/")[0],
            "title": text.title,
            "tokens": "estimated",
        }


def shown(chunk: Chunk, headings: Sequence[Heading]) -> dict[str, Any]:
    """Return a chunk's public form."""
    return {
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "headings": above(chunk.start, headings),
        "tokens": chunk.tokens,
    }


def above(at: int, headings: Sequence[Heading]) -> list[str]:
    """Return the headings that a place stands under, the outermost first."""
    path: list[Heading] = []
    for heading in headings:
        if heading.at > at:
            break
        path = [*(each for each in path if each.level < heading.level), heading]
    return [each.text for each in path]
