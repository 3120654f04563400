"""Properties of Notion's pages as metadata: each as the plain value that people see."""

from collections.abc import Mapping
from typing import Any

from adapters.connectors.given_values import items, mapping, text

PAGED = frozenset({"title", "rich_text", "people", "relation"})
"""Types of which a page tells a part only, where there is much."""

TOLD_AT_MOST = 25
DEEPEST = 8
AS_THEY_ARE = frozenset(
    {"number", "checkbox", "url", "email", "phone_number", "created_time", "last_edited_time", "string", "boolean"}
)


def plain_text(rich: Any) -> str:
    """Return the text of rich text, without its style."""
    return "".join(text(mapping(piece).get("plain_text")) for piece in items(rich))


def title_of(properties: Mapping[str, Any]) -> str:
    """Return what a page is called."""
    titles = (each for each in properties.values() if mapping(each).get("type") == "title")
    return plain_text(mapping(next(titles, {})).get("title"))


def is_told_in_part(property: Mapping[str, Any]) -> bool:
    """Return whether there may be more of a property than the page tells."""
    kind = text(property.get("type"))
    return kind in PAGED and (property.get("has_more") is True or len(items(property.get(kind))) >= TOLD_AT_MOST)


def values_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return name -> value."""
    return {name: value_of(mapping(each)) for name, each in properties.items()}


def value_of(property: Mapping[str, Any], depth: int = DEEPEST) -> Any:
    """Return a property's value, None where it has none; what is computed may hold another, not without end."""
    if not depth:
        return None
    kind = text(property.get("type"))
    value = property.get(kind)
    if kind in AS_THEY_ARE:
        return value if value is None or isinstance(value, str | int | float) else None
    match kind:
        case "title" | "rich_text":
            return plain_text(value)
        case "select" | "status":
            return mapping(value).get("name")
        case "multi_select" | "files":
            return [mapping(each).get("name") for each in items(value)]
        case "people":
            return [person(each) for each in items(value)]
        case "created_by" | "last_edited_by":
            return person(value)
        case "date":
            return {name: mapping(value).get(name) for name in ("start", "end")} if value else None
        case "relation":
            return [mapping(each).get("id") for each in items(value)]
        case "formula":
            return value_of(mapping(value), depth - 1)
        case "rollup":
            inner = mapping(value)
            if inner.get("type") == "array":
                return [value_of(mapping(each), depth - 1) for each in items(inner.get("array"))]
            return value_of(inner, depth - 1)
        case "unique_id":
            prefix, number = mapping(value).get("prefix"), mapping(value).get("number")
            return f"{prefix}-{number}" if prefix else number
        case "verification":
            return mapping(value).get("state")
        case _:
            return None


def person(value: Any) -> Any:
    """Return a user's name, or the id where no more is told."""
    return mapping(value).get("name") or mapping(value).get("id")
