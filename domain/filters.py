"""Filters over documents' metadata: their grammar, and whether they fit the fields that there are.

    {"type": "and" | "or", "filters": [...]}        {"type": "not", "filters": [one]}
    {"type": "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "contains", "key": ..., "value": ...}
    {"type": "in" | "nin", "key": ..., "value": [...]}    {"type": "exists", "key": ..., "value": true}

A document without the field satisfies ne, nin and exists false, and no other comparison; a value of
another type is as none. Texts compare by code point. `contains` asks a list for an item, a text for a part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal

from domain.errors import Invalid
from domain.values import moment

Scalar = str | int | float | bool
Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists", "contains"]
FieldTypes = Mapping[str, frozenset[str]]
"""Field -> the types that it has: text, number, boolean, time, list."""

DEEPEST, MOST_NODES, MOST_VALUES, LONGEST_KEY, LONGEST_TEXT = 10, 200, 1_000, 64, 2_000
GROUPS = ("and", "or", "not")
ORDERED = frozenset({"gt", "gte", "lt", "lte"})
SEVERAL = frozenset({"in", "nin"})
OPERATORS = frozenset({"eq", "ne", "exists", "contains"}) | ORDERED | SEVERAL


@dataclass(frozen=True, kw_only=True)
class Group:
    """Several filters as one; `not` has one part."""

    type: Literal["and", "or", "not"]
    parts: Sequence["Filter"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One field compared with a value; `pointer` is where it stood, for errors."""

    type: Operator
    key: str
    value: Any
    pointer: str


Filter = Group | Comparison


def parse(value: Any, pointer: str = "/filter") -> Filter:
    """Return a filter from its JSON, or raise Invalid that points at what is wrong."""
    return _Reader().read(value, pointer, 1)


def bind(filter: Filter, fields: FieldTypes, *, strictly: bool = True) -> Filter:
    """Return the filter with its values in the fields' types.

    Raises Invalid for a field that no document has, and for a value of another type; where it isn't
    strict, both stay and match nothing.
    """
    if isinstance(filter, Group):
        return replace(filter, parts=[bind(part, fields, strictly=strictly) for part in filter.parts])
    types = fields.get(filter.key, frozenset())
    if strictly and not types:
        raise Invalid(
            "No document has this metadata field, and no source maps it.",
            code="unknown_field",
            pointer=f"{filter.pointer}/key",
        )
    if filter.type == "exists":
        return filter
    if filter.type in SEVERAL:
        return replace(
            filter,
            value=[
                _typed(filter, each, types, f"{filter.pointer}/value/{number}", strictly=strictly)
                for number, each in enumerate(filter.value)
            ],
        )
    try:
        return replace(filter, value=_typed(filter, filter.value, types, f"{filter.pointer}/value", strictly=True))
    except Invalid:
        if strictly:
            raise
        # A text that is no time still compares with times, which are kept as texts.
        return filter if filter.type == "ne" else _nothing(filter)


def _nothing(filter: Comparison) -> Filter:
    """Return a filter that no document satisfies."""
    there = replace(filter, type="exists", value=True)
    return Group(type="and", parts=[there, replace(there, value=False)])


def echo(filter: Filter) -> dict[str, Any]:
    """Return the filter's JSON as it was understood."""
    if isinstance(filter, Group):
        return {"type": filter.type, "filters": [echo(part) for part in filter.parts]}
    return {"type": filter.type, "key": filter.key, "value": filter.value}


def canonical_time(text: str) -> str:
    """Return a time as the text that sorts as times do, or raise ValueError."""
    return as_text(moment(text))


