"""A reader without child processes: plain text, one chunk for each line, or for the whole by the strategy `none`."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from uuid import UUID

from commands.reading import Chunk, Text, Tokenizer, Unreadable, UnsupportedMediaType
from domain.errors import DomainError, NotFound


class PlainReader:
    """Reads UTF-8 behind the port; counts what it is asked, and may fail."""

    def __init__(self) -> None:
        self.read_names: list[str] = []
        self.cut_texts: list[str] = []
        self.failure: DomainError | None = None

    def parser(self, media_type: str, name: str) -> str:
        if media_type == "image/png":
            raise UnsupportedMediaType("No parser reads image/png.")
        return "plain/1"

    async def read(self, content: bytes, media_type: str, name: str) -> Text:
        self.read_names.append(name)
        if self.failure is not None:
            raise self.failure
        if not content.strip():
            raise Unreadable("The document is empty.")
        return Text(text=content.decode())

    async def cut(self, text: Text, chunking: Mapping[str, Any], tokenizer: Tokenizer | None = None) -> Sequence[Chunk]:
        self.cut_texts.append(text.text)
        chunks, at = [], 0
        for line in [text.text] if chunking["strategy"] == "none" else text.text.splitlines(keepends=True):
            said = line.strip()
            if said:
                start = at + line.index(said)
                chunks.append(Chunk(start=start, end=start + len(said), text=said))
            at += len(line)
        return chunks


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
