"""What is being indexed: versions of documents, the texts and chunks that are made of them, and where they are kept."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from commands.knowledge.reading import Chunk, Text
from domain.document import Document
from domain.errors import DomainError
from domain.knowledge_source import KnowledgeSource, Ocr, profile_of

CUTTER = "1"
"""Version of the way texts are cut: part of what chunks are kept under."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A version of a document that is to be put into an index of its source."""

    document: Document
    source: KnowledgeSource
    index: int
    parser: str = ""

    @cached_property
    def read_as(self) -> tuple[str, str, Ocr]:
        """The media type and name by which its content is read, and whether by OCR."""
        profiles = self.source.indexes[str(self.index)]["chunking"].get("profiles", ())
        profile = {} if self.document.written else profile_of(profiles, names_of(self.document)) or {}
        return read_as(profile, self.document.content["media_type"], name_of(self.document))

    @property
    def key(self) -> tuple[UUID, int]:
        """The document and the index."""
        return self.document.id, self.index

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """How its text is cut."""
        chunking: Mapping[str, Any] = self.source.indexes[str(self.index)]["chunking"]
        if self.document.written:
            profile: Mapping[str, Any] = {"chunking": {**chunking, "strategy": "none"}}
        else:
            profile = profile_of(chunking.get("profiles", ()), names_of(self.document)) or {}
        return settings_of(chunking, profile)

    @property
    def space(self) -> str | None:
        """Where its vectors live; None: words only."""
        space: str | None = self.source.indexes[str(self.index)]["space"]
        return space

    @property
    def model(self) -> str | None:
        """The embedding model of the index."""
        model: str | None = self.source.indexes[str(self.index)]["embedding_model"]
        return model

    @property
    def content(self) -> str:
        """The SHA-256 of its content."""
        return str(self.document.content["sha256"])

    @cached_property
    def chunking(self) -> bytes:
        """What its chunks are kept under: the hash of content, parser and settings."""
        cutting = {name: value for name, value in self.settings.items() if name != "transformation"}
        parts = [self.content, self.parser, CUTTER, cutting]
        return sha256(json.dumps(parts, sort_keys=True).encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The chunks of a text, to be kept under the hash of what they were made from."""

    id: bytes
    content: str
    parser: str
    settings: Mapping[str, Any]
    chunks: Sequence[Chunk]
    language: str | None


class Contents(Protocol):
    """The bytes of documents."""

    async def read(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        """Return contents by their SHA-256 (hex), without those that there are not."""


class Texts(Protocol):
    """What contents say, and how that was cut: made once, kept beside the log."""

    async def texts(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Text]:
        """Return the texts that are kept, by (SHA-256 of the content, parser)."""

    async def keep_texts(self, texts: Mapping[tuple[str, str], Text]) -> None:
        """Keep texts."""

    async def cuts(self, ids: Collection[bytes]) -> Mapping[bytes, int]:
        """Return into how many chunks texts were cut, of those that are kept."""

    async def kept(self, ids: Collection[bytes]) -> Mapping[bytes, Cut]:
        """Return ways of cutting that are kept, with their chunks."""

    async def keep_cuts(self, cuts: Sequence[Cut]) -> None:
        """Keep chunks."""


@dataclass(kw_only=True)
class Part:
    """Documents that are worked on together, and what became of them by now."""

    entries: list[Entry]
    failures: dict[tuple[UUID, int], DomainError] = field(default_factory=dict)
    """Documents that can't be put into an index as they are."""

    refusals: dict[tuple[UUID, int], str] = field(default_factory=dict)
    """Documents that are to be tried again for an index, and why; another index takes them meanwhile."""

    made: dict[tuple[UUID, int], bytes] = field(default_factory=dict)
    """Under what their chunks are kept, where they are others than the text was cut into."""

    transformed: set[tuple[UUID, int]] = field(default_factory=set)
    """Documents whose chunks have been transformed."""

    def note(self, entry: Entry, error: DomainError, *, its_own: bool) -> None:
        """Note that a document can't be put into an index as it is, or is to be tried again."""
        if its_own:
            self.failures[entry.key] = error
        else:
            self.refusals[entry.key] = str(error)

    def final(self, entry: Entry) -> bytes:
        """Return under what the chunks are kept that go into the index."""
        return self.made.get(entry.key, entry.chunking)

    @property
    def going(self) -> list[Entry]:
        """Entries of documents that nothing speaks against."""
        return [each for each in self.entries if each.key not in self.failures and each.key not in self.refusals]


READ_AS = {
    "text": "text/plain",
    "markdown": "text/markdown",
    "html": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "epub": "application/epub+zip",
    "eml": "message/rfc822",
    "csv": "text/csv",
    "json": "application/json",
    "code": "application/toml",
}
"""The media type under which the parser that a profile names reads a content, whatever it is called."""


def settings_of(chunking: Mapping[str, Any], profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a text is cut: as its profile says, else as its source; profiles cut nothing themselves."""
    kept = {name: value for name, value in chunking.items() if name in ("tokenizer", "transformation")}
    own = profile.get("chunking") or chunking
    return {name: value for name, value in own.items() if name not in ("profiles", *kept)} | kept


def read_as(profile: Mapping[str, Any], media_type: str, name: str) -> tuple[str, str, Ocr]:
    """Return the media type and name by which a content is read, and whether by OCR."""
    parser = profile.get("parser")
    ocr: Ocr = profile.get("ocr") or "auto"
    return (media_type, name, ocr) if parser is None else (READ_AS[parser], "", ocr)


def names_of(document: Document) -> list[str]:
    """Return the names that profiles may fit: what the source calls it, its path there, and its title."""
    path = document.details["metadata"].get("path")
    return [document.external_id, *([path] if isinstance(path, str) else []), document.details["title"]]


def name_of(document: Document) -> str:
    """Return the name that tells what a document's content is."""
    return str(document.external_id)