def as_text(time: datetime) -> str:
    """Return a time in UTC with microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Reader:
    """Reads one filter, and counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def read(self, value: Any, pointer: str, depth: int) -> Filter:
        self._nodes += 1
        if depth > DEEPEST or self._nodes > MOST_NODES:
            raise Invalid(
                f"A filter has at most {MOST_NODES} parts, nested {DEEPEST} deep.",
                code="filter_too_large",
                pointer=pointer,
            )
        if not isinstance(value, Mapping):
            raise Invalid("A filter is an object with a 'type'.", code="dict_type", pointer=pointer)
        type = value.get("type")
        if isinstance(type, str) and type in GROUPS:
            return self._group(type, value, pointer, depth)
        if not isinstance(type, str) or type not in OPERATORS:
            known = ", ".join([*GROUPS, *sorted(OPERATORS)])
            raise Invalid(f"A filter's type is one of: {known}.", code="unknown_operator", pointer=f"{pointer}/type")
        return self._comparison(type, value, pointer)

    def _group(self, type: Any, value: Mapping[str, Any], pointer: str, depth: int) -> Group:
        _nothing_else(value, {"type", "filters"}, pointer)
        parts = value.get("filters")
        if not isinstance(parts, list) or not parts or (type == "not" and len(parts) > 1):
            wanted = "a list of one filter" if type == "not" else "a list of at least one filter"
            raise Invalid(f"'filters' of this is {wanted}.", code="list_type", pointer=f"{pointer}/filters")
        return Group(
            type=type,
            parts=[self.read(part, f"{pointer}/filters/{number}", depth + 1) for number, part in enumerate(parts)],
        )

    @staticmethod
    def _comparison(type: Any, value: Mapping[str, Any], pointer: str) -> Comparison:
        _nothing_else(value, {"type", "key", "value"}, pointer)
        key = value.get("key")
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or "\0" in key:
            raise Invalid(
                f"A key is the name of a metadata field, of 1 to {LONGEST_KEY} characters.",
                code="invalid_key",
                pointer=f"{pointer}/key",
            )
        if type != "exists" and "value" not in value:
            raise Invalid("A comparison has a 'value'.", code="missing", pointer=f"{pointer}/value")
        return Comparison(
            type=type, key=key, value=_value(type, value.get("value", True), f"{pointer}/value"), pointer=pointer
        )


def _value(type: str, value: Any, pointer: str) -> Any:
    if type in SEVERAL:
        if not isinstance(value, list) or not 0 < len(value) <= MOST_VALUES:
            raise Invalid(
                f"'{type}' compares with a list of 1 to {MOST_VALUES} values.", code="list_type", pointer=pointer
            )
        return [_scalar(each, f"{pointer}/{number}") for number, each in enumerate(value)]
    if type == "exists" and not isinstance(value, bool):
        raise Invalid("'exists' compares with true or false.", code="bool_type", pointer=pointer)
    if type in ORDERED and isinstance(value, bool):
        raise Invalid(f"'{type}' compares numbers, times or texts.", code="wrong_type", pointer=pointer)
    return _scalar(value, pointer)


def _scalar(value: Any, pointer: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value:
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    raise Invalid(
        f"A value is a text of at most {LONGEST_TEXT} characters, a number, true or false.",
        code="wrong_type",
        pointer=pointer,
    )


def _typed(filter: Comparison, value: Scalar, types: frozenset[str], pointer: str, *, strictly: bool) -> Scalar:
    """Return a value as the field's type has it."""
    if filter.type == "contains":
        fits = "list" in types or ("text" in types and isinstance(value, str))
    elif isinstance(value, bool):
        fits = "boolean" in types
    elif isinstance(value, int | float):
        fits = "number" in types
    else:
        if "time" in types:
            try:
                return canonical_time(value)
            except ValueError:
                pass
        fits = "text" in types
    if strictly and not fits:
        raise Invalid(
            f"'{filter.type}' compares this field, {' or '.join(sorted(types))}, with no such value"
            f"{': a time is RFC 3339 text' if 'time' in types else ''}.",
            code="wrong_type",
            pointer=pointer,
        )
    return value


def _nothing_else(value: Mapping[str, Any], known: set[str], pointer: str) -> None:
    if not value.keys() <= known:
        raise Invalid(
            f"A filter of this type has {', '.join(sorted(known))} and nothing else.",
            code="extra_forbidden",
            pointer=pointer,
        )
