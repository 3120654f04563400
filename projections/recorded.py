"""An event as the log holds it: where it stands, when it was recorded, who caused it and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Recorded:
    """A domain event with its place in the log."""

    position: int
    stream: UUID
    version: int
    recorded_at: datetime
    event: Any


@dataclass(frozen=True, slots=True)
class LogEntry(Recorded):
    """A recorded event with everything that was noted of it."""

    topic: str
    actor_type: str
    actor_id: str
    actor_name: str
    correlation_id: str | None
    causation_id: str | None
    reason: str | None
    hash: bytes
    size: int
    """Bytes that it has in the log."""
