"""HTML as text: blocks on lines of their own, tables as rows, code as it stands; scripts and styles are left out."""

import re
from typing import Any

from lxml import etree

from adapters.reading.decoding import MARKS, decode
from adapters.reading.kinds import must_begin_as
from adapters.reading.plain import LONGEST_HEADING, line_of
from adapters.reading.short_memory import raise_if_memory_was_short
from commands.knowledge.reading import Heading, Text, Unreadable

SILENT = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "iframe",
        "object",
        "embed",
        "svg",
        "canvas",
        "audio",
        "video",
        "select",
    ]
)
BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
APART = frozenset(
    [
        "p",
        "pre",
        "blockquote",
        "table",
        "ul",
        "ol",
        "dl",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "figure",
    ]
)
"""Blocks with an empty line before and after them."""

BREAKS = {tag: 2 if tag in APART else 1 for tag in BLOCKS}
"""Lines that end before and after a block."""

SHAPED = BLOCKS | {"br", "td", "th"}
"""Elements that do more than hold text: most of a page's others need not be asked what they begin and end."""

HEADINGS = {f"h{level}": level for level in range(1, 7)}
DEEPEST = 1500
"""Levels of a page; libxml2 leaves out, without a word, what is nested deeper than 2,048."""

HIDDEN = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.IGNORECASE)
WHOLE = frozenset(["html", "body"])
"""Pages that hide all of themselves show it by a script."""

BLANKS = re.compile(r"\s+")
CHARSET = re.compile(
    rb"<(?:meta|\?xml)\b[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE
)


def read_html(content: bytes) -> Text:
    """Return the text of an HTML page, or raise Unreadable."""
    must_begin_as("html", content)
    source, replaced = source_of(content)
    root = parsed(source)
    page = Page()
    page.walk(root)
    if not page.text.strip():
        raise Unreadable("The page has no text: what it shows is made by scripts, or drawn.")
    return Text(
        text=page.text,
        headings=page.headings,
        title=line_of(root.findtext(".//title")),
        language=(line_of(root.get("lang")) or "")[:35] or None,
        replaced=replaced,
    )


def parsed(source: str) -> Any:
    """Return the root element of a page, or raise Unreadable."""
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    parser.feed(source.encode())
    try:
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise_if_memory_was_short(error)
        raise Unreadable("This is no HTML.") from None
    raise_if_memory_was_short(parser.feed_error_log)
    return etree.Element("html") if root is None else root  # of comments alone there is none


def source_of(content: bytes) -> tuple[str, int]:
    """Return a page's characters, and how many were none: as its mark says, as UTF-8, else as it says itself."""
    told = CHARSET.search(content[:2048])
    if told and not content.startswith(MARKS):
        try:
            content.decode()
        except UnicodeDecodeError:
            try:
                content = content.decode(told[1].decode("ascii"), "replace").encode()
            except (LookupError, ValueError):
                pass  # no encoding has that name: it is read as any other text
    return decode(content)


def _is_silent(element: Any) -> bool:
    """Return whether an element is not shown as text."""
    if element.tag in SILENT:
        return True
    if element.tag in WHOLE or not element.keys():
        return False
    if element.get("hidden", "until-found").lower() != "until-found":
        return True
    style = element.get("style")
    return style is not None and HIDDEN.search(style) is not None


class Page:
    """A text that grows."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._breaks = 0
        self._blank = False
        self._verbatim = 0
        self._row = 0
        self._cells = 0
        self._around: list[tuple[int, int]] = []
        self.headings: list[Heading] = []

    @property
    def text(self) -> str:
        """What there is by now."""
        return "".join(self._parts)

    @property
    def length(self) -> int:
        """How many characters there are by now."""
        return self._length

    def rest(self) -> None:
        """Set what follows apart from what there is."""
        self._break(2)

    def walk(self, root: Any) -> None:
        """Take in an element and all in it, or raise Unreadable."""
        begun: dict[Any, int] = {}
        around: list[bool] = []
        silent = 0
        for event, element in etree.iterwalk(root, events=("start", "end")):
            tag = element.tag
            if not isinstance(tag, str):
                continue
            if event == "start":
                if len(around) == DEEPEST:
                    raise Unreadable(f"The page's elements are nested more than {DEEPEST} deep.")
                around.append(_is_silent(element))
                silent += around[-1]
                if not silent:
                    if tag in SHAPED:
                        self._begin(tag)
                        if tag in HEADINGS:
                            begun[element] = len(self._parts)
                    if said := element.text:
                        self._say(said)
                continue
            if not silent and tag in SHAPED:
                if tag in HEADINGS and element in begun:
                    self._head(HEADINGS[tag], begun.pop(element))
                self._end(tag)
            silent -= around.pop()
            if not silent and (said := element.tail):
                self._say(said)

    def _begin(self, tag: str) -> None:
        if tag in BREAKS:
            self._break(BREAKS[tag])
        if tag == "br":
            self._break(1)
        elif tag == "li":
            self._put("- ")
        elif tag == "table":
            self._around.append((self._row, self._cells))
            self._cells = 0
        elif tag == "tr":
            self._row, self._cells = self._length, 0
        elif tag in ("td", "th"):
            self._cell()
        elif tag == "pre":
            self._verbatim += 1

    def _cell(self) -> None:
        """Part a cell from the one before it; also of an empty one something is seen, so that columns stay."""
        self._cells += 1
        if self._cells > 1 and self._length > self._row:
            self._breaks, self._blank = 0, False
            self._add(" | ")
        elif self._cells > 1:
            self._put("| ")

    def _end(self, tag: str) -> None:
        if tag == "tr":
            self._cells = 0
        elif tag == "table":
            self._row, self._cells = self._around.pop()
        if tag == "pre":
            self._verbatim -= 1
        if tag in BREAKS:
            self._break(BREAKS[tag])

    def _head(self, level: int, part: int) -> None:
        said = "".join(self._parts[part:])
        if text := BLANKS.sub(" ", said).strip():
            start = self._length - len(said.lstrip())
            self.headings.append(Heading(at=start, level=level, text=text[:LONGEST_HEADING]))

    def _say(self, text: str) -> None:
        if self._verbatim:
            self._put(text)
            return
        if text[0].isspace():
            self._blank = True
        # Most texts have single spaces already: to look for others takes half as long as to make them so.
        alone = text.isprintable() and "  " not in text
        if said := text.strip() if alone else " ".join(text.split()):
            self._put(said)
            self._blank = text[-1].isspace()

    def _break(self, lines: int) -> None:
        if self._parts:
            if self._cells:
                lines = 1
            if lines > self._breaks:
                self._breaks = lines
        self._blank = False

    def _put(self, said: str) -> None:
        if self._breaks:
            self._add("\n" * self._breaks)
        elif self._blank and self._parts and not self._parts[-1].endswith(" "):
            self._add(" ")
        self._breaks, self._blank = 0, False
        self._add(said)

    def _add(self, said: str) -> None:
        self._parts.append(said)
        self._length += len(said)
