"""The catalogue of event types: what may stand in the log, with its fields."""

import dataclasses
import inspect
from functools import cache
from typing import Any

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import get_topic

from domain import AGGREGATES
from domain.configuration import Configuration
from domain.configuration_events import Changed, ConfigurationEvent
from domain.event_types import event_classes
from projections.event_examples import example
from projections.event_meanings import MEANINGS
from projections.events import NOT_DATA

GENERAL = (Changed, ConfigurationEvent, Aggregate.Event, Aggregate.Created)
"""What events are made of, whose words say nothing of any."""


@cache
def event_types() -> list[dict[str, Any]]:
    """Return what there is to know of each type, sorted by type.

    `{type, kind, version, description, fields, meanings, personal, example}`: fields are name -> type, meanings
    name -> text, personal the names of fields that stand as [personal] in the log.
    """
    return sorted(
        (
            event_type(aggregate, topic, event)
            for aggregate in AGGREGATES
            for topic, event in event_classes(aggregate).items()
        ),
        key=lambda item: str(item["type"]),
    )


def event_type(aggregate: type[Aggregate], topic: str, event: type[CanMutateAggregate[Any]]) -> dict[str, Any]:
    """Return what there is to know of one type."""
    own = fields(event)
    return {
        "type": topic,
        "kind": get_topic(aggregate),
        "version": getattr(event, "class_version", 1),
        "description": description(topic, event),
        "fields": own,
        "meanings": {name: meaning for name in own if (meaning := meaning_of(aggregate, topic, name))},
        "personal": sorted(set(own) & getattr(event, "PERSONAL", frozenset())),
        "example": example(aggregate, event, own),
    }


def description(topic: str, event: type[Any]) -> str:
    """Return what an event says: the words of its class, or for one without any, its name as a sentence.

    The library makes a class of each class that it is given, and dataclasses write signatures for docstrings.
    """
    for cls in event.__mro__:
        said = vars(cls).get("__doc__") or ""
        if cls in GENERAL:
            break
        if said and not said.startswith(f"{cls.__name__}("):
            return " ".join(inspect.cleandoc(said).split())
    return f"{topic.partition('.')[2].replace('_', ' ').capitalize()}."


def meaning_of(aggregate: type[Aggregate], topic: str, name: str) -> str | None:
    """Return what a field of an event means: what its definition says of it, else what such a field means anywhere."""
    definition = aggregate.DEFINITION.model_fields if issubclass(aggregate, Configuration) else {}
    described = [field.description for key, field in definition.items() if name in (key, field.alias)]
    return MEANINGS.get(f"{topic}:{name}") or next((text for text in described if text), None) or MEANINGS.get(name)


def fields(event: type[Any]) -> dict[str, str]:
    """Return name -> type of an event's own fields."""
    return {field.name: _type_of(field.type) for field in dataclasses.fields(event) if field.name not in NOT_DATA}


def _type_of(annotation: Any) -> str:
    if not isinstance(annotation, str):
        plain = not hasattr(annotation, "__args__")
        annotation = getattr(annotation, "__name__", str(annotation)) if plain else str(annotation)
    return str(annotation).replace("typing.", "")
