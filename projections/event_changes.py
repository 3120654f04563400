"""What events changed, field by field: the state before and after each, compared.

Runs and conversations hold what persons said, and their events are facts that replace nothing: what such an
event recorded is shown as added.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate
from eventsourcing.utils import get_topic

from domain import AGGREGATES
from domain.configuration import Configuration
from projections.documents import referred
from projections.events import Names, data, public_event
from projections.history import changes, comparable
from projections.recorded import LogEntry

NEAR = 50
"""Versions between two events of a stream up to which they are replayed together."""

REPLAYED = frozenset(get_topic(kind) for kind in AGGREGATES if getattr(kind, "SNAPSHOTS", True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Versions of one stream, the last included."""

    stream: UUID
    first: int
    last: int


class States(Protocol):
    """Streams as they were."""

    async def states_before(
        self, stretches: Sequence[Stretch]
    ) -> Sequence[tuple[Aggregate | None, Sequence[Any]] | None]:
        """Return for each stretch the state before it and its events up to the first that can't be read; else None."""


async def events_with_changes(entries: Sequence[LogEntry], names: Names, states: States) -> list[dict[str, Any]]:
    """Return the public form of each entry with its `changes`: `{path, op, before, after}` of each field.

    `changes` is null where this Magnet can't read what it would have to compare.
    """
    stretches = list(stretches_of(entries))
    pairs: dict[tuple[UUID, int], tuple[Any, Any]] = {}
    for stretch, found in zip(stretches, await states.states_before(stretches), strict=True):
        if found is not None:
            pairs |= {(stretch.stream, version): pair for version, pair in steps(stretch, *found)}
    wanted = {(entry.stream, entry.version) for entry in entries}
    sides = [side for key, pair in pairs.items() if key in wanted for side in pair]
    targets = {target for side in sides if isinstance(side, Configuration) for target in referred(side)}
    known = await names.names({entry.stream for entry in entries} | targets)
    return [
        public_event(entry, known.get(entry.stream)) | {"changes": changes_of(entry, pairs, known)} for entry in entries
    ]


def stretches_of(entries: Iterable[LogEntry]) -> Iterator[Stretch]:
    """Yield what must be replayed: entries of one stream together, unless they lie far apart."""
    versions: dict[UUID, list[int]] = {}
    for entry in entries:
        if entry.topic.partition(".")[0] in REPLAYED:
            versions.setdefault(entry.stream, []).append(entry.version)
    for stream, some in versions.items():
        some.sort()
        first = last = some[0]
        for version in some[1:]:
            if version - last > NEAR:
                yield Stretch(stream=stream, first=first, last=last)
                first = version
            last = version
        yield Stretch(stream=stream, first=first, last=last)


def steps(
    stretch: Stretch, before: Aggregate | None, events: Sequence[Any]
) -> Iterator[tuple[int, tuple[Aggregate | None, Aggregate | None]]]:
    """Yield each version of a stretch with the states before and after it."""
    for version, event in enumerate(events, stretch.first):
        # An applier replaces what it changes, so a shallow copy keeps the former state.
        after = event.mutate(copy.copy(before) if before is not None else None)
        yield version, (before, after)
        before = after


def changes_of(
    entry: LogEntry, pairs: Mapping[tuple[UUID, int], tuple[Any, Any]], names: Mapping[UUID, str | None]
) -> list[dict[str, Any]] | None:
    """Return the changes of one entry."""
    if entry.topic.partition(".")[0] not in REPLAYED:
        facts = data(entry.event)
        return None if facts is None else changes({}, facts)
    pair = pairs.get((entry.stream, entry.version))
    if pair is None:
        return None
    before, after = (shown(side, names) for side in pair)
    return changes(before, after)


def shown(thing: Aggregate | None, names: Mapping[UUID, str | None]) -> dict[str, Any]:
    """Return what may differ between two states."""
    if isinstance(thing, Configuration):
        return comparable(thing, names)
    return {} if thing is None else {name: value for name, value in vars(thing).items() if not name.startswith("_")}
