"""How values are written into paths, queries, headers and cookies (OpenAPI 3, Style Values; RFC 6570)."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import orjson

from domain.errors import Invalid

NOT_IN_QUERY = ":/?@!$'()*,;[]"
"""What `allowReserved` lets stand in a query: all that is reserved but what divides queries and ends them."""

SEPARATORS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}

Pair = tuple[str, str]


def text_of(value: Any) -> str:
    """Return a value as text: JSON where it is no text itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def encoded(value: Any, safe: str = "") -> str:
    """Return a value percent-encoded."""
    return quote(text_of(value), safe=safe)


def flat(value: Any, write: Any) -> list[str]:
    """Return the parts of a list or object, one after the other."""
    if isinstance(value, Mapping):
        return [part for key, item in value.items() for part in (write(key), write(item))]
    return [write(item) for item in value] if isinstance(value, list) else [write(value)]


def simple(value: Any, *, explode: bool, write: Any = encoded) -> str:
    """Return a value in the style of paths and headers."""
    if isinstance(value, Mapping) and explode:
        return ",".join(f"{write(key)}={write(item)}" for key, item in value.items())
    return ",".join(flat(value, write))


def in_path(name: str, how: Mapping[str, Any], value: Any) -> str:
    """Return what stands in a path for a parameter, or raise Invalid where it would lead elsewhere."""
    if "media" in how:
        return within_path(name, encoded(orjson.dumps(value).decode()))
    explode = how["explode"]
    match how["style"]:
        case "label":
            if isinstance(value, Mapping) and explode:
                return within_path(name, "".join(f".{encoded(key)}={encoded(item)}" for key, item in value.items()))
            return within_path(name, "." + ("." if explode else ",").join(flat(value, encoded)))
        case "matrix":
            return within_path(name, "".join(matrix(name, value, explode=explode)))
    return within_path(name, simple(value, explode=explode))


def matrix(name: str, value: Any, *, explode: bool) -> Iterable[str]:
    """Yield the parts of a value in the style of matrix parameters."""
    pairs: list[Pair]
    if isinstance(value, Mapping) and explode:
        pairs = [(encoded(key), encoded(item)) for key, item in value.items()]
    elif isinstance(value, list) and explode:
        pairs = [(encoded(name), encoded(item)) for item in value]
    else:
        pairs = [(encoded(name), ",".join(flat(value, encoded)))]
    for key, item in pairs:
        yield f";{key}={item}" if item else f";{key}"


def within_path(name: str, written: str) -> str:
    """Return what is written into a path, or raise Invalid where it is empty or could be taken for another path."""
    plain = unquote(written)
    if not plain:
        raise refused(name, "it is empty, and would lead to another path")
    if any(part in (".", "..") for part in plain.replace("\\", "/").split("/")):
        raise refused(name, "'.' and '..' lead to another path")
    if any(ord(character) < 32 or ord(character) == 127 for character in plain):
        raise refused(name, "it holds a control character")
    return written


def in_query(name: str, how: Mapping[str, Any], value: Any) -> list[Pair]:
    """Return the pairs of a query that a parameter is, encoded."""
    key = encoded(name, "[]")
    if "media" in how:
        return [(key, encoded(orjson.dumps(value).decode()))]
    safe = NOT_IN_QUERY if how.get("reserved") else ""

    def write(item: Any) -> str:
        return encoded(item, safe)

    style, explode = how["style"], how["explode"]
    if style == "deepObject" and isinstance(value, Mapping):
        return list(deep(key, value, write))
    if isinstance(value, Mapping):
        if explode and style == "form":
            return [(encoded(k), write(item)) for k, item in value.items()]
        return [(key, SEPARATORS.get(style, ",").join(flat(value, write)))]
    if isinstance(value, list):
        if explode:
            return [(key, write(item)) for item in value]
        return [(key, SEPARATORS.get(style, ",").join(flat(value, write)))]
    return [(key, write(value))]


def deep(key: str, value: Any, write: Any) -> Iterable[Pair]:
    """Yield the pairs of an object whose keys stand in brackets; a list is the same key again and again."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from deep(f"{key}[{encoded(name)}]", item, write)
    elif isinstance(value, list):
        for item in value:
            yield from deep(key, item, write)
    else:
        yield key, write(value)


def in_header(name: str, how: Mapping[str, Any], value: Any) -> str:
    """Return what a header holds, or raise Invalid where that can't be sent."""
    written = (
        orjson.dumps(value).decode() if "media" in how else simple(value, explode=how["explode"], write=text_of)
    ).strip()
    if any(not 32 <= ord(character) <= 126 for character in written):
        raise refused(name, "a header holds printable ASCII characters only")
    return written


def in_cookie(name: str, how: Mapping[str, Any], value: Any) -> list[str]:
    """Return the cookies that a parameter is."""
    return [f"{key}={item}" for key, item in in_query(name, {"style": "form", **how}, value)]


def refused(name: str, reason: str) -> Invalid:
    """Return the refusal of an argument."""
    return Invalid(
        f"The argument '{name[:100]}' can't be sent: {reason}.", code="invalid_arguments", pointer="/arguments"
    )
