"""A reader without child processes: plain text, one chunk for each line, by strategy also others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID

from commands.knowledge.reading import Chunk, Scanned, Text, Tokenizer, Unreadable, UnsupportedMediaType
from domain.errors import DomainError, NotFound
from domain.knowledge_source import Ocr


class PlainReader:
    """Reads UTF-8 behind the port; counts what it is asked, and may fail.

    `scanned` says by name of which documents pages are pictures; `broken` names those at which it fails unforeseen, once.
    `uncuttable` is the strategy by which it can cut nothing.
    """

    def __init__(self) -> None:
        self.read_names: list[str] = []
        self.cut_texts: list[str] = []
        self.failure: DomainError | None = None
        self.ocr: dict[str, Ocr] = {}
        self.scanned: dict[str, Scanned] = {}
        self.broken: set[str] = set()
        self.uncuttable = ""

    def parser(self, media_type: str, name: str, ocr: Ocr = "auto") -> str:
        if media_type == "image/png":
            raise UnsupportedMediaType("No parser reads image/png.")
        return "plain/1"

    async def read(
        self, content: bytes, media_type: str, name: str, ocr: Ocr = "auto", *, most_scanned: int | None = None
    ) -> Text:
        self.read_names.append(name)
        self.ocr[name] = ocr
        if name in self.broken:
            self.broken.remove(name)
            raise RuntimeError(name)
        if self.failure is not None:
            raise self.failure
        if not content.strip():
            raise Unreadable("The document is empty.")
        return Text(text=content.decode(), scanned=self.scanned.get(name))

    async def cut(self, text: Text, chunking: Mapping[str, Any], tokenizer: Tokenizer | None = None) -> Sequence[Chunk]:
        self.cut_texts.append(text.text)
        if chunking["strategy"] == self.uncuttable:
            raise Unreadable("It can't be cut so.")
        if chunking["strategy"] == "none":
            return [Chunk(start=0, end=len(text.text), text=text.text)]
        if chunking["strategy"] != "parent_child":
            return lines(text.text, 0)
        given, parts = [], []
        for start, end in paragraphs(text.text):
            found = lines(text.text[start:end], start)
            parts += [replace(part, parent=len(given)) for part in found]
            given.append(Chunk(start=start, end=end, text=text.text[start:end], searched=""))
        return given + parts


def lines(text: str, at: int) -> list[Chunk]:
    """Return the lines of a text that begins at an offset."""
    chunks = []
    for line in text.splitlines(keepends=True):
        said = line.strip()
        if said:
            start = at + line.index(said)
            chunks.append(Chunk(start=start, end=start + len(said), text=said))
        at += len(line)
    return chunks


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Return where the parts of a text begin and end that empty lines separate."""
    found, at = [], 0
    for part in text.split("\n\n"):
        found.append((at, at + len(part)))
        at += len(part) + 2
    return found


class NoTokenizers:
    """None is known: tokens are estimated."""

    async def of(self, model: UUID) -> str | None:
        return None

    async def load(self, name: str, model: UUID) -> NoReturn:
        raise AssertionError("no settings name a tokenizer")


class NoThings:
    """No aggregates."""

    async def newest(self, kind: Any, id: UUID) -> NoReturn:
        raise NotFound

    async def at_version(self, kind: Any, id: UUID, version: int) -> NoReturn:
        raise NotFound

    async def newest_of(self, kind: Any, ids: Any) -> Mapping[UUID, Any]:
        return {}
