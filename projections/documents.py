"""The public document of a configuration thing: what a GET shows."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.configuration import Configuration, references
from domain.configuration_events import LIVE


def referred(thing: Configuration) -> set[UUID]:
    """Return the ids that the thing's definitions hold, whose names a document shows."""
    definitions = [thing.definition]
    definitions += [d for label in thing.labels.values() if (d := label["definition"]) is not thing.definition]
    heads = [path.partition("/")[0] for path in thing.DEFINITION.REFERENCES]
    return {
        target
        for each in definitions
        if any(each.get(head) for head in heads)  # most hold none, and this is asked for every row
        for _, _, target in references(thing.DEFINITION, each)
    }


def document(
    thing: Configuration,
    names: Mapping[UUID, str | None],
    *,
    created_at: datetime,
    updated_at: datetime,
    definition: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document; with `definition`, as the thing was at a labelled version."""
    shown: dict[str, Any] = {
        "id": str(thing.id),
        "name": thing.name,
        **named(thing, definition or thing.definition, names),
        **secrets(thing),
        "version": thing.version,
    }
    if thing.LABELLED:
        shown["live_version"] = thing.labels[LIVE]["version"]
        shown["draft"] = thing.labels[LIVE]["definition"] is not thing.definition and thing.is_draft
        shown["labels"] = {label: thing.labels[label]["version"] for label in sorted(thing.labels)}
    shown |= {name: getattr(thing, name) for name in thing.FURTHER}
    shown["archived"] = thing.archived
    shown["created_at"] = rfc3339(created_at)
    shown["updated_at"] = rfc3339(updated_at)
    return shown


def named(thing: Configuration, definition: Mapping[str, Any], names: Mapping[UUID, str | None]) -> dict[str, Any]:
    """Return the definition with `{id, name}` in the place of each reference."""
    shown = dict(definition)
    for path in thing.DEFINITION.REFERENCES:
        head, *rest = path.split("/")
        if shown.get(head):
            shown[head] = _replaced(shown[head], rest, names)
    return shown


def _replaced(node: Any, path: list[str], names: Mapping[UUID, str | None]) -> Any:
    if not path:
        return {"id": node, "name": names.get(UUID(node))} if isinstance(node, str) else node
    head, *rest = path
    if isinstance(node, list):
        return [_replaced(item, rest, names) for item in node] if head == "*" else node
    if not isinstance(node, Mapping):
        return node
    keys: Iterable[str] = node if head == "*" else (head,) if head in node else ()
    return {**node, **{key: _replaced(node[key], rest, names) for key in keys}}


def secrets(thing: Configuration) -> dict[str, Any]:
    """Return what is shown of the thing's secrets: that they are set, and their last characters."""
    shown: dict[str, Any] = {}
    for declared in thing.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        if many:
            fields = {
                field.partition("/")[2]: {"set": True, "hint": hint}
                for field, hint in sorted(thing.secrets.items())
                if field.startswith(f"{name}/")
            }
            if fields or name not in thing.DEFINITION.LATER:
                shown[name] = fields
        else:
            short = name.removeprefix("api_")
            shown[f"{short}_set"] = name in thing.secrets
            shown[f"{short}_hint"] = thing.secrets.get(name, "")
    return shown


def rfc3339(moment: datetime) -> str:
    """Return a time as RFC 3339 text in UTC, with microseconds."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"
