"""Cursors of lists whose order is of several texts: what a client sends back to go on after an item."""

import base64
import binascii
from collections.abc import Sequence

import orjson

from api.call import Call
from domain.errors import Invalid


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
