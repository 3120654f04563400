"""Which fields documents can be filtered by, and their values, from metadata and a source's mapping."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.filters import LONGEST_KEY, LONGEST_TEXT, as_text, canonical_time
from domain.paths import at

MOST_FIELDS = 200
MOST_ITEMS = 1_000

Fields = dict[str, Any]
"""Field -> text, number, boolean, or a list of texts and numbers; a time is its canonical text."""


def fields_of(metadata: Mapping[str, Any], mapping: Mapping[str, Mapping[str, Any]]) -> Fields:
    """Return a document's fields: the mapped ones in their types, the others as they stand in its metadata.

    A value that is no value of its field's type, null, or an object is left out.
    """
    found: Fields = {}
    for key in sorted(metadata):
        if key not in mapping and 0 < len(key) <= LONGEST_KEY and "\0" not in key and len(found) < MOST_FIELDS:
            value = _plain(metadata[key])
            if value is not None:
                found[key] = value
    for key, declared in mapping.items():
        value = _typed(at(metadata, declared["path"]), declared["type"])
        if value is not None:
            found[key] = value
    return found


def types_of(fields: Fields, mapping: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return field -> type: text, number, boolean, time or list."""
    return {key: mapping[key]["type"] if key in mapping else _type(value) for key, value in fields.items()}


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list) else "text"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        items = [_scalar(item) for item in value[:MOST_ITEMS]]
        return [item for item in items if item is not None]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        # PostgreSQL's jsonb has no NUL; a filter's text can't hold one either.
        return value if len(value) <= LONGEST_TEXT and "\0" not in value else None
    return value if isinstance(value, bool | int | float) else None


def _typed(value: Any, kind: str) -> Any:
    """Return a mapped value in its type, or None where it can't be one."""
    if kind == "list":
        return _plain(value if isinstance(value, list) else [value]) if value is not None else None
    value = _scalar(value)
    if value is None:
        return None
    match kind:
        case "text":
            return value if isinstance(value, str) else _text(value)
        case "number":
            return _number(value)
        case "boolean":
            return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
        case _:
            return _time(value)


def _text(value: bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: bool | float | str) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            whole = float(value)
        except ValueError:
            return None
        short = value.strip().lstrip("+-")
        if short.isascii() and short.isdigit() and len(short) < 19:
            return int(value)
        return whole if abs(whole) < float("inf") else None
    return value


def _time(value: bool | float | str) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return canonical_time(value)
    except ValueError:
        return _date(value)


def _date(value: str) -> str | None:
    """Return a plain date as its first moment in UTC."""
    try:
        day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return as_text(day) if 1 < day.year < 9999 else None
