"""What an installation holds now (or held at a time), as plans and exports see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.cli.connection import Connection, NotThere
from api.cli.documents import KINDS, normal
from domain.configuration import Configuration

JSONObject = Mapping[str, Any]
PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Present:
    """One thing: `definition` is the newest; definitions are whole and hold ids where they refer."""

    kind: type[Configuration]
    name: str
    id: str
    version: int
    definition: dict[str, Any]
    archived: bool = False
    labels: Mapping[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Label -> version and definition."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    """Field of each secret that is set -> its hint, which may be empty."""

    shown: JSONObject = field(default_factory=dict)
    """The newest definition as it is read: with {id, name} where it refers."""

    shown_labels: Mapping[str, JSONObject] = field(default_factory=dict)


def collection(kind: type[Configuration]) -> str:
    """Return the path of a kind's things."""
    return f"/v1/{kind.TOPIC.replace('_', '-')}s"


async def names(connection: Connection, kind: type[Configuration]) -> list[str]:
    """Return the names of all things of a kind, archived ones too."""
    found: set[str] = set()
    for archived in ("false", "true"):
        async for item in connection.pages(collection(kind), {"limit": PAGE, "archived": archived}):
            found.add(item["name"])
    return sorted(found)


async def present(
    connection: Connection, kind: type[Configuration], name: str, as_of: str | None = None
) -> Present | None:
    """Return a thing as it is, or as it was at a time (RFC 3339); None where there is none."""
    path = f"{collection(kind)}/{name}"
    try:
        shown = await connection.get(path, {"as_of": as_of} if as_of else {})
    except NotThere:
        return None
    labelled: dict[int, JSONObject] = {shown["version"]: shown}
    shown_labels = {}
    for label, version in shown.get("labels", {}).items():
        if version not in labelled:
            labelled[version] = await connection.get(path, {"version": version})
        shown_labels[label] = fields(kind, labelled[version])
    return Present(
        kind=kind,
        name=shown["name"],
        id=shown["id"],
        version=shown["version"],
        definition=normal(kind, fields(kind, shown)),
        archived=shown["archived"],
        labels={label: (shown["labels"][label], normal(kind, each)) for label, each in shown_labels.items()},
        secrets=dict(_secrets(kind, shown)),
        shown=fields(kind, shown),
        shown_labels=shown_labels,
    )


async def everything(connection: Connection, as_of: str | None = None) -> list[Present]:
    """Return all things of the kinds that files can hold, each kind before those that refer to it."""
    found = []
    for kind in KINDS.values():
        for name in await names(connection, kind):
            thing = await present(connection, kind, name, as_of)
            if thing is not None:
                found.append(thing)
    return found


def fields(kind: type[Configuration], shown: JSONObject) -> dict[str, Any]:
    """Return the fields of the definition from what a read shows."""
    return {
        field.alias or name: shown[field.alias or name]
        for name, field in kind.DEFINITION.model_fields.items()
        if (field.alias or name) in shown
    }


def _secrets(kind: type[Configuration], shown: JSONObject) -> list[tuple[str, str]]:
    found = []
    for declared in kind.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        if many:
            found += [(f"{name}/{key}", item["hint"] or "") for key, item in shown.get(name, {}).items() if item["set"]]
        elif shown.get("key_set"):
            found.append((name, shown.get("key_hint") or ""))
    return found
