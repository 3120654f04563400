"""Text as it is: decoded, its headings found where it has some; nothing in it is changed."""

import re
from collections.abc import Iterator

from adapters.reading.kinds import must_begin_as
from commands.reading import Heading, Text, Unreadable

BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
BINARY = 0.1
"""Share of control characters in its beginning from which on something is no text."""

DAMAGED = 0.02
"""Share of undecodable places up to which text counts as damaged UTF-8, and not as another encoding."""

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
ATX = re.compile(r" {0,3}(#{1,6})[ \t](.*)")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
DEFINITION = re.compile(
    r"(?:export |public |pub |abstract |static |async )*"
    r"(?:def|class|func|function|fn|impl|interface|struct|enum|trait|module|namespace)\b[^\n]{0,200}"
)
LONGEST_HEADING = 300


def read_plain(content: bytes, kind: str) -> Text:
    """Return the text of a content that is text already, or raise Unreadable."""
    must_begin_as(kind, content)
    text, replaced = decode(content)
    headings = list(headings_of(text, kind))
    title = next((each.text for each in headings if each.level == 1), None) if kind == "markdown" else None
    return Text(text=text, headings=headings, title=title, replaced=replaced)


def decode(content: bytes) -> tuple[str, int]:
    """Return the text, and how much of it was no text and is U+FFFD now; or raise Unreadable."""
    text = _decoded(content)
    head = text[:100_000]
    if len(CONTROL.findall(head)) > BINARY * len(head):
        raise Unreadable("This is no text.")
    replaced = text.count("\x00")
    if replaced:
        text = text.replace("\x00", "\ufffd")
    return text, replaced + _undecodable(content, text, replaced)


def line_of(said: object) -> str | None:
    """Return what a file says of itself, such as its title, as a line of text; None where it says nothing."""
    return " ".join(NO_TEXT.sub("\ufffd", str(said or "")[: 2 * LONGEST_HEADING]).split())[:LONGEST_HEADING] or None


def _undecodable(content: bytes, text: str, nuls: int) -> int:
    """Return how many characters stand for bytes that could not be decoded."""
    found = text.count("\ufffd") - nuls
    return max(0, found - content.count("\ufffd".encode())) if found else 0


def _decoded(content: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    even, odd = content[:2000:2].count(0), content[1:2000:2].count(0)
    sample = min(len(content), 2000) // 2
    if sample and max(even, odd) > sample // 2:
        return content.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    damaged = content.decode("utf-8", "replace")
    if damaged.count("\ufffd") <= DAMAGED * len(damaged) and any(
        ord(char) > 255 for char in damaged if char != "\ufffd"
    ):
        return damaged
    # Whatever else it is, most likely it was written on Windows; every byte means something there, nearly.
    return content.decode("cp1252", "replace")


def headings_of(text: str, kind: str) -> Iterator[Heading]:
    """Yield the headings of Markdown, and the beginnings of definitions in source code."""
    if kind == "markdown":
        yield from _markdown(text)
    elif kind == "code":
        at = 0
        for line in text.splitlines(keepends=True):
            if found := DEFINITION.match(line):
                yield Heading(at=at, level=1, text=found.group().strip()[:LONGEST_HEADING])
            at += len(line)


def _markdown(text: str) -> Iterator[Heading]:
    at, fence, before, before_at = 0, "", "", 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        found = FENCE.match(bare)
        if fence:
            if found and found.group(1).startswith(fence):
                fence = ""
            before = ""
        elif found:
            fence, before = found.group(1), ""
        elif heading := ATX.match(bare):
            if said := _without_closing(heading.group(2).strip()):
                yield Heading(at=at, level=len(heading.group(1)), text=said[:LONGEST_HEADING])
            before = ""
        elif before and (under := UNDERLINE.match(bare)):
            level = 1 if under.group(1).startswith("=") else 2
            yield Heading(at=before_at, level=level, text=before[:LONGEST_HEADING])
            before = ""
        else:
            before, before_at = bare.strip(), at
        at += len(line)


def _without_closing(heading: str) -> str:
    """Return a heading without the number signs that may end it."""
    bare = heading.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else heading
