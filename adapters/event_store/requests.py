"""What is handed to the log: requests of events, and the outcome of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent
from psycopg.types.json import Jsonb

from adapters.postgres import sql

APPEND = sql.load("adapters.event_store", "append.sql")["append"]

GROUP_EVENTS = 2000
"""Events that one transaction takes at most (a single larger request still goes through alone)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Who, why, and as part of what; a column of its own each."""

    actor_type: str = "system"
    actor_id: str = "system"
    actor_name: str = "system"
    credential: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    idempotency_key: str | None = None
    trace_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Events (and effects) that are recorded together or not at all."""

    events: Sequence[StoredEvent]
    metadata: Metadata = Metadata()
    effects: Sequence[Mapping[str, Any]] = ()
    scope: bytes | None = None
    body_hash: bytes | None = None
    answer: bytes | None = None
    known_position: int = 0
    command_id: UUID = field(default_factory=uuid4)

    def keys(self) -> set[object]:
        """What no other request of its group may touch."""
        keys: set[object] = {event.originator_id for event in self.events}
        if self.scope is not None:
            keys.add(self.scope)
        return keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a request; see the SQL function `magnet.append`."""

    outcome: str
    first_position: int | None = None
    detail: Any = None


def parameters(group: Sequence[Request]) -> dict[str, Any]:
    """Return the arrays for one call of the SQL function."""
    events = [(number, event) for number, request in enumerate(group, 1) for event in request.events]
    metadata = [request.metadata for request in group]
    return {
        "ev_request": [number for number, _ in events],
        "ev_stream": [event.originator_id for _, event in events],
        "ev_version": [event.originator_version for _, event in events],
        "ev_topic": [event.topic for _, event in events],
        "ev_state": [event.state for _, event in events],
        "rq_command": [request.command_id for request in group],
        "rq_actor_type": [m.actor_type for m in metadata],
        "rq_actor_id": [m.actor_id for m in metadata],
        "rq_actor_name": [m.actor_name for m in metadata],
        "rq_credential": [m.credential for m in metadata],
        "rq_correlation": [m.correlation_id for m in metadata],
        "rq_causation": [m.causation_id for m in metadata],
        "rq_key": [m.idempotency_key for m in metadata],
        "rq_trace": [m.trace_id for m in metadata],
        "rq_reason": [m.reason for m in metadata],
        "rq_scope": [request.scope for request in group],
        "rq_body_hash": [request.body_hash for request in group],
        "rq_answer": [request.answer for request in group],
        "rq_position": [request.known_position for request in group],
        "rq_effects": [Jsonb(list(request.effects)) if request.effects else None for request in group],
    }


def next_group(waiting: Sequence[Request]) -> list[int]:
    """Return the indexes of those who may go together: first come, disjoint keys, not too many."""
    taken: set[object] = set()
    chosen: list[int] = []
    events = 0
    for index, request in enumerate(waiting):
        keys = request.keys()
        events += len(request.events)
        if chosen and events > GROUP_EVENTS:
            break
        if taken.isdisjoint(keys):
            chosen.append(index)
        taken |= keys
    return chosen
