"""How documents are read: bytes become text, and text is cut into chunks that say where they stand in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from domain.errors import DomainError

if TYPE_CHECKING:  # a process that reads needs nothing else of the domain
    from domain.knowledge_source import Ocr


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading of a text: the offset at which it begins, its level from 1, and what it says."""

    at: int
    level: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """Pages (from 1) that are pictures: those that were read by OCR, and those that were not, each with the reason."""

    pages: Sequence[int] = ()
    unread: Mapping[int, str] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, Any]:
        """The public form."""
        unread = [{"page": page, "reason": reason} for page, reason in sorted(self.unread.items())]
        return {"pages": list(self.pages), "unread": unread}


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a document says. Offsets count the characters of `text`.

    `pages` holds the offset at which each page begins, none where the document has no pages.
    `replaced` counts what was no text (NUL, lone surrogates, undecodable bytes) and is U+FFFD now.
    `scanned` tells of pages that are pictures; None: there are none.
    """

    text: str
    pages: Sequence[int] = ()
    headings: Sequence[Heading] = ()
    title: str | None = None
    language: str | None = None
    replaced: int = 0
    scanned: Scanned | None = None


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of a text: `text[start:end]` of it as it is cut; the page (from 1) and the heading it begins under.

    `tokens` is its size as it was counted when the text was cut. `searched` is what is embedded and searched by words
    instead of its text, empty: nothing. `parent` is the number of the chunk whose text is given instead of its own.
    `cut` is the SHA-256 of the text as it was cut, where it says something else now.
    """

    start: int
    end: int
    text: str
    page: int | None = None
    heading: str | None = None
    tokens: int | None = None
    searched: str | None = None
    parent: int | None = None
    cut: bytes | None = None

    @property
    def found_by(self) -> str:
        """What is embedded and searched by words; empty: nothing."""
        return self.text if self.searched is None else self.searched

    @property
    def cut_hash(self) -> bytes:
        """The SHA-256 of the text as it was cut."""
        return sha256(self.text.encode()).digest() if self.cut is None else self.cut


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """What counts tokens: a name that tells it from every other, and its vocabulary's bytes."""

    name: str
    data: bytes = field(repr=False)


class Unreadable(DomainError):
    """The document is damaged, or not what it seems to be."""

    code = "unreadable"


class UnsupportedMediaType(Unreadable):
    """No parser reads documents of this kind."""

    code = "unsupported_media_type"


class PasswordProtected(Unreadable):
    """The document opens only with a password: take the password away, then give it again."""

    code = "password_protected"


class TooLarge(Unreadable):
    """The document, or the text in it, is too large."""

    code = "too_large"


class ReadingLimit(Unreadable):
    """Reading the document took too much time or memory."""

    code = "reading_limit"


class ReaderDown(DomainError):
    """The processes that read documents can't be started: try again."""

    code = "reader_unavailable"


class DocumentReader(Protocol):
    """Reads documents in limited child processes."""

    def parser(self, media_type: str, name: str, ocr: "Ocr" = "auto") -> str:
        """Return under which name and version texts made from such content are kept, such as `pdf/1`.

        `media_type` may be empty; `name` is a file's name or any other. Raises Unreadable where no
        such document can be read.
        """

    async def read(
        self, content: bytes, media_type: str, name: str, ocr: "Ocr" = "auto", *, most_scanned: int | None = None
    ) -> Text:
        """Return the text of a document, or raise Unreadable or ReaderDown.

        At most `most_scanned` pages are read by OCR (None: as many as are allowed here), which takes seconds for each.
        """

    async def cut(self, text: Text, chunking: Mapping[str, Any], tokenizer: Tokenizer | None = None) -> Sequence[Chunk]:
        """Cut a text by a knowledge source's `chunking` (strategy, size, overlap); raises the same.

        Tokens are counted by the tokenizer; without one they are estimated. The chunks are in the text's order and cover all of it but blanks.
        """
