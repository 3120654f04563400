"""What goes out of this system: the public form of an event, wrapped as a CloudEvent 1.0 (structured JSON).

Source of the form: CloudEvents specification 1.0.2, and its Dataref extension for what is too large to be
carried. `position`, `correlationid` and `causationid` are extensions of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
LARGEST = 900_000
"""Bytes of a message; brokers take 1 MiB unless they are set otherwise."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A message: `key` decides its order, `position` its place in the log."""

    key: bytes
    value: bytes
    position: int


def source(installation: str) -> str:
    """Return the URI of the log that events come from."""
    return f"/magnet/{installation}"


def cloud_event(event: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return an event in its public form as a CloudEvent; what there is none of is left out."""
    wrapped = {
        "specversion": "1.0",
        "id": event["id"],
        "source": source,
        "type": event["type"],
        "subject": event["aggregate_id"],
        "time": event["recorded_at"],
        "datacontenttype": "application/json",
        "position": event["position"],
        "data": dict(event),
    }
    for extension, field in (("correlationid", "correlation_id"), ("causationid", "causation_id")):
        if event[field] is not None:
            wrapped[extension] = event[field]
    return wrapped


def envelope(event: Mapping[str, Any], source: str) -> Envelope:
    """Return an event as a message; of one that is too large the fields stay where they are, and are referred to."""
    wrapped = cloud_event(event, source)
    value = orjson.dumps(wrapped)
    if len(value) > LARGEST:
        wrapped["dataref"] = f"/v1/events?after={event['position'] - 1}&limit=1"
        wrapped["data"] = {**event, "data": None}
        value = orjson.dumps(wrapped)
    return Envelope(key=event["aggregate_id"].encode(), value=value, position=event["position"])
