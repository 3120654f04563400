"""PPTX: slides in their order, each a page with its title as heading, its tables, diagrams and notes.

Hidden slides are read too; pictures, charts, comments and what a layout puts on every slide are not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.reading.archive import Archive, Relation, attribute, inner, local
from adapters.reading.growing import Growing
from adapters.reading.plain import line_of
from commands.knowledge.reading import Text

TITLES = frozenset({"title", "ctrTitle"})
REPEATED = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
"""Placeholders of what stands on each slide alike: date, footer, header and number."""


def read_pptx(content: bytes) -> Text:
    """Return the text of a PPTX, or raise what commands.knowledge.reading names."""
    archive = Archive(content, "pptx")
    name, presentation = archive.main("presentation")
    relations = archive.relations(name)
    text = Growing(archive.called)
    shown = (each for part in inner(presentation, "sldIdLst") for each in inner(part, "sldId"))
    for number, slide in enumerate(shown, 1):
        _slide(archive, archive.target(relations, slide), number, text)
    return text.text(title=line_of(archive.title()))


def _slide(archive: Archive, name: str, number: int, text: Growing) -> None:
    text.page()
    root, relations = archive.xml(name), archive.relations(name)
    shapes = list(_shapes(root))
    if not any(_placeholder(shape) in TITLES and _said(shape).strip() for shape in shapes):
        text.head_silently(f"Slide {number}")
    for shape in shapes:
        if _placeholder(shape) in TITLES:
            text.head(_said(shape))
        elif _placeholder(shape) not in REPEATED:
            text.add(_said(shape))
        for table in inner(shape, "tbl"):
            text.add("\n".join(_rows(table)))
        for diagram in inner(shape, "relIds"):
            text.add(_diagram(archive, relations, diagram))
    for each in relations.values():
        if each.type == "notesSlide":
            for shape in _shapes(archive.xml(each.target)):
                if _placeholder(shape) not in REPEATED:
                    text.add(_said(shape))


def _shapes(root: Any) -> Iterator[Any]:
    """Yield shapes and frames in their order, those of groups one by one."""
    for tree in inner(root, "spTree"):
        yield from inner(tree, "sp", "graphicFrame")


def _placeholder(shape: Any) -> str:
    """Return what a shape stands for, such as `title`; `obj` where it says no more, nothing where it is none."""
    return next((attribute(each, "type") or "obj" for each in inner(shape, "ph")), "")


def _said(shape: Any) -> str:
    """Return a shape's paragraphs; of tables and diagrams none."""
    bodies = (body for body in inner(shape, "txBody", "tbl") if local(body) == "txBody")
    return "\n".join(_line(each) for body in bodies for each in inner(body, "p")).strip("\n")


def _line(paragraph: Any) -> str:
    return "".join("\n" if local(each) == "br" else each.text or "" for each in inner(paragraph, "t", "br"))


def _rows(table: Any) -> Iterator[str]:
    for row in inner(table, "tr"):
        cells = (" ".join(_cell(cell).split()) for cell in inner(row, "tc") if attribute(cell, "hMerge") is None)
        yield " | ".join(cells)


def _cell(cell: Any) -> str:
    return " ".join(_line(paragraph) for paragraph in inner(cell, "p"))


def _diagram(archive: Archive, relations: Mapping[str, Relation], diagram: Any) -> str:
    """Return the texts of a diagram: they stand in a part of their own."""
    points = inner(archive.xml(archive.target(relations, diagram, "dm")), "pt")
    return "\n".join(said for point in points if (said := " ".join(_cell(point).split())))
