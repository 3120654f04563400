"""What is handed to the log: requests of events, and the outcome of each."""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import orjson
from eventsourcing.persistence import StoredEvent

from adapters.postgres import sql
from adapters.postgres.arrays import ARRAY_OF, UUID_OID, bigints, byte_strings, integers, jsonbs, texts, uuids

SQL = sql.load("adapters.event_store", "append.sql")
APPEND = SQL["append"]

UUIDS = (UUID_OID, ARRAY_OF[UUID_OID])

GROUP_EVENTS = 2000
"""Events that one transaction takes at most (a single larger request still goes through alone)."""

UNVERSIONED = ~(0xF << 76 | 0x3 << 62)
VERSION_4 = 4 << 76 | 2 << 62

# uuid4 asks the system each time and lets go of the interpreter's lock, which among many threads is
# a wait. Nothing secret hangs on these; the generator is our own, so that nobody else seeds it.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)


def new_command_id() -> bytes:
    """Return a random id (RFC 9562, version 4) as its 16 bytes: a UUID of Python takes longer to make than all else."""
    return (_random.getrandbits(128) & UNVERSIONED | VERSION_4).to_bytes(16)


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


@dataclass(kw_only=True, slots=True)  # not frozen: one is made for each command, and that takes four times as long
class Request:
    """Events (and effects) that are recorded together or not at all; nothing of it is changed later."""

    events: Sequence[StoredEvent]
    metadata: Metadata = Metadata()
    effects: Sequence[Mapping[str, Any]] = ()
    scope: bytes | None = None
    body_hash: bytes | None = None
    answer: bytes | None = None
    known_position: int = 0
    command_id: bytes = field(default_factory=new_command_id)

    def keys(self) -> set[object]:
        """What no other request of its group may touch."""
        keys: set[object] = {event.originator_id for event in self.events}
        if self.scope is not None:
            keys.add(self.scope)
        return keys


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What became of a request; see the SQL function `magnet.append`."""

    outcome: str
    first_position: int | None = None
    detail: Any = None


def parameters(group: Sequence[Request], *, resent: bool = False) -> dict[str, Any]:
    """Return the arguments for one call of the SQL function, in its order."""
    rows = [(number, request, event) for number, request in enumerate(group, 1) for event in request.events]
    metadata = [request.metadata for _, request, _ in rows]
    keyed = any(request.scope is not None for request in group)
    effects = any(request.effects for request in group)
    return {
        "requests": len(group),
        "ev_request": integers([number for number, _, _ in rows]),
        "ev_stream": uuids([cast(UUID, event.originator_id) for _, _, event in rows]),
        "ev_version": bigints([event.originator_version for _, _, event in rows]),
        "ev_topic": texts([event.topic for _, _, event in rows]),
        "ev_state": byte_strings([event.state for _, _, event in rows]),
        "ev_command": byte_strings([request.command_id for _, request, _ in rows], UUIDS),
        "ev_actor_type": texts([m.actor_type for m in metadata]),
        "ev_actor_id": texts([m.actor_id for m in metadata]),
        "ev_actor_name": texts([m.actor_name for m in metadata]),
        "ev_credential": texts([m.credential for m in metadata]),
        "ev_correlation": texts([m.correlation_id for m in metadata]),
        "ev_causation": texts([m.causation_id for m in metadata]),
        "ev_key": texts([m.idempotency_key for m in metadata]),
        "ev_trace": texts([m.trace_id for m in metadata]),
        "ev_reason": texts([m.reason for m in metadata]),
        "rq_scope": byte_strings([r.scope for r in group]) if keyed else None,
        "rq_body_hash": byte_strings([r.body_hash for r in group]) if keyed else None,
        "rq_answer": byte_strings([r.answer for r in group]) if keyed else None,
        "rq_position": bigints([r.known_position for r in group]) if keyed else None,
        "rq_effects": jsonbs([orjson.dumps(r.effects) if r.effects else None for r in group]) if effects else None,
        "resent": resent,
    }


def outcomes(group: Sequence[Request], head: int, answers: Sequence[Mapping[str, Any]] | None) -> list[Outcome]:
    """Return what became of each request, from what the SQL function answered."""
    result = []
    for index, request in enumerate(group):
        answer = answers[index] if answers else {}
        outcome = answer.get("outcome", "recorded")
        first = answer.get("first")
        if outcome == "recorded" and request.events:
            first = head + 1
            head += len(request.events)
        result.append(Outcome(outcome=outcome, first_position=first, detail=answer.get("detail")))
    return result


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
