"""DOCX: paragraphs, lists and tables in their order, by python-docx; the archive is looked at before it is opened."""

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

from docx import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.exceptions import OpcError
from docx.table import Table
from lxml.etree import LxmlError

from adapters.reading.kinds import must_begin_as
from adapters.reading.plain import LONGEST_HEADING, line_of
from commands.reading import Heading, PasswordProtected, Text, TooLarge, Unreadable

MOST_ENTRIES = 10_000
MOST_BYTES = 300_000_000
"""Declared bytes of all that is packed; pictures count too."""

STEEPEST = 200
"""Times that an entry of more than a megabyte may be larger than its packed form."""

STYLE = re.compile(r"(?:Heading|heading) ?([1-9])\Z|Title\Z")


def read_docx(content: bytes) -> Text:
    """Return the text of a DOCX, or raise what commands.reading names."""
    must_begin_as("docx", content)
    try:
        must_be_sound(content)
        document = Document(BytesIO(content))
        return _text(document)
    except (BadZipFile, OpcError, LxmlError) as error:
        raise Unreadable(f"The DOCX is damaged ({type(error).__name__}).") from None


def must_be_sound(content: bytes) -> None:
    """Raise TooLarge, PasswordProtected or Unreadable for an archive that is a trap."""
    with ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise TooLarge(f"The DOCX has {len(entries)} parts: {MOST_ENTRIES} are read.")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise TooLarge(f"The DOCX declares more than {MOST_BYTES:,} bytes.")
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.flag_bits & 1:
            raise PasswordProtected
        if entry.file_size > 1_000_000 and entry.file_size > STEEPEST * max(1, entry.compress_size):
            raise TooLarge("A part of the DOCX is packed more than text can be.")
        if entry.header_offset < end:
            raise Unreadable("Parts of the DOCX overlap: it was made to do harm.")
        end = entry.header_offset + entry.compress_size
    if not any(entry.filename == "[Content_Types].xml" for entry in entries):
        raise Unreadable("This is a ZIP archive, but no DOCX.")


def _text(document: Any) -> Text:
    parts: list[str] = []
    headings: list[Heading] = []
    at = 0
    styles = _styles(document)
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            said = "\n".join(_row(row) for row in block.rows)
        else:
            said = block.text
            style = styles.get(block._p.style) or block._p.style or ""
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


def _row(row: Any) -> str:
    """Return a row's cells; a cell that spans several columns stands once."""
    cells: list[str] = []
    before = None
    for cell in row.cells:
        if cell._tc is not before:
            cells.append(" ".join(cell.text.split()))
        before = cell._tc
    return " | ".join(cells)
