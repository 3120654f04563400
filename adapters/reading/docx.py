"""DOCX: paragraphs, lists and tables in their order, notes at the end; as it reads when changes are accepted.

The parts are opened by python-docx, the archive is looked at before. Headers, footers, comments and pictures are
not read.
"""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

from docx import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.exceptions import OpcError
from docx.oxml import parse_xml
from docx.oxml.ns import qn
from lxml.etree import LxmlError

from adapters.reading.archive import Archive, must_declare_nothing
from adapters.reading.plain import LONGEST_HEADING, line_of
from adapters.reading.short_memory import raise_if_memory_was_short
from commands.knowledge.reading import Heading, Text, Unreadable

STYLE = re.compile(r"(?:Heading|heading) ?([1-9])\Z|Title\Z")
NOTES = ((RELATIONSHIP_TYPE.FOOTNOTES, "w:footnote"), (RELATIONSHIP_TYPE.ENDNOTES, "w:endnote"))
ALTERNATIVES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
PARAGRAPH, TABLE, ROW, CELL, TEXT, BOX = (qn(name) for name in ("w:p", "w:tbl", "w:tr", "w:tc", "w:t", "w:txbxContent"))
GONE = frozenset(qn(name) for name in ("w:pPr", "w:rPr", "w:del", "w:moveFrom", "w:instrText", "w:sdtPr"))
"""Not part of what is said: properties, fields' formulas, and what was deleted or moved elsewhere."""

STANDS_FOR = {
    qn("w:tab"): "\t",
    qn("w:ptab"): "\t",
    qn("w:br"): "\n",
    qn("w:cr"): "\n",
    qn("w:noBreakHyphen"): "-",
}


def read_docx(content: bytes) -> Text:
    """Return the text of a DOCX, or raise what commands.knowledge.reading names."""
    try:
        Archive(content, "docx").must_have("document")
        document = Document(BytesIO(content))
        must_declare_nothing(document.element, "DOCX")
        return _text(document)
    except (BadZipFile, OpcError, LxmlError) as error:
        if isinstance(error, LxmlError):
            raise_if_memory_was_short(error)
        raise Unreadable(f"The DOCX is damaged ({type(error).__name__}).") from None


def _text(document: Any) -> Text:
    parts: list[str] = []
    headings: list[Heading] = []
    at = 0
    styles = _styles(document)
    for block in _all_blocks(document):
        if block.tag == TABLE:
            said = "\n".join(_rows(block))
        else:
            said = _said(block)
            style = styles.get(block.style) or block.style or ""
            if found := STYLE.match(style):
                if said.strip():
                    level = int(found.group(1) or 1)
                    headings.append(Heading(at=at, level=level, text=said.strip()[:LONGEST_HEADING]))
            elif style.startswith("List"):
                said = f"- {said}"
        parts += [said, "\n\n"]
        at += len(said) + 2
    text = "".join(parts[:-1])
    if not text.strip():
        raise Unreadable("The DOCX has no text.")
    return Text(text=text, headings=headings, title=line_of(document.core_properties.title))


def _styles(document: Any) -> Mapping[str, str]:
    """Return the names of styles by their ids; the library would open a file of its own for a document without any."""
    try:
        part = document.part.part_related_by(RELATIONSHIP_TYPE.STYLES)
    except KeyError:
        return {}
    return {style.styleId: style.name_val or "" for style in part.element.style_lst if style.styleId}


def _all_blocks(document: Any) -> Iterator[Any]:
    """Yield the paragraphs and tables of a document, those of its text boxes after what they belong to, then notes."""
    yield from _with_boxes(document.element.body)
    for relation, name in NOTES:
        try:
            part = document.part.part_related_by(relation)
        except KeyError:
            continue
        for note in parse_xml(part.blob).iterchildren(qn(name)):
            if note.get(qn("w:type"), "normal") == "normal":  # the others are the lines above notes
                yield from _with_boxes(note)


def _with_boxes(parent: Any) -> Iterator[Any]:
    for block in _inner(parent, PARAGRAPH, TABLE):
        yield block
        for box in _inner(block, BOX):
            yield from _with_boxes(box)


def _inner(parent: Any, *tags: str) -> Iterator[Any]:
    """Yield the nearest elements of these tags, also where a form or an accepted change is around them."""
    for child in parent:
        if child.tag in tags:
            yield child
        elif child.tag == ALTERNATIVES:
            # The same in several forms, of which a program takes the first that it knows.
            yield from _inner(child[0], *tags) if len(child) else ()
        elif child.tag not in GONE:
            yield from _inner(child, *tags)


def _said(paragraph: Any) -> str:
    """Return the text of a paragraph."""
    parts: list[str] = []
    for each in _inner(paragraph, TEXT, MATH_TEXT, BOX, *STANDS_FOR):
        if each.get(qn("w:type")) in ("page", "column"):
            continue
        if each.tag in STANDS_FOR:
            parts.append(STANDS_FOR[each.tag])
        elif each.tag != BOX:
            parts.append(each.text or "")
    return "".join(parts)


def _rows(table: Any) -> Iterator[str]:
    """Yield a table's rows; a cell that spans columns stands once, one that spans rows in each of them."""
    above: dict[int, str] = {}
    for row in _inner(table, ROW):
        cells: dict[int, str] = {}
        column = row.grid_before
        for cell in _inner(row, CELL):
            cells[column] = above.get(column, "") if cell.vMerge == "continue" else _cell(cell)
            column += cell.grid_span
        yield " | ".join(cells.values())
        above = cells


def _cell(cell: Any) -> str:
    """Return what a cell says as one line, with the tables in it."""
    return " ".join(" ".join(_said(each) for each in _inner(cell, PARAGRAPH)).split())
