"""Text that comes from outside: what is no text becomes U+FFFD, and is counted."""

import json
import re
from typing import Any

import orjson

NO_TEXT = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


class NotJson(Exception):
    """This is no JSON, or nothing that can be read as such."""


class Cleaner:
    """Cleans one text that comes in pieces: a pair of surrogates that was cut in two is one character."""

    def __init__(self) -> None:
        self.replaced = 0
        self._half = ""

    def clean(self, piece: str) -> str:
        """Return what can be passed on by now; it may be empty."""
        if not self._half and piece.isascii() and "\x00" not in piece:
            return piece
        piece, self._half = self._half + piece, ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        if NO_TEXT.search(piece) is None:
            return piece
        joined = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        cleaned, count = NO_TEXT.subn(REPLACEMENT, joined)
        self.replaced += count
        return cleaned

    def rest(self) -> str:
        """Return what was held back, now that nothing follows."""
        if not self._half:
            return ""
        self._half = ""
        self.replaced += 1
        return REPLACEMENT


def cleaned(text: str) -> tuple[str, int]:
    """Return a whole text cleaned, and how many characters were replaced."""
    cleaner = Cleaner()
    result = cleaner.clean(text) + cleaner.rest()
    return result, cleaner.replaced


def read_json(data: bytes) -> tuple[Any, int]:
    """Return the value, and how many characters were no UTF-8 and became U+FFFD; or raise NotJson.

    Lone surrogates stay in the value, for a Cleaner.
    """
    try:
        return orjson.loads(data), 0
    except orjson.JSONDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # also of numbers with too many digits
        raise NotJson from None
    return value, text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())


def write_json(value: Any) -> bytes:
    """Return a request's body; lone surrogates become U+FFFD, since no provider takes them."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        return NO_TEXT.sub(REPLACEMENT, text.decode("utf-16-le", "surrogatepass")).encode()
