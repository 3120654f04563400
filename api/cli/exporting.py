"""An installation as documents: what `export` writes and `apply` reads."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from pydantic_core import PydanticUndefined

from api.cli.documents import in_file
from api.cli.present import Present
from api.cli.yaml_text import write
from domain.configuration import Configuration, is_draft
from domain.configuration_events import LIVE
from domain.definition import same
from domain.references import places

JSONObject = Mapping[str, Any]


def files(things: Sequence[Present]) -> dict[str, str]:
    """Return file name -> text: one file a thing, the same text for the same things. Archived ones are left out."""
    shown = [thing for thing in things if not thing.archived]
    named = Counter(_variable(thing, field) for thing in shown for field in thing.secrets)
    return {f"{thing.kind.TOPIC}s/{thing.name}.yaml": write([document(thing, named)]) for thing in shown}


def document(thing: Present, named: Mapping[str, int]) -> dict[str, Any]:
    """Return the document: fields at their default and secrets left out, the latter told by a variable's name.

    `named` says of how many secrets a variable would be; where it is more than one, each has one of its own: else what
    is meant for one place would be sent to another.
    """
    shown = {"kind": thing.kind.TOPIC, "name": thing.name, **_told(thing.kind, thing.shown)}
    for field in sorted(thing.secrets):
        name, _, key = field.partition("/")
        place = shown.setdefault(name, {}) if key else shown
        variable = _variable(thing, field)
        if named[variable] > 1:
            variable += f"_{sha256(f'{thing.id}/{field}'.encode()).hexdigest()[:8].upper()}"
        place[key or name] = {"env": variable}
    labels = _labels(thing)
    if labels:
        shown["labels"] = labels
    return shown


def _labels(thing: Present) -> dict[str, Any]:
    """Return label -> the fields in which its version differs; `live` only where it is not the newest."""
    labels = {}
    for label in sorted(thing.labels):
        _, definition = thing.labels[label]
        differs = is_draft(thing.kind.DEFINITION, definition, thing.definition)
        if label != LIVE or differs:
            shown = _by_name(thing.kind, thing.shown_labels[label])
            labels[label] = {
                name: shown[name]
                for name in thing.kind.DEFINITION.model_fields
                if name not in thing.kind.DEFINITION.PRESENTATION and not same(definition[name], thing.definition[name])
            }
    return labels


def _told(kind: type[Configuration], definition: JSONObject) -> dict[str, Any]:
    """Return the fields that differ from their defaults: what people look at first, long texts last."""
    shown = _by_name(kind, definition)
    told = {
        in_file(kind, name): shown[name]
        for name, field in kind.DEFINITION.model_fields.items()
        if (name in shown and not same(shown[name], _default(kind, name))) or field.is_required()
    }
    shown_only = kind.DEFINITION.PRESENTATION
    return dict(sorted(told.items(), key=lambda item: (_is_long(item[1]), item[0] not in shown_only)))


def _default(kind: type[Configuration], name: str) -> Any:
    field = kind.DEFINITION.model_fields[name]
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return None
    return default.model_dump(mode="json", by_alias=True) if hasattr(default, "model_dump") else default


def _by_name(kind: type[Configuration], definition: JSONObject) -> dict[str, Any]:
    """Return the definition with names where it refers."""
    copied: dict[str, Any] = _copied(definition)
    for path in kind.DEFINITION.REFERENCES:
        for _, container, key in places(copied, path):
            reference = container[key]
            if isinstance(reference, dict):
                container[key] = reference.get("name") or reference.get("id")
    return copied


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _is_long(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" in value or len(value) > 100
    return isinstance(value, dict | list) and bool(value)


def _variable(thing: Present, field: str) -> str:
    """Return the environment variable that an apply elsewhere takes the secret from."""
    name = re.sub(r"[^A-Z0-9]+", "_", f"{thing.name}_{field}".upper())
    return f"_{name}" if name[0].isdigit() else name
