"""XLSX: sheets in their order, each under its name, a line for each row; numbers as they are, dates as dates.

Of formulas the values that were kept are read. Hidden sheets are read too; charts, pictures and comments are not.
Rows and columns in which nothing stands are left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from adapters.reading.archive import Archive, attribute, inner, local
from adapters.reading.cell_formats import Formats
from adapters.reading.growing import Growing, must_not_be_longer
from adapters.reading.plain import line_of
from commands.knowledge.reading import Text, Unreadable

BETWEEN = " | "
APART = "\x00"
"""No cell holds it: XML has no NUL."""

TRUTH = {"1": "TRUE", "0": "FALSE"}


def read_xlsx(content: bytes) -> Text:
    """Return the text of an XLSX, or raise what commands.knowledge.reading names."""
    archive = Archive(content, "xlsx")
    name, workbook = archive.main("workbook")
    relations = archive.relations(name)
    named = {each.type: each.target for each in relations.values()}
    shared = list(_strings(archive, named["sharedStrings"])) if "sharedStrings" in named else []
    styles = archive.xml(named["styles"]) if "styles" in named else None
    formats = Formats(styles, from_1904=any(attribute(each, "date1904") in ("1", "true") for each in workbook))
    text = Growing(archive.called)
    for part in inner(workbook, "sheets"):
        for sheet in inner(part, "sheet"):
            text.head(attribute(sheet, "name") or "")
            rows = Rows(archive.elements(archive.target(relations, sheet), "row"), shared, formats)
            for number, row in enumerate(rows.lines()):
                text.add(row, between="\n" if number else "\n\n")
    return text.text(title=line_of(archive.title()))


def _strings(archive: Archive, name: str) -> Iterator[str]:
    """Yield the texts that cells share."""
    for element in archive.elements(name, "si"):
        yield _said(element)


def _said(element: Any) -> str:
    """Return a text of several pieces as one line; how its signs are pronounced (`rPh`) is not part of it."""
    pieces = (each.text or "" for each in inner(element, "t", "rPh") if local(each) == "t")
    return " ".join("".join(pieces).split())


class Rows:
    """The rows of a sheet, in as little memory as will do: a row is one text, and its columns are shared with others."""

    def __init__(self, elements: Iterator[Any], shared: Sequence[str], formats: Formats) -> None:
        self._shared = shared
        self._formats = formats
        self._rows: list[tuple[tuple[int, ...], str]] = []
        patterns: dict[tuple[int, ...], tuple[int, ...]] = {}
        length = 0
        for element in elements:
            cells = dict(self._cells(element))
            if cells:
                columns, said = tuple(sorted(cells)), APART.join(cells[column] for column in sorted(cells))
                self._rows.append((patterns.setdefault(columns, columns), said))
                length += len(said)
                must_not_be_longer("XLSX", length)
        self._columns = sorted({column for columns in patterns for column in columns})

    def lines(self) -> Iterator[str]:
        """Yield each row as a line; a column in which something stands anywhere is seen in each row."""
        for columns, said in self._rows:
            cells = dict(zip(columns, said.split(APART), strict=True))
            yield BETWEEN.join(cells.get(column, "") for column in self._columns).strip(" ")

    def _cells(self, row: Any) -> Iterator[tuple[int, str]]:
        """Yield the cells in which something stands, by the numbers of their columns."""
        column = 0
        for cell in inner(row, "c"):
            place = attribute(cell, "r")
            column = _column(place) if place else column + 1
            if said := self._cell(cell):
                yield column, said

    def _cell(self, cell: Any) -> str:
        kind = attribute(cell, "t") or "n"
        if kind == "inlineStr":
            return " ".join(_said(each) for each in inner(cell, "is"))
        value = next((each.text or "" for each in inner(cell, "v")), "")
        if kind == "s" and value:
            try:
                return self._shared[int(value)]
            except (ValueError, IndexError):
                raise Unreadable(f"The XLSX is damaged: it has no shared text {value[:20]!r}.") from None
        if kind == "n" and value:
            return self._formats.shown(value, attribute(cell, "s"))
        return TRUTH.get(value, value) if kind == "b" else " ".join(value.split())


def _column(place: str) -> int:
    """Return the number of a column such as that of `BC12`."""
    number = 0
    for letter in place.rstrip("0123456789").upper():
        number = number * 26 + ord(letter) - 64
    return number
