"""Events that came in their public form, back as what projections take.

What persons said is not in the public form: projections have no use for it.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from domain import AGGREGATES
from domain.event_types import event_classes
from projections.recorded import Recorded


class UnknownEvent(Exception):
    """This version of Magnet knows no such event."""


@cache
def _classes() -> Mapping[str, type[Any]]:
    return {topic: event for aggregate in AGGREGATES for topic, event in event_classes(aggregate).items()}


def received(event: Mapping[str, Any]) -> Recorded:
    """Return an event from its public form, or raise UnknownEvent."""
    cls = _classes().get(event["type"])
    if cls is None:
        raise UnknownEvent(event["type"])
    recorded_at, stream = datetime.fromisoformat(event["recorded_at"]), UUID(event["aggregate_id"])
    made = object.__new__(cls)
    state = {
        **event["data"],
        "originator_id": stream,
        "originator_version": event["version"],
        "originator_topic": event["kind"],
        "timestamp": recorded_at,
    }
    object.__setattr__(made, "__dict__", state)
    return Recorded(event["position"], stream, event["version"], recorded_at, made)
