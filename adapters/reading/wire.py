"""What goes to a reading child and comes back, as JSON and bytes; what a child sends is checked, not believed."""

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.child_processes import LENGTH
from commands.knowledge.reading import (
    Chunk,
    Heading,
    PasswordProtected,
    ReadingLimit,
    Scanned,
    Text,
    TooLarge,
    Unreadable,
    UnsupportedMediaType,
)

ERRORS: Mapping[str, type[Unreadable]] = {
    kind.code: kind for kind in (Unreadable, UnsupportedMediaType, PasswordProtected, TooLarge, ReadingLimit)
}


def frame(data: bytes) -> bytes:
    """Return a frame: its length, and the data."""
    return LENGTH.pack(len(data)) + data


def request(head: Mapping[str, Any], body: bytes) -> bytes:
    """Return a request: a frame of what is asked, and one of a content or a text."""
    return frame(orjson.dumps(head)) + frame(body)


def text_document(text: Text) -> dict[str, Any]:
    """Return a text without its characters."""
    document = {
        "pages": list(text.pages),
        "headings": [[each.at, each.level, each.text] for each in text.headings],
        "title": text.title,
        "language": text.language,
        "replaced": text.replaced,
    }
    return document if text.scanned is None else document | {"ocr": text.scanned.told}


def text_of(document: Mapping[str, Any], text: str) -> Text:
    """Return a text."""
    return Text(
        text=text,
        pages=[int(page) for page in document["pages"]],
        headings=[Heading(at=int(at), level=int(level), text=str(said)) for at, level, said in document["headings"]],
        title=document["title"],
        language=document["language"],
        replaced=int(document["replaced"]),
        scanned=None if document.get("ocr") is None else scanned_of(document["ocr"]),
    )


def scanned_of(document: Mapping[str, Any]) -> Scanned:
    """Return which pages are pictures."""
    return Scanned(
        pages=[int(page) for page in document["pages"]],
        unread={int(each["page"]): str(each["reason"])[:500] for each in document["unread"]},
    )


def spans_of(places: Any, text: Text) -> list[Chunk]:
    """Return the chunks that a child has cut, by what it says of their places."""
    return [
        Chunk(
            start=start,
            end=end,
            text=text.text[start:end],
            page=page,
            heading=heading,
            tokens=tokens,
            searched=searched,
            parent=parent,
        )
        for start, end, page, heading, tokens, searched, parent in places
    ]


def error_of(told: Mapping[str, Any]) -> Unreadable:
    """Return the error that a child tells of."""
    return ERRORS.get(told["code"], Unreadable)(str(told["message"])[:500])
