"""What documents say on pages that are pictures: found out by OCR, or told why it is not known."""

from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.reading.growing import must_not_be_longer
from adapters.reading.pages import BETWEEN, begins_of
from commands.knowledge.reading import Scanned, Text, Unreadable, UnsupportedMediaType

if TYPE_CHECKING:
    from adapters.reading.scans import Found, Scans
    from domain.knowledge_source import Ocr

VERSION = 1
"""Raised when OCR makes another text of the same page: part of what texts are kept under."""

INSTALL = "install what reads pictures (pip install 'magnet[ocr]')"
NOT_INSTALLED = f"It is a picture: {INSTALL}, then have it read again."
SWITCHED_OFF = "It is a picture, and its profile asks for no OCR."
NO_TEXT_LAYER = "The PDF has no text layer: its pages are pictures."


async def complete(text: Text, content: bytes, scans: "Scans | None", ocr: "Ocr", most: int | None) -> Text:
    """Return the text of a PDF with what its pages say that are pictures (`always`: all pages).

    Raises Unreadable where nothing can be read then.
    """
    pictures = [] if text.scanned is None else sorted(text.scanned.unread)
    if ocr == "always" and scans is None:
        raise Unreadable(f"Its profile asks for OCR: {INSTALL} and try again.")
    wanted = list(range(1, len(text.pages) + 1)) if ocr == "always" else pictures
    if not wanted:
        return text
    if scans is None or ocr == "off":
        if not text.text.strip():
            raise Unreadable(
                f"{NO_TEXT_LAYER} {INSTALL[0].upper()}{INSTALL[1:]} and try again, or give it through OCR first."
                if ocr != "off"
                else f"{NO_TEXT_LAYER} No OCR is asked for: give it through OCR first."
            )
        return replace(text, scanned=Scanned(unread=dict.fromkeys(wanted, SWITCHED_OFF if scans else NOT_INSTALLED)))
    return must_say_something(with_scans(text, await scans.read(content, "pdf", wanted, most), anyway=ocr == "always"))


async def text_of_picture(content: bytes, scans: "Scans | None", most: int | None) -> Text:
    """Return the text of a file that is a picture, or raise Unreadable."""
    found = await must_be_installed(scans).read(content, "picture", None, most)
    return must_say_something(text_of_pages(found))


def must_be_installed(scans: "Scans | None") -> "Scans":
    """Return what reads pictures, or raise UnsupportedMediaType."""
    if scans is None:
        raise UnsupportedMediaType(f"Pictures are read by OCR, Markdown and PDF without: {INSTALL} and try again.")
    return scans


def must_say_something(text: Text) -> Text:
    """Return a text, or raise Unreadable where nothing was read."""
    if text.text.strip():
        must_not_be_longer("document", len(text.text))
        return text
    unread = {} if text.scanned is None else text.scanned.unread
    if not unread:
        raise Unreadable("OCR found no text on its pages.")
    page, reason = min(unread.items())
    raise Unreadable(f"No page of it could be read by OCR. Page {page}: {reason}")


def with_scans(text: Text, found: "Found", *, anyway: bool) -> Text:
    """Return a PDF's text with what was read on pages that are pictures.

    What a page says itself stays where OCR found no more; `anyway` has what OCR found stand for it.
    """
    ends = [at - len(BETWEEN) for at in text.pages[1:]] + [len(text.text)]
    said = [text.text[start:end] for start, end in zip(text.pages, ends, strict=True)]
    for page, read in found.texts.items():
        if read and (anyway or len(read) > len(said[page - 1].strip())):
            said[page - 1] = read
    return replace(
        text,
        text=BETWEEN.join(said),
        pages=begins_of(said),
        replaced=text.replaced + found.replaced,
        scanned=Scanned(pages=sorted(found.texts), unread=found.unread),
    )


def text_of_pages(found: "Found") -> Text:
    """Return what was read on all pages of a document."""
    said = [found.texts.get(page, "") for page in range(1, found.pages + 1)]
    return Text(
        text=BETWEEN.join(said),
        pages=begins_of(said),
        replaced=found.replaced,
        scanned=Scanned(pages=sorted(found.texts), unread=found.unread),
    )
