"""Write-only fields of a body: taken out, sealed and written beside the log.

Blank keeps what is there, null deletes it, text replaces it.
"""

import base64
from collections.abc import Mapping
from typing import Any

from commands.ports import SecretBox, Unit
from domain.configuration import Configuration
from domain.configuration_events import SecretCleared, SecretSet
from domain.errors import Invalid
from domain.provider import check_header
from domain.references import escaped

LONGEST = 8000
HINTED = 12
"""A secret this long or longer shows its last 4 characters; of a shorter one that would be too much."""

SecretChange = str | None


def split_secrets(kind: type[Configuration], body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, SecretChange]]:
    """Return the body without its secrets, and field -> new secret or None to delete it.

    A field of `x/*` is named `x/<name>`; `x` alone stands for all of them.
    """
    rest = dict(body)
    changes: dict[str, SecretChange] = {}
    for declared in kind.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        if name not in rest:
            continue
        value = rest.pop(name)
        if not many or value is None:
            changes[name] = _checked(value, f"/{name}")
        elif isinstance(value, dict):
            for key, secret in value.items():
                pointer = f"/{name}/{escaped(key)}"
                try:
                    check_header(key, "")
                except ValueError as error:
                    raise Invalid(str(error).capitalize() + ".", code="invalid_header", pointer=pointer) from None
                changes[f"{name}/{key}"] = _checked(secret, pointer)
        else:
            raise Invalid("An object of names and secrets is expected.", code="dict_type", pointer=f"/{name}")
    return rest, {name: change for name, change in changes.items() if change != ""}


def _checked(value: Any, pointer: str) -> SecretChange:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST or any(not 32 <= ord(c) <= 126 for c in value):
        raise Invalid(
            f"A secret is text of at most {LONGEST} printable ASCII characters, or null to delete it.",
            code="invalid_secret",
            pointer=pointer,
        )
    if value != value.strip():
        raise Invalid("A secret has no blank at its ends.", code="invalid_secret", pointer=pointer)
    return value


def apply_secrets(thing: Configuration, changes: Mapping[str, SecretChange], box: SecretBox, unit: Unit) -> None:
    """Record each change, and have the secrets written or removed with the append."""
    for name, secret in changes.items():
        if secret is not None:
            thing.set_secret(name, hint=secret[-4:] if len(secret) >= HINTED else "")
            continue
        for field in [f for f in sorted(thing.secrets) if f == name or f.startswith(f"{name}/")]:
            thing.clear_secret(field, cause="deleted")
    for event in thing.pending_events:  # in their order: cleared by a move, then set anew
        if isinstance(event, SecretCleared):
            unit.effect("secret", id=str(thing.id), field=event.field, sealed=None)
        elif isinstance(event, SecretSet):
            secret = changes[event.field] or ""
            sealed = box.seal(secret, owner=thing.id, field=event.field, origin=thing.origin)
            text = base64.b64encode(sealed).decode()
            unit.effect("secret", id=str(thing.id), field=event.field, sealed=text)
