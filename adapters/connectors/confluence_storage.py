"""Pages as Confluence stores them, as plain HTML: its macros, links and layouts are reduced to the text in them."""

import re
from collections.abc import Iterator
from html import escape
from html.entities import html5
from typing import Any

from lxml import etree

from commands.knowledge.connectors import NotFetched

AC = "http://atlassian.com/content"
RI = "http://atlassian.com/resource/identifier"
XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
CDATA = re.compile(r"(<!\[CDATA\[.*?\]\]>)", re.DOTALL)
ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
SAID = ("title", "key")
"""Parameters of macros that people see: the title of a panel or status, the key of an issue."""

NAMES = ("content-title", "filename", "value")
"""Attributes that name what a link without words leads to."""

BLOCKS = {
    f"{{{AC}}}{name}": tag
    for name, tag in {
        "layout": "div",
        "layout-section": "div",
        "layout-cell": "div",
        "rich-text-body": "div",
        "task-list": "ul",
        "task": "li",
        "task-body": "span",
        "link-body": "span",
        "inline-comment-marker": "span",
        "caption": "p",
        "image": "div",
        "adf-extension": "div",
        "adf-node": "div",
        "adf-content": "div",
        "adf-fallback": "div",
    }.items()
}
UNSEEN = frozenset(
    f"{{{AC}}}{name}"
    for name in (
        "parameter",
        "default-parameter",
        "placeholder",
        "task-id",
        "task-uuid",
        "adf-attribute",
        "adf-parameter",
    )
)


def html_of(title: str, stored: str) -> bytes:
    """Return a page as HTML under its title, or raise NotFetched where it can't be read."""
    root = parsed(stored)
    for element in list(root.iter(etree.Element))[::-1]:
        if element is not root:
            plain(element)
    etree.cleanup_namespaces(root)
    body = "".join(
        [escape(root.text or ""), *(etree.tostring(each, method="html", encoding="unicode") for each in root)]
    )
    named = escape(title)
    page = f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{named}</title></head><body><h1>{named}</h1>{body}'
    return f"{page}</body></html>".encode(errors="replace")


def parsed(stored: str) -> Any:
    """Return the root of a page; the names of characters that only HTML knows are replaced before."""
    parts = CDATA.split(stored)
    known = "".join(part if part.startswith("<![CDATA[") else ENTITY.sub(character, part) for part in parts)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(
            f'<root xmlns:ac="{AC}" xmlns:ri="{RI}">{known}</root>'.encode(errors="replace"), parser
        )
    except etree.XMLSyntaxError as error:
        raise NotFetched(f"What Confluence stores of it is no XML: {error.msg}.", code="unreadable") from None


def character(entity: re.Match[str]) -> str:
    """Return what a named entity stands for; XML's own stay, and unknown ones are text."""
    name = entity[1]
    if name in XML_ENTITIES:
        return entity[0]
    return escape(html5.get(f"{name};", f"&{name};"))


def plain(element: Any) -> None:
    """Turn an element into HTML's; all that is in it was turned before."""
    tag = element.tag
    if tag == "time":
        rename(element, "span", element.get("datetime", ""))
    elif not tag.startswith("{"):
        return
    elif tag in (f"{{{AC}}}structured-macro", f"{{{AC}}}macro"):
        macro(element)
    elif tag == f"{{{AC}}}link":
        link(element)
    elif tag == f"{{{AC}}}plain-text-body":
        rename(element, "pre")
    elif tag == f"{{{AC}}}plain-text-link-body":
        rename(element, "span")
    elif tag == f"{{{AC}}}emoticon":
        rename(element, "span", element.get(f"{{{AC}}}emoji-fallback", ""))
    elif tag == f"{{{AC}}}task-status":
        rename(element, "span", "[x] " if (element.text or "").strip() == "complete" else "[ ] ")
    elif tag in BLOCKS:
        extension(element)
        said = element.get(f"{{{AC}}}alt") if tag == f"{{{AC}}}image" else None
        rename(element, BLOCKS[tag])
        if said:
            element.insert(0, paragraph(said))
    elif tag in UNSEEN or tag.startswith(f"{{{RI}}}"):
        if keeper(element) is None:
            drop(element)
    else:
        rename(element, "div")


def keeper(element: Any) -> Any:
    """Return the macro or link that still has to look at a part of it."""
    parent = element.getparent()
    kept = (f"{{{AC}}}structured-macro", f"{{{AC}}}macro", f"{{{AC}}}link")
    return parent if parent is not None and parent.tag in kept else None


def macro(element: Any) -> None:
    """Keep what a macro shows: its title or key, and its body."""
    said = [text for name, text in parameters(element) if name in SAID and text]
    bodies = [each for each in element if isinstance(each.tag, str) and not each.tag.startswith("{")]
    for each in list(element):
        if each not in bodies:
            drop(each)
    if bodies:
        rename(element, "div")
        element.text = None
        for number, text in enumerate(said):
            element.insert(number, paragraph(text))
    else:
        rename(element, "span", " ".join(said))


def parameters(element: Any) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a macro's parameters."""
    for each in element.iterchildren(f"{{{AC}}}parameter"):
        yield each.get(f"{{{AC}}}name", ""), "".join(each.itertext()).strip()


def link(element: Any) -> None:
    """Keep the words of a link; one without any says what it leads to."""
    inside = (each for each in element if not str(each.tag).startswith("{"))
    words = any(text.strip() for each in inside for text in each.itertext())
    named = [each.get(f"{{{RI}}}{name}") for each in element if str(each.tag).startswith(f"{{{RI}}}") for name in NAMES]
    for each in list(element):
        if str(each.tag).startswith("{"):
            drop(each)
    if words:
        rename(element, "span")
    else:
        rename(element, "span", next((name for name in named if name), element.get(f"{{{AC}}}anchor", "")))


def extension(element: Any) -> None:
    """Of what the new editor stores twice, keep the form that is meant for readers such as this one."""
    if element.tag == f"{{{AC}}}adf-extension" and len(element) > 1:
        for each in list(element)[:-1]:
            drop(each)


def paragraph(text: str) -> Any:
    """Return a paragraph."""
    made = etree.Element("p")
    made.text = text
    return made


def rename(element: Any, tag: str, text: str | None = None) -> None:
    """Make an element one of HTML's; with `text` that is all there is in it."""
    tail = element.tail
    if text is None:
        element.attrib.clear()
    else:
        element.clear()
        element.text = text
    element.tag, element.tail = tag, tail


def drop(element: Any) -> None:
    """Take an element out, but not the text after it."""
    parent, before = element.getparent(), element.getprevious()
    if before is None:
        parent.text = (parent.text or "") + (element.tail or "")
    else:
        before.tail = (before.tail or "") + (element.tail or "")
    parent.remove(element)
