"""Between domain events and stored bytes: plain JSON, known topics only."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson
from eventsourcing.domain import Aggregate, DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder
from eventsourcing.utils import get_topic

from adapters.event_store.data_keys import KeyNotLoaded, aad
from adapters.event_store.personal import Sealing, keys_in, period_of, personal_fields, protect, reveal, subject_of
from domain.configuration import Snapshot
from domain.event_types import event_classes


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

    The library itself would import whatever module an unknown topic names. Reading is what replay and
    projections do most, so it looks up a class here at once, and upcasts only where a class has versions.
    Writing is what each command does, and goes no detours through compression and ciphers that are not used either.

    What persons said is sealed by `keys` when it is stored. It stays sealed in what is read, so that no
    projection can keep it by accident; `revealed` opens it for those who may see it.
    """

    def __init__(self, aggregates: Sequence[type[Aggregate]], keys: Sealing | None = None) -> None:
        super().__init__(JSONTranscoder())
        self._keys = keys
        self._classes: dict[str, type[Any]] = {get_topic(Snapshot): Snapshot}
        self._originators = {get_topic(aggregate) for aggregate in aggregates}
        for aggregate in aggregates:
            self._classes |= event_classes(aggregate)
        self._personal = {topic: cls for topic, cls in self._classes.items() if personal_fields(cls)}
        self._versioned = {topic for topic, cls in self._classes.items() if getattr(cls, "class_version", 1) > 1}

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the domain event, upcast to the present version of its class."""
        stream = cast(UUID, stored_event.originator_id)
        return self.decoded(stream, stored_event.originator_version, stored_event.topic, stored_event.state)

    def decoded(self, stream: UUID, version: int, topic: str, state: bytes) -> DomainEventProtocol[UUID]:
        """Return what `to_domain_event` does; whoever reads much of the log makes no StoredEvent of each event."""
        cls = self._classes.get(topic)
        if cls is None:
            raise UnknownTopic(
                f"Event {stream}/{version} has the topic '{topic}', which this version of Magnet does not know: "
                "use a newer one."
            )
        if topic in self._versioned:
            return super().to_domain_event(StoredEvent(stream, version, topic, state))
        fields = self.transcoder.decode(state)
        fields["originator_id"] = stream
        fields["originator_version"] = version
        if "originator_topic" in fields and fields["originator_topic"] not in self._originators:
            raise UnknownTopic(
                f"Event {stream}/{version} creates something that this version of Magnet does not know: "
                "use a newer one."
            )
        event = cast("DomainEventProtocol[UUID]", object.__new__(cls))
        object.__setattr__(event, "__dict__", fields)
        return event

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return the event as it is stored; raise KeyNotLoaded unless the keys of its subjects are in memory."""
        cls: type[Any] = type(domain_event)
        topic, fields = get_topic(cls), dict(vars(domain_event))
        stream, version = fields.pop("originator_id"), fields.pop("originator_version")
        if topic in self._versioned:
            fields["class_version"] = cls.class_version
        if topic in self._personal:
            if self._keys is None:
                raise KeyNotLoaded
            fields = protect(cls, fields, keys=self._keys, stream_id=stream, aad=aad(stream, version, topic))
        return StoredEvent(originator_id=stream, originator_version=version, topic=topic, state=orjson.dumps(fields))

    def topics_besides(self, classes: tuple[type[Any], ...]) -> frozenset[str]:
        """Return the topics of all events that are of none of these classes."""
        return frozenset(topic for topic, cls in self._classes.items() if not issubclass(cls, classes))

    def subjects(self, events: Iterable[DomainEventProtocol[UUID]]) -> set[str]:
        """Return the subjects and periods whose keys `to_stored_event` needs for these events."""
        found: set[str | None] = set()
        for event in events:
            cls = self._personal.get(get_topic(type(event)))
            subject = None if cls is None else subject_of(cls, vars(event), event.originator_id)
            if cls is not None and subject is not None:
                found |= {subject, period_of(cls, vars(event))}
        return {each for each in found if each is not None}

    def keys_needed(self, events: Iterable[Any]) -> set[str]:
        """Return the ids of the keys that `revealed` needs for these events."""
        return {key for event in events for key in keys_in(type(event), vars(event))}

    def revealed(self, event: Any) -> Any:
        """Return the event with what persons said in plain, or `[erased]`; its keys must be in memory."""
        topic = get_topic(type(event))
        if topic in self._personal and self._keys is not None:
            bound = aad(event.originator_id, event.originator_version, topic)
            event.__dict__.update(reveal(type(event), vars(event), keys=self._keys, aad=bound))
        return event
