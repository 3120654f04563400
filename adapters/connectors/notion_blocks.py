"""Notion's blocks as Markdown."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from adapters.connectors.given_values import items, mapping, text
from adapters.connectors.notion_properties import plain_text

WHERE_PEOPLE_READ = "https://www.notion.so/"
HEADING = re.compile(r"heading_([1-6])\Z")
LIST_ITEMS = frozenset({"bulleted_list_item", "numbered_list_item", "to_do", "toggle"})
NOTHING = frozenset({"breadcrumb", "table_of_contents"})
"""Blocks that only show what stands elsewhere."""

NOT_FOLLOWED = frozenset({"child_page", "child_database"})
"""Blocks whose children are documents of their own."""

FILES = frozenset({"image", "video", "audio", "file", "pdf"})
LINKS = frozenset({"bookmark", "embed", "link_preview"})
STYLES = (("bold", "**"), ("italic", "*"), ("strikethrough", "~~"))


@dataclass(frozen=True)
class Block:
    """A block and what stands inside it."""

    kind: str
    value: Mapping[str, Any]
    id: str = ""
    children: Sequence["Block"] = field(default_factory=tuple)

    @property
    def text(self) -> str:
        """Its own text, as Markdown."""
        return rich_text(self.value.get("rich_text"))


def unknown_kinds(blocks: Sequence[Block]) -> Iterator[str]:
    """Yield the kinds of blocks, inside as well, of which nothing can be told."""
    for block in blocks:
        if not block.children and not is_known(block):
            yield block.kind
        yield from unknown_kinds(block.children)


def is_known(block: Block) -> bool:
    """Return whether a block is told, or has nothing to tell."""
    known = LIST_ITEMS | NOTHING | NOT_FOLLOWED | FILES | LINKS | STRUCTURE
    return block.kind in known or bool(HEADING.match(block.kind)) or "rich_text" in block.value


STRUCTURE = frozenset(
    {"table", "table_row", "column_list", "column", "synced_block", "divider", "equation", "link_to_page"}
)


def markdown(blocks: Sequence[Block]) -> str:
    """Return blocks one after the other; items of a list stand close together."""
    written, before, number = "", "", 0
    for block in blocks:
        number = number + 1 if block.kind == "numbered_list_item" else 0
        told = one(block, number)
        if not told.strip():
            continue
        if written:
            written += "\n" if block.kind in LIST_ITEMS and before in LIST_ITEMS else "\n\n"
        written += told
        before = block.kind
    return written


def one(block: Block, number: int = 0) -> str:
    """Return one block with all that is in it."""
    value, kind = block.value, block.kind
    if heading := HEADING.match(kind):
        title = " ".join(block.text.split())
        return followed(f"{'#' * int(heading[1])} {title}" if title else "", block)
    if kind in LIST_ITEMS:
        return item(block, number)
    if kind in NOT_FOLLOWED:
        return link(text(value.get("title")) or "Untitled", page_address(block.id))
    if kind in FILES:
        return file(block)
    if kind in LINKS:
        return link(rich_text(value.get("caption")) or text(value.get("url")), text(value.get("url")))
    match kind:
        case "quote":
            return quoted(followed(block.text, block))
        case "callout":
            icon = text(mapping(value.get("icon")).get("emoji"))
            return quoted(followed(f"{icon} {block.text}".strip(), block))
        case "code":
            return code(block)
        case "equation":
            return f"$$\n{text(value.get('expression'))}\n$$"
        case "divider":
            return "---"
        case "table":
            return table(block)
        case "link_to_page":
            id = text(value.get(text(value.get("type"))))
            return link("Linked page", page_address(id)) if id else ""
        case _:
            return "" if kind in NOTHING else followed(block.text, block)


def followed(first: str, block: Block) -> str:
    """Return text, and under it what is in a block."""
    return "\n\n".join(each for each in (first, markdown(block.children)) if each)


def item(block: Block, number: int) -> str:
    """Return an item of a list; what is in it is indented."""
    marker = {
        "numbered_list_item": f"{number}. ",
        "to_do": "- [x] " if block.value.get("checked") is True else "- [ ] ",
    }.get(block.kind, "- ")
    inside = " " * (len(marker) if block.kind == "numbered_list_item" else 2)
    told = block.text.replace("\n", f"\n{inside}")
    children = markdown(block.children)
    if not children:
        return f"{marker}{told}" if told else ""
    gap = "\n" if block.children[0].kind in LIST_ITEMS else "\n\n"
    return f"{marker}{told}{gap}{indented(children, inside)}"


def indented(told: str, by: str) -> str:
    """Return text with each line that is not empty moved to the right."""
    return "\n".join(f"{by}{line}" if line else "" for line in told.split("\n"))


def quoted(told: str) -> str:
    """Return text as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in told.split("\n")) if told else ""


