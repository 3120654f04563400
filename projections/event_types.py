"""The catalogue of event types: what may stand in the log, with its fields."""

import dataclasses
from functools import cache
from typing import Any

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import get_topic

from domain import AGGREGATES
from projections.events import NOT_DATA


def event_classes(aggregate: type[Aggregate]) -> dict[str, type[CanMutateAggregate[Any]]]:
    """Return type -> event class of an aggregate."""
    return {
        get_topic(value): value
        for value in vars(aggregate).values()
        if isinstance(value, type) and issubclass(value, CanMutateAggregate) and getattr(value, "TOPIC", None)
    }


@cache
def event_types() -> list[dict[str, Any]]:
    """Return `{type, kind, version, description, fields}` of each, sorted by type."""
    return sorted(
        (
            {
                "type": topic,
                "kind": get_topic(aggregate),
                "version": getattr(event, "class_version", 1),
                "description": (event.__doc__ or "").strip().partition("\n")[0],
                "fields": fields(event),
            }
            for aggregate in AGGREGATES
            for topic, event in event_classes(aggregate).items()
        ),
        key=lambda item: str(item["type"]),
    )


def fields(event: type[Any]) -> dict[str, str]:
    """Return name -> type of an event's own fields."""
    return {
        field.name: field.type
        if isinstance(field.type, str)
        else getattr(field.type, "__name__", str(field.type))
        if not hasattr(field.type, "__args__")
        else str(field.type)
        for field in dataclasses.fields(event)
        if field.name not in NOT_DATA
    }
