"""The public form of an event: what `/v1/events`, streams, webhooks and Kafka show of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from hashlib import sha1
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate
from eventsourcing.utils import get_topic

from domain.api_key import ApiKey
from domain.configuration_events import (
    ArchivedAway,
    Created,
    Described,
    LabelRemoved,
    Published,
    Restored,
    RolledBack,
    SecretCleared,
    SecretSet,
    Tagged,
)
from domain.model import DefaultModel
from domain.tag import Tag
from projections.documents import rfc3339
from projections.recorded import LogEntry

NOT_DATA = frozenset({"originator_id", "originator_version", "originator_topic", "timestamp"})
VERSION_MASK = ~(0xF000 << 64 | 0xC000 << 48)
VERSION_BITS = 5 << 76 | 0x8000 << 48
"""Version 5 and variant of a UUID (RFC 9562)."""

PERSONAL = "[personal]"
"""Stands for what persons said: it is shown where it belongs, such as in its conversation, not in the log."""

UNREADABLE = "Something that this version of Magnet can't read: use a newer one"


class Names(Protocol):
    """Knows what streams are called."""

    async def names(self, streams: Iterable[UUID]) -> Mapping[UUID, str | None]:
        """Return the name each stream began with; None where it has none."""


async def public_events(entries: Sequence[LogEntry], names: Names) -> list[dict[str, Any]]:
    """Return the public form of each entry, in their order."""
    known = await names.names({entry.stream for entry in entries})
    return [public_event(entry, known.get(entry.stream)) for entry in entries]


def event_id(stream: UUID, version: int) -> UUID:
    """Return an event's id: uuid5(stream id, version as decimal text), so that anyone can work it out."""
    # What uuid5 does, without its detours: this is asked for every event that leaves.
    digest = int.from_bytes(sha1(stream.bytes + b"%d" % version, usedforsecurity=False).digest()[:16])
    return UUID(int=digest & VERSION_MASK | VERSION_BITS)


def public_event(entry: LogEntry, name: str | None) -> dict[str, Any]:
    """Return an entry's public form; `data` is null where this Magnet can't read the event."""
    return {
        "position": entry.position,
        "id": str(event_id(entry.stream, entry.version)),
        "type": entry.topic,
        "kind": entry.topic.partition(".")[0],
        "aggregate_id": str(entry.stream),
        "name": name,
        "version": entry.version,
        "recorded_at": rfc3339(entry.recorded_at.astimezone(UTC)),
        "actor": {"type": entry.actor_type, "id": entry.actor_id, "name": entry.actor_name},
        "reason": entry.reason,
        "correlation_id": entry.correlation_id,
        "causation_id": entry.causation_id,
        "summary": summary(entry.event),
        "data": data(entry.event),
        "hash": entry.hash.hex(),
    }


def data(event: object) -> dict[str, Any] | None:
    """Return the event's own fields, upcast to their present form."""
    if not isinstance(event, Aggregate.Event):
        return None
    personal = getattr(event, "PERSONAL", frozenset[str]())
    return {
        field: PERSONAL if field in personal and value is not None else value
        for field, value in vars(event).items()
        if field not in NOT_DATA
    }


def summary(event: object) -> str:
    """Say in plain words what happened."""
    match event:
        case Created(name=name):
            return f"Created '{name}'"
        case Described():
            return "Changed title or description"
        case Tagged(tags=[]):
            return "Removed all tags"
        case Tagged(tags=tags):
            return f"Tagged as {', '.join(tags)}"
        case Published(version=version, label=label):
            return f"Published version {version} as {label}"
        case LabelRemoved(label=label):
            return f"Removed the label {label}"
        case RolledBack(to_version=version):
            return f"Rolled back to version {version}"
        case SecretSet(field=field):
            return f"Set the secret {field}"
        case SecretCleared(field=field, cause="origin_changed"):
            return f"Cleared the secret {field}, because the address moved to another origin"
        case SecretCleared(field=field):
            return f"Cleared the secret {field}"
        case ArchivedAway():
            return "Revoked" if isinstance(event, ApiKey.ArchivedAway) else "Archived"
        case Restored():
            return "Restored"
        case DefaultModel.Created(kind=kind):
            return f"Chose the first default {kind} model"
        case DefaultModel.Chosen(model_id=None):
            return "Chose no model as the default"
        case DefaultModel.Chosen():
            return "Chose another default model"
        case Tag.Created(tag=tag):
            return f"Noted the tag {tag}, to rename it"
        case Tag.Renamed(to=to, things=things):
            return f"Renamed to {to} on {things} {'thing' if things == 1 else 'things'}"
        case Aggregate.Event():  # a kind's own events are named for what happened
            return get_topic(type(event)).partition(".")[2].replace("_", " ").capitalize()
        case _:
            return UNREADABLE