def code(block: Block) -> str:
    """Return code in a fence that is longer than any in it."""
    inner = plain_text(block.value.get("rich_text"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", inner)), default=0))
    language = text(block.value.get("language"))
    named = "" if language == "plain text" else " ".join(language.split()).replace("`", "")
    caption = rich_text(block.value.get("caption"))
    fenced = f"{fence}{named}\n{inner}\n{fence}"
    return f"{fenced}\n\n{caption}" if caption else fenced


def table(block: Block) -> str:
    """Return a table; one without a row of names gets an empty one, since Markdown has no other."""
    rows = [[cell(each) for each in items(row.value.get("cells"))] for row in block.children if row.kind == "table_row"]
    if not rows:
        return ""
    width = max(map(len, rows))
    if block.value.get("has_column_header") is not True:
        rows.insert(0, [""] * width)
    lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in rows]
    lines.insert(1, f"|{' --- |' * width}")
    return "\n".join(lines)


def cell(rich: Any) -> str:
    """Return a cell's text on one line."""
    return rich_text(rich).replace("|", "\\|").replace("\n", "<br>")


def file(block: Block) -> str:
    """Return a file's caption or name; one that Notion keeps has an address for an hour only, which is left out."""
    kept = mapping(block.value.get("file"))
    outside = text(mapping(block.value.get("external")).get("url"))
    url = outside or text(kept.get("url"))
    name = rich_text(block.value.get("caption")) or text(block.value.get("name")) or file_name(url)
    if not outside:
        return name
    return f"!{link(name, outside)}" if block.kind == "image" else link(name, outside)


def file_name(url: str) -> str:
    """Return the last part of an address."""
    try:
        return unquote(PurePosixPath(urlsplit(url).path).name)
    except ValueError:
        return ""


def link(told: str, url: str) -> str:
    """Return a link."""
    return f"[{told}]({url})" if url else told


def page_address(id: str) -> str:
    """Return where people open a page."""
    return f"{WHERE_PEOPLE_READ}{quote(id.replace('-', ''), safe='')}"


def rich_text(rich: Any) -> str:
    """Return rich text as Markdown; its words are kept as they are."""
    pieces = [mapping(each) for each in items(rich)]
    return "".join(
        styled("".join(map(words, group)), dict(style), href) for (style, href), group in groupby(pieces, key=style_of)
    )


def words(piece: Mapping[str, Any]) -> str:
    """Return what a piece says."""
    if piece.get("type") == "equation":
        return f"${text(mapping(piece.get('equation')).get('expression'))}$"
    return text(piece.get("plain_text"))


def style_of(piece: Mapping[str, Any]) -> tuple[tuple[tuple[str, bool], ...], str]:
    """Return how a piece looks and where it leads; pieces alike are written as one."""
    annotations = mapping(piece.get("annotations"))
    names = ("code", *(name for name, _ in STYLES))
    return tuple((name, annotations.get(name) is True) for name in names), text(piece.get("href"))


def styled(told: str, style: Mapping[str, bool], href: str) -> str:
    """Return text in its style; spaces around it stay outside, else it would be none."""
    inner = told.strip()
    if not inner:
        return told
    before, after = told[: len(told) - len(told.lstrip())], told[len(told.rstrip()) :]
    if style["code"]:
        fence = "`" * (1 + max(map(len, re.findall("`+", inner)), default=0))
        pad = " " if inner.startswith("`") or inner.endswith("`") else ""
        inner = f"{fence}{pad}{inner}{pad}{fence}"
    for name, mark in STYLES:
        if style[name]:
            inner = f"{mark}{inner}{mark}"
    return f"{before}{link(inner, whole(href))}{after}"


def whole(href: str) -> str:
    """Return a link with its host: Notion leaves out its own."""
    try:
        return urljoin(WHERE_PEOPLE_READ, href) if href.startswith("/") else href
    except ValueError:
        return href
