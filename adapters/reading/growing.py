"""A text that is put together block by block, with its headings and pages, up to the longest that is read."""

from adapters.reading.plain import LONGEST_HEADING
from commands.knowledge.reading import Heading, Text, TooLarge, Unreadable

LONGEST_TEXT = 50_000_000
"""Characters of a document's text."""


class Growing:
    """A text that grows. What is small may name a large part of itself many times: it ends where it is too long."""

    def __init__(self, called: str) -> None:
        self._called = called
        self._parts: list[str] = []
        self._length = 0
        self._pages: list[int] = []
        self._headings: list[Heading] = []

    def add(self, said: str, *, between: str = "\n\n") -> None:
        """Add a block, or raise TooLarge; a blank one is none."""
        if not said.strip():
            return
        if self._parts:
            self._parts.append(between)
            self._length += len(between)
        self._parts.append(said)
        self._length += len(said)
        must_not_be_longer(self._called, self._length)

    def head(self, said: str, level: int = 1) -> None:
        """Add a block that is a heading."""
        if words := " ".join(said.split()):
            self._headings.append(Heading(at=self._next, level=level, text=words[:LONGEST_HEADING]))
            self.add(said)

    def head_silently(self, said: str, level: int = 1) -> None:
        """Let what follows stand under a heading that is not part of the text."""
        self._headings.append(Heading(at=self._next, level=level, text=said[:LONGEST_HEADING]))

    def page(self) -> None:
        """Begin a page."""
        self._pages.append(self._next)

    def text(self, *, title: str | None = None, language: str | None = None, replaced: int = 0) -> Text:
        """Return what has grown, or raise Unreadable where that is nothing."""
        if not self._parts:
            raise Unreadable(f"The {self._called} has no text.")
        return Text(
            text="".join(self._parts),
            pages=[min(at, self._length) for at in self._pages],
            headings=[each for each in self._headings if each.at < self._length],
            title=title,
            language=language,
            replaced=replaced,
        )

    @property
    def _next(self) -> int:
        return self._length + 2 if self._parts else 0


def must_not_be_longer(called: str, length: int) -> None:
    """Raise TooLarge for a text of more characters than are read."""
    if length > LONGEST_TEXT:
        raise TooLarge(f"The {called}'s text has more than {LONGEST_TEXT:,} characters.")
