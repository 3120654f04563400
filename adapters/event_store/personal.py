"""What persons said, in events: sealed with the data key of its subject before it is stored.

An event class says which of its fields hold such text: `PERSONAL: ClassVar[frozenset[str]]`, by the
names under which they are or ever were stored. Its field `subject` says whose words they are; where
that is null or missing they are those of the stream alone.

Where it has `PERIOD`, a word for a kind of texts, they are sealed with the key of their day besides, and with that
alone where they are nobody's: destroying it ends all texts of that kind and day.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

import orjson

from adapters.event_store.data_keys import ERASED, SEALED, WITH
from commands.runs.retention import period


class Sealing(Protocol):
    """Seals and unseals by data keys that are in memory."""

    def seal(self, subject: str, plaintext: str, aad: bytes, period: str | None = None) -> dict[str, Any]:
        """Return the sealed text as a JSON object."""

    def unseal(self, sealed: Mapping[str, Any], aad: bytes) -> str:
        """Return the text, or `[erased]`."""


def personal_fields(event_class: type) -> frozenset[str]:
    """Return the names of the fields that hold what persons said."""
    fields: frozenset[str] = getattr(event_class, "PERSONAL", frozenset())
    return fields


def subject_of(event_class: type, state: Mapping[str, Any], stream_id: UUID) -> str | None:
    """Return the subject whose key an event needs before `protect`; None where it holds nothing personal."""
    if not any(state.get(name) is not None for name in personal_fields(event_class)):
        return None
    # No subject that anyone can name begins with NUL.
    return state.get("subject") or period_of(event_class, state) or f"\0{stream_id}"


def period_of(event_class: type, state: Mapping[str, Any]) -> str | None:
    """Return the period whose key an event needs besides; None where it needs none."""
    kind: str | None = getattr(event_class, "PERIOD", None)
    return None if kind is None else period(kind, str(state["timestamp"])[:10])


def protect(event_class: type, state: dict[str, Any], *, keys: Sealing, stream_id: UUID, aad: bytes) -> dict[str, Any]:
    """Return the state with its personal fields sealed; null stays null."""
    subject = subject_of(event_class, state, stream_id)
    if subject is None:
        return state
    sealed = {}
    day = period_of(event_class, state)
    besides = None if day == subject else day
    for name in personal_fields(event_class) & state.keys():
        value = state[name]
        if isinstance(value, str):
            sealed[name] = keys.seal(subject, value, bound(aad, name, is_json=False), besides)
        elif value is not None:
            text = orjson.dumps(value).decode()
            sealed[name] = keys.seal(subject, text, bound(aad, name, is_json=True), besides) | {"json": True}
    return state | sealed


def reveal(event_class: type, state: dict[str, Any], *, keys: Sealing, aad: bytes) -> dict[str, Any]:
    """Return the state with its personal fields as they were, or `[erased]` in their place."""
    plain: dict[str, Any] = {}
    for name in personal_fields(event_class) & state.keys():
        sealed = state[name]
        if not isinstance(sealed, dict) or SEALED not in sealed:
            continue
        is_json = sealed.get("json") is True
        text = keys.unseal(sealed, bound(aad, name, is_json=is_json))
        if not is_json:
            plain[name] = text
        else:
            plain[name] = nothing(event_class, name) if text == ERASED else orjson.loads(text)
    return state | plain if plain else state


def nothing(event_class: type, name: str) -> Any:
    """Return what stands for an erased value that was no text: as much as its field can be without saying anything."""
    declared = (inspect.get_annotations(each).get(name) for each in event_class.__mro__)
    form = str(next(filter(None, declared), ""))
    return [] if form.startswith("list[") else {} if form.startswith("dict[") else ERASED


def keys_in(event_class: type, state: Mapping[str, Any]) -> set[str]:
    """Return the ids of the keys that `reveal` needs."""
    values = (state.get(name) for name in personal_fields(event_class))
    boxes = [value for value in values if isinstance(value, dict) and SEALED in value]
    return {box[key] for box in boxes for key in ("key", WITH) if key in box}


def bound(aad: bytes, name: str, *, is_json: bool) -> bytes:
    """Return what a sealed field is bound to: its event, its name and its form."""
    return aad + b"\0" + name.encode() + (b"\0json" if is_json else b"\0text")
