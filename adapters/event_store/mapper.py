"""Between domain events and stored bytes: plain JSON, known topics only, personal text sealed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.domain import Aggregate, CanMutateAggregate, DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder
from eventsourcing.utils import get_topic

from domain.configuration import Snapshot


class UnknownTopic(Exception):
    """The log holds an event whose topic this version of Magnet does not know."""


class JSONTranscoder(Transcoder):
    """An event's fields as one JSON object: its values are plain JSON, its `timestamp` RFC 3339 text.

    NaN, infinities and lone surrogates can't be encoded; integers are at most 64 bits wide.
    """

    def encode(self, obj: Any) -> bytes:
        """Return the bytes that are stored and hashed."""
        return orjson.dumps(obj)

    def decode(self, data: bytes) -> Any:
        """Return the fields."""
        fields = orjson.loads(data)
        fields["timestamp"] = datetime.fromisoformat(fields["timestamp"])
        return fields


class EventMapper(Mapper[UUID]):
    """The library's mapper, for the topics of the given aggregates and no others.

    The library itself would import whatever module an unknown topic names.
    """

    def __init__(self, aggregates: Sequence[type[Aggregate]]) -> None:
        super().__init__(JSONTranscoder())
        self._known = {get_topic(Snapshot)}
        self._originators = {None, *(get_topic(aggregate) for aggregate in aggregates)}
        for aggregate in aggregates:
            self._known |= set(event_classes(aggregate))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the domain event, upcast to the present version of its class."""
        if stored_event.topic not in self._known:
            raise UnknownTopic(
                f"Event {stored_event.originator_id}/{stored_event.originator_version} has the topic "
                f"'{stored_event.topic}', which this version of Magnet does not know: use a newer one."
            )
        event = super().to_domain_event(stored_event)
        if getattr(event, "originator_topic", None) not in self._originators:
            raise UnknownTopic(
                f"Event {stored_event.originator_id}/{stored_event.originator_version} creates something "
                "that this version of Magnet does not know: use a newer one."
            )
        return event


def event_classes(aggregate: type[Aggregate]) -> dict[str, type[CanMutateAggregate[UUID]]]:
    """Return topic -> event class of an aggregate."""
    return {
        get_topic(value): value
        for value in vars(aggregate).values()
        if isinstance(value, type) and issubclass(value, CanMutateAggregate) and getattr(value, "TOPIC", None)
    }
