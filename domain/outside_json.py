"""JSON that somebody else has written, such as a model: read as far as it can be kept, sent on and searched for."""

import re
from typing import Any

import orjson

DEEPEST = 64
"""Levels that JSON may be nested: far fewer than its readers and writers take, which take different numbers."""

BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""Brackets, and texts as a whole: possessive, and to the end where one does not end, so that time stays linear."""

ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<none>u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))|.)",
    re.DOTALL,
)
"""Each escape as a whole; `none` is one that stands for no text: NUL, or half a character."""


class NotJson(ValueError):
    """This is no JSON, or nested too deep."""


def read(text: str) -> Any:
    """Return the value of JSON text, in which what is no text is U+FFFD; or raise NotJson."""
    if "\\u" in text:
        text = ESCAPES.sub(lambda escape: "\\ufffd" if escape["none"] else escape[0], text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotJson from None
    if text.count("[") + text.count("{") > DEEPEST and too_deep(text.encode()):
        raise NotJson
    return value


def too_deep(raw: bytes) -> bool:
    """Return whether JSON is nested deeper than it may be, without recursion."""
    depth = 0
    for bracket in BRACKETS.finditer(raw):
        first = raw[bracket.start()]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in b"]}":
            depth -= 1
    return False
