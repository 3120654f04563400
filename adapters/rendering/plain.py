"""Templates that only put variables into text: most prompts, rendered at once and without a process.

Such a template takes time and room in proportion to its text, and can do nothing else; what isn't
surely of that kind is left to the child process, and both give the same text.
"""

import keyword
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from domain.rendering import MissingVariable, RenderingLimit

OPENING = re.compile(r"\{[{%#]")
PLACE = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
OWN_WORDS = frozenset(
    {*keyword.kwlist, *(word.lower() for word in keyword.kwlist)}
    | {"range", "dict", "namespace", "self", "super", "caller", "varargs", "kwargs", "loop"}
)
MAX_SOURCE = 64 * 1024
"""Characters; what is longer would hold up the event loop."""

MAX_OUTPUT = 1024 * 1024
"""Bytes of text that one call may give."""


def rendered(name: str, source: str, variables: Mapping[str, Any], room: int = MAX_OUTPUT) -> str | None:
    """Return the text, or None where only the child process can tell it; or raise as that would.

    `room` is how many bytes the text may have, where it has variables at all.
    """
    if not OPENING.search(source):
        return source
    if len(source) > MAX_SOURCE:
        return None
    texts: dict[str, str] = {}
    missing: tuple[str, int] | None = None
    at = 0
    while opening := OPENING.search(source, at):
        place = PLACE.match(source, opening.start())
        if place is None or place[1] in OWN_WORDS:
            return None
        if place[1] not in variables:
            missing = missing or (place[1], source.count("\n", 0, place.start()) + 1)
        elif place[1] not in texts:
            text = text_of(variables[place[1]])
            if text is None:
                return None
            texts[place[1]] = text
        at = place.end()
    if missing is not None:
        variable, line = missing
        raise MissingVariable(
            template=name,
            line=line,
            pointer=f"/variables/{variable}",
            message=f"The variable '{variable}' has no value: give it one.",
        )
    return filled(name, source, texts, room)


def variables_of(source: str) -> set[str] | None:
    """Return the variables of a template that only puts variables into text; None for any other."""
    found: set[str] = set()
    if len(source) > MAX_SOURCE:
        return None if OPENING.search(source) else found
    at = 0
    while opening := OPENING.search(source, at):
        place = PLACE.match(source, opening.start())
        if place is None or place[1] in OWN_WORDS:
            return None
        found.add(place[1])
        at = place.end()
    return found


def filled(name: str, source: str, texts: Mapping[str, str], room: int) -> str | None:
    """Return the text with every place filled, within the room; or None where NUL is in it."""
    pieces: list[str] = []
    left = room
    at = 0
    for place in PLACE.finditer(source):
        pieces += (source[at : place.start()], texts[place[1]])
        left -= len(pieces[-2]) + len(pieces[-1])
        if left < 0:
            raise RenderingLimit(template=name)
        at = place.end()
    text = "".join((*pieces, source[at:]))
    if len(text.encode()) > room:
        raise RenderingLimit(template=name)
    return None if "\0" in text else text


def text_of(value: Any) -> str | None:
    """Return the text of a JSON value, or None where it isn't one."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        encoded = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None
    return value if isinstance(value, str) else encoded.decode()
