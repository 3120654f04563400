"""The public form of an event: what `/v1/events`, streams, webhooks and Kafka show of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.named_ids import named_id_text
from projections.documents import rfc3339
from projections.event_summaries import summary
from projections.recorded import LogEntry

NOT_DATA = frozenset({"originator_id", "originator_version", "originator_topic", "timestamp"})
PERSONAL = "[personal]"
"""Stands for what persons said: it is shown where it belongs, such as in its conversation, not in the log."""


class Names(Protocol):
    """Knows what streams are called."""

    async def names(self, streams: Iterable[UUID]) -> Mapping[UUID, str | None]:
        """Return the name each stream began with; None where it has none."""


async def public_events(entries: Sequence[LogEntry], names: Names) -> list[dict[str, Any]]:
    """Return the public form of each entry, in their order."""
    known = await names.names({entry.stream for entry in entries})
    return [public_event(entry, known.get(entry.stream)) for entry in entries]


def event_id(stream: UUID, version: int) -> str:
    """Return an event's id: uuid5(stream id, version as decimal text), so that anyone can work it out."""
    return named_id_text(stream, b"%d" % version)


def public_event(entry: LogEntry, name: str | None) -> dict[str, Any]:
    """Return an entry's public form; `data` is null where this Magnet can't read the event."""
    return {
        "position": entry.position,
        "id": event_id(entry.stream, entry.version),
        "type": entry.topic,
        "kind": entry.topic.partition(".")[0],
        "aggregate_id": str(entry.stream),
        "name": name,
        "version": entry.version,
        "recorded_at": rfc3339(entry.recorded_at),
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
    fields = {field: value for field, value in vars(event).items() if field not in NOT_DATA}
    for field in getattr(event, "PERSONAL", ()):
        if fields.get(field) is not None:
            fields[field] = PERSONAL
    return fields
