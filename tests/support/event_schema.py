"""The shape of every event, and of every definition, as it is locked in event_schema.lock.json."""

import dataclasses
from typing import Any

from domain import AGGREGATES, CONFIGURATIONS
from domain.event_types import event_classes

COMMON = {"originator_id", "originator_version", "timestamp"}


def event_schema() -> dict[str, Any]:
    """Return topic -> version and fields of each event, and each kind's definition fields with their defaults."""
    events = {
        topic: {
            "version": getattr(event, "class_version", 1),
            "fields": {f.name: str(f.type) for f in dataclasses.fields(event) if f.name not in COMMON},
        }
        for aggregate in AGGREGATES
        for topic, event in event_classes(aggregate).items()
    }
    definitions = {
        kind.TOPIC: sorted(kind.DEFINITION.model_json_schema(by_alias=True)["properties"]) for kind in CONFIGURATIONS
    }
    return {"definitions": definitions, "events": dict(sorted(events.items()))}
