"""An event as the bytes that its hash is made of: PostgreSQL's binary record format, as 0001_log.sql says."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

COUNT, HEAD = struct.Struct(">i"), struct.Struct(">Ii")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = 16


class RecordBroken(ValueError):
    """These bytes are no record of an event."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """An event of the log; `state` are its stored fields as JSON, sealed where persons said something."""

    position: int
    recorded_at: datetime
    stream: UUID
    version: int
    topic: str
    actor_type: str
    actor_id: str
    actor_name: str
    correlation_id: str | None
    causation_id: str | None
    reason: str | None
    state: bytes
    hash: bytes


def parsed(record: bytes) -> Record:
    """Return what a record says, or raise RecordBroken."""
    try:
        values = _values(record)
        position, micros, version = (int.from_bytes(values[at] or b"", "big") for at in (0, 1, 3))
        return Record(
            position=position,
            recorded_at=EPOCH + timedelta(microseconds=micros),
            stream=UUID(bytes=values[2]),
            version=version,
            topic=_text(values[4]) or "",
            actor_type=_text(values[6]) or "",
            actor_id=_text(values[7]) or "",
            actor_name=_text(values[8]) or "",
            correlation_id=_text(values[10]),
            causation_id=_text(values[11]),
            reason=_text(values[14]),
            state=values[15] or b"",
            hash=sha256(record).digest(),
        )
    except (struct.error, ValueError, TypeError, OverflowError) as error:
        raise RecordBroken("These bytes are no record of an event.") from error


def _values(record: bytes) -> list[bytes | None]:
    (count,) = COUNT.unpack_from(record)
    values: list[bytes | None] = []
    at = COUNT.size
    for _ in range(count):
        _, length = HEAD.unpack_from(record, at)
        at += HEAD.size
        values.append(None if length < 0 else record[at : at + length])
        at += max(length, 0)
    if count != FIELDS or at != len(record):
        raise ValueError
    return values


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
