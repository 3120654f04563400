"""Passages as they are read: those of the index that answers, with what people changed of them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from domain.errors import Invalid
from domain.passage_edits import PassageName

Cursor = tuple[int, int]
"""The place and ordinal of the last one of the page before; of orphaned edits the position and 0."""


@dataclass(frozen=True, kw_only=True)
class SourcePassage:
    """A passage, or an edit that no passage has (`orphaned`: it has neither page nor heading).

    `name` is what an edit of it names. `original` is the text that was cut there, where something else is said;
    `pending`: what it was edited to is not found yet.
    """

    id: UUID
    document: UUID
    version: int
    external_id: str
    title: str
    url: str | None
    metadata: Mapping[str, Any]
    start: int
    end: int
    page: int | None
    heading: str | None
    tokens: int
    text: str
    original: str | None
    name: PassageName
    edited: bool
    pending: bool
    disabled: bool
    manual: bool
    orphaned: bool
    cursor: Cursor


@dataclass(frozen=True, kw_only=True)
class PassagesQuery:
    """What a list may ask for; `groups` None: may find everything."""

    source: UUID
    groups: frozenset[str] | None
    limit: int
    after: Cursor | None = None
    backwards: bool = False
    document: UUID | None = None
    text: str | None = None
    disabled: bool | None = None
    manual: bool | None = None
    edited: bool | None = None
    orphaned: bool = False


class SourcePassagesView(Protocol):
    """The read model for queries: what is not for these groups is not there."""

    async def page(self, query: PassagesQuery) -> tuple[Sequence[SourcePassage], Cursor | None]:
        """Return passages, and after which the next ones stand."""

    async def get(self, source: UUID, id: UUID, groups: frozenset[str] | None) -> SourcePassage | None:
        """Return a passage of any index of a source, or an edit that is orphaned."""


def next_cursor(cursor: Cursor) -> str:
    """Return the text by which a client asks for what comes after."""
    return base64.urlsafe_b64encode(b"%d.%d" % cursor).decode().rstrip("=")


def after_cursor(cursor: str) -> Cursor:
    """Return what a cursor stands for, or raise Invalid."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    place, _, ordinal = text.partition(".")
    if not (place.isdigit() and ordinal.isdigit() and len(place) < 19 and len(ordinal) < 10):
        raise Invalid("This is no cursor: take next_cursor of the list.", code="invalid_cursor", pointer="/cursor")
    return int(place), int(ordinal)
