"""EPUB: the pages of the book in the order of its spine, each as any other page of HTML; pictures are not read."""

import posixpath
import re
from html.entities import html5
from typing import Any
from urllib.parse import unquote

from lxml import etree

from adapters.reading.archive import EPUB_CONTAINER, Archive, attribute, inner, local
from adapters.reading.growing import must_not_be_longer
from adapters.reading.html import Page, parsed, source_of
from adapters.reading.plain import line_of
from adapters.reading.short_memory import raise_if_memory_was_short
from commands.knowledge.reading import PasswordProtected, Text, Unreadable

ENCRYPTION = "META-INF/encryption.xml"
PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
DECLARATION = re.compile(r"\s*<\?xml[^>]{0,300}\?>")
ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{0,40});")
OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})


def read_epub(content: bytes) -> Text:
    """Return the text of an EPUB, or raise what commands.knowledge.reading names."""
    archive = Archive(content, "epub")
    name = next((attribute(each, "full-path") or "" for each in inner(archive.xml(EPUB_CONTAINER), "rootfile")), "")
    package = archive.xml(name)
    folder = posixpath.dirname(name)
    items = {attribute(each, "id"): each for part in inner(package, "manifest") for each in inner(part, "item")}
    locked = _locked(archive)
    page, replaced = Page(), 0
    for part in inner(package, "spine"):
        for each in inner(part, "itemref"):
            item = items.get(attribute(each, "idref"))
            if item is None:
                raise Unreadable("The EPUB is damaged: its spine has a page that is not among its parts.")
            if attribute(item, "media-type") not in PAGES:
                continue
            target = posixpath.normpath(posixpath.join(folder, unquote(attribute(item, "href") or "")))
            if target in locked:
                raise PasswordProtected("The EPUB is protected against being read by others: give it unprotected.")
            source, found = source_of(archive.read(target))
            page.walk(_tree(source))
            page.rest()
            replaced += found
            must_not_be_longer(archive.called, page.length)
    if not page.text.strip():
        raise Unreadable("The EPUB has no text: its pages are pictures. Give it through OCR first.")
    return Text(
        text=page.text,
        headings=page.headings,
        title=line_of(_told(package, "title")),
        language=(line_of(_told(package, "language")) or "")[:35] or None,
        replaced=replaced,
    )


def _told(package: Any, name: str) -> str | None:
    return next((each.text for part in inner(package, "metadata") for each in inner(part, name)), None)


def _locked(archive: Archive) -> frozenset[str]:
    """Return the names of parts that are encrypted; of most books these are fonts."""
    if ENCRYPTION not in archive:
        return frozenset()
    found = inner(archive.xml(ENCRYPTION), "CipherReference")
    return frozenset(posixpath.normpath(unquote(attribute(each, "URI") or "")) for each in found)


def _tree(source: str) -> Any:
    """Return the elements of a page: it is XML, where `<title/>` is whole; where it is not, it is read as HTML."""
    if "<!ENTITY" in source:
        raise Unreadable("A page of the EPUB declares entities, as none does: it was made to do harm.")
    plain = ENTITY.sub(_character, DECLARATION.sub("", source, count=1))
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(plain.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise_if_memory_was_short(error)
        return parsed(source)
    for element in root.iter(etree.Element):
        element.tag = local(element)
    return root


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    if name in OF_XML:
        return entity[0]
    return html5.get(f"{name};", f"&amp;{name};")
