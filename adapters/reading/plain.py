"""Text as it is: decoded, its headings found where it has some; nothing in it is changed."""

import re
from collections.abc import Iterator

from adapters.reading.decoding import decode
from adapters.reading.kinds import must_begin_as
from commands.knowledge.reading import Heading, Text, Unreadable

NO_TEXT = re.compile("[\x00\ud800-\udfff]")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""Other characters that end lines elsewhere, such as U+2028 and form feeds, end none in Markdown."""

FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(?:[^\S\n]*+\S[^\n]*\n)*?(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)")
"""YAML before the text; it has no empty line, so that a rule far below ends none."""

FENCE = re.compile(r" {0,3}(?:(`{3,}+)([^`]*)|(~{3,}+)(.*))\Z")
ATX = re.compile(r" {0,3}(#{1,6})[ \t](.*)")
NO_PARAGRAPH = re.compile(r"[ \t]*(?:>|[-*+][ \t]|[0-9]{1,9}[.)][ \t])")
"""Items and quotations: a line below them is a rule, not an underline."""

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
    if not text.strip():
        raise Unreadable("The document is empty.")
    headings = list(headings_of(text, kind))
    title = next((each.text for each in headings if each.level == 1), None) if kind == "markdown" else None
    return Text(text=text, headings=headings, title=title, replaced=replaced)


def line_of(said: object) -> str | None:
    """Return what a file says of itself, such as its title, as a line of text; None where it says nothing."""
    return " ".join(NO_TEXT.sub("\ufffd", str(said or "")[: 2 * LONGEST_HEADING]).split())[:LONGEST_HEADING] or None


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
    matter = FRONT_MATTER.match(text)
    fence, before, before_at = "", "", 0
    for found in LINE.finditer(text, matter.end() if matter else 0):
        at, bare = found.start(), found.group().rstrip("\r\n")
        mark, after = _fence(bare)
        if fence:
            if mark.startswith(fence) and not after:
                fence = ""
            before = ""
        elif mark:
            fence, before = mark, ""
        elif heading := ATX.match(bare):
            if said := _without_closing(heading.group(2).strip()):
                yield Heading(at=at, level=len(heading.group(1)), text=said[:LONGEST_HEADING])
            before = ""
        elif before and (under := UNDERLINE.match(bare)):
            level = 1 if under.group(1).startswith("=") else 2
            yield Heading(at=before_at, level=level, text=before[:LONGEST_HEADING])
            before = ""
        else:
            before, before_at = "" if NO_PARAGRAPH.match(bare) else bare.strip(), at


def _fence(line: str) -> tuple[str, str]:
    """Return the marks with which a line begins or ends code, and what follows them; nothing where it does neither."""
    found = FENCE.match(line)
    if found is None:
        return "", ""
    return found[1] or found[3], (found[2] or found[4] or "").strip()


def _without_closing(heading: str) -> str:
    """Return a heading without the number signs that may end it."""
    bare = heading.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else heading
