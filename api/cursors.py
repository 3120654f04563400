"""Cursors of lists whose order is of several texts: what a client sends back to go on after an item."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from api.call import Call, Parameter
from domain.errors import Invalid

MOST = 500
"""Items of a page at most, and of a list that is no longer where nobody asks for fewer."""

PART = (
    Parameter(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": MOST, "default": MOST},
        description="Items of a page.",
    ),
    Parameter(name="cursor", schema={"type": "string"}, description="`next_cursor` of the page before."),
)
"""The parameters of a list that is short and at hand as a whole."""


def part_of(call: Call, items: Sequence[Mapping[str, Any]], *names: str) -> dict[str, Any]:
    """Return the part of a whole list that is asked for; the fields of these names tell its items apart."""
    limit, after = call.integer("limit", MOST, 1, MOST) or MOST, place_of(call, len(names))
    places = [[str(item[name]) for name in names] for item in items]
    if after is not None and after not in places:
        raise Invalid("What this cursor leads on from is gone: begin again.", code="invalid_cursor", pointer="/cursor")
    start = 0 if after is None else places.index(after) + 1
    end = start + limit
    following = cursor_after(places[end - 1]) if end < len(items) else None
    return {"items": list(items[start:end]), "next_cursor": following}


def cursor_after(place: Sequence[str]) -> str:
    """Return the cursor of what comes after a place in the order."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(call: Call, length: int) -> list[str] | None:
    """Return the place that the caller's cursor names, as so many texts; None at the beginning; or raise Invalid."""
    cursor = call.text("cursor", 4000)
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or len(place) != length or not all(_is_storable(part) for part in place):
        raise Invalid("This is no cursor: take next_cursor of the list.", code="invalid_cursor", pointer="/cursor")
    return place


def _is_storable(part: object) -> bool:
    return isinstance(part, str) and "\x00" not in part
