"""Which events there are: the classes of each aggregate's, and types and kinds that somebody names."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import get_topic

from domain import AGGREGATES
from domain.errors import Invalid

CATALOGUE = "GET /v1/event-types lists them"


def event_classes(aggregate: type[Aggregate]) -> dict[str, type[CanMutateAggregate[Any]]]:
    """Return type -> event class of an aggregate."""
    return {
        get_topic(value): value
        for value in vars(aggregate).values()
        if isinstance(value, type) and issubclass(value, CanMutateAggregate) and getattr(value, "TOPIC", None)
    }


@cache
def types() -> frozenset[str]:
    """Return every type that an event in the log may have, such as `prompt.published`."""
    return frozenset(topic for aggregate in AGGREGATES for topic in event_classes(aggregate))


@cache
def kinds() -> frozenset[str]:
    """Return every kind that events are of, such as `prompt`."""
    return frozenset(type.partition(".")[0] for type in types())


def must_be_type(named: str, pointer: str) -> None:
    """Raise Invalid unless events may have this type: who waits for one that never comes should know."""
    if named not in types():
        raise Invalid(_told("No event has this type", named, types()), code="unknown_event_type", pointer=pointer)


def must_be_kind(named: str, pointer: str) -> None:
    """Raise Invalid unless events may be of this kind."""
    if named not in kinds():
        raise Invalid(_told("No event is of this kind", named, kinds()), code="unknown_kind", pointer=pointer)


def _told(wrong: str, named: str, known: Iterable[str]) -> str:
    near = get_close_matches(named, sorted(known), 1)
    return f"{wrong}: is {near[0]} meant? {CATALOGUE}." if near else f"{wrong}: {CATALOGUE}."
