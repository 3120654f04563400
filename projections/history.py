"""The past of a thing, read from the log itself: its history, differences, and past states.

Nothing here lags behind the log, and nothing is kept: streams are replayed through snapshots.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import orjson
from eventsourcing.domain import Aggregate

from domain.configuration import Configuration
from domain.definition import same
from domain.errors import NotFound
from domain.references import escaped
from projections.configurations import after_cursor, next_cursor
from projections.documents import document, named, referred, rfc3339, secrets
from projections.event_summaries import summary
from projections.recorded import LogEntry

A = TypeVar("A", bound=Aggregate)
ABSENT: Any = object()
END = 2**62


class Streams(Protocol):
    """Aggregates as they are and as they were, for reading only."""

    async def load(self, id: UUID) -> tuple[Aggregate, int] | None:
        """Return the newest state and the position of its last event."""

    async def at_version(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the state at a version, or raise NotFound."""

    async def version_at(self, id: UUID, time: datetime) -> int | None:
        """Return the version at a time, or None before the beginning."""


class Log(Protocol):
    """The entries of single streams."""

    async def stream(
        self, stream: UUID, *, after: int, before: int, limit: int, oldest_first: bool = False
    ) -> Sequence[LogEntry]:
        """Return the entries between two versions (both exclusive), the newest or the oldest first."""

    async def names(self, streams: Iterable[UUID]) -> Mapping[UUID, str | None]:
        """Return what streams are called."""


@dataclass(frozen=True, kw_only=True)
class History:
    """Answers what a thing was, and how it became what it is."""

    streams: Streams
    log: Log

    async def page(
        self,
        kind: type[Configuration],
        id: UUID,
        *,
        limit: int = 50,
        cursor: str | None = None,
        oldest_first: bool = False,
    ) -> dict[str, Any]:
        """Return `{items, next_cursor}`, by version; or raise NotFound, or Invalid for a cursor.

        An item is `{version, position, type, recorded_at, actor, reason, summary, changes}`; the
        changes of version 1 are those from nothing.
        """
        place = None if cursor is None else after_cursor(cursor)
        after, before = (place or 0, END) if oldest_first else (0, END if place is None else place)
        found = await self.log.stream(id, after=after, before=before, limit=limit + 1, oldest_first=oldest_first)
        entries = sorted(found[:limit], key=lambda entry: entry.version)
        if not entries:
            await self._newest(kind, id)  # raises where there is no such thing
            return {"items": [], "next_cursor": None}
        first = entries[0].version
        states = [await self.streams.at_version(kind, id, first - 1)] if first > 1 else []
        for entry in entries:
            # An applier replaces what it changes, so a shallow copy keeps the former state.
            states.append(entry.event.mutate(copy.copy(states[-1]) if states else None))
        if not isinstance(states[0], kind):
            raise NotFound(f"There is no such {word(kind)}.")
        names = await self.log.names({target for state in states for target in referred(state)})
        shown = [comparable(state, names) for state in states]
        if first == 1:
            shown.insert(0, {})
        items = [item(entry, shown[index], shown[index + 1]) for index, entry in enumerate(entries)]
        if not oldest_first:
            items.reverse()
        return {"items": items, "next_cursor": next_cursor(found[limit - 1].version) if len(found) > limit else None}

    async def diff(self, kind: type[Configuration], id: UUID, old: int, new: int) -> dict[str, Any]:
        """Return `{from, to, changes}` between two versions, or raise NotFound."""
        one = await self.streams.at_version(kind, id, old)
        other = await self.streams.at_version(kind, id, new)
        names = await self.log.names(referred(one) | referred(other))
        return {"from": old, "to": new, "changes": changes(comparable(one, names), comparable(other, names))}

    async def version_at(self, kind: type[Configuration], id: UUID, time: datetime) -> int:
        """Return the version that a thing had at a time, or raise NotFound where it had not begun."""
        version = await self.streams.version_at(id, time)
        if version is None:
            raise NotFound(f"There was no such {word(kind)} at that time.")
        return version

    async def labelled_version(self, kind: type[Configuration], id: UUID, label: str) -> int:
        """Return the version that a label points at now, or raise NotFound."""
        return int((await self._target(kind, id, label))[1]["version"])

    async def at_version(self, kind: type[Configuration], id: UUID, version: int) -> bytes:
        """Return the public document as it was at a version, or raise NotFound."""
        return await self._past(await self.streams.at_version(kind, id, version))

    async def as_of(self, kind: type[Configuration], id: UUID, time: datetime) -> bytes:
        """Return the public document as it was at a time, or raise NotFound where it had not begun."""
        return await self.at_version(kind, id, await self.version_at(kind, id, time))

    async def at_label(self, kind: type[Configuration], id: UUID, label: str) -> bytes:
        """Return the thing with the definition and version that a label points at now, or raise NotFound.

        What is not part of a definition (labels, archived, times) is as it is now.
        """
        thing, target = await self._target(kind, id, label)
        return await self._past(thing, definition=target["definition"], version=target["version"])

    async def _target(self, kind: type[Configuration], id: UUID, label: str) -> tuple[Configuration, Mapping[str, Any]]:
        thing = await self._newest(kind, id)
        target = thing.labels.get(label)
        if target is None:
            raise NotFound(f"This {word(kind)} has no such label.", code="unknown_label")
        return thing, target

    async def _newest(self, kind: type[Configuration], id: UUID) -> Configuration:
        loaded = await self.streams.load(id)
        if loaded is None or not isinstance(loaded[0], kind):
            raise NotFound(f"There is no such {word(kind)}.")
        return loaded[0]

    async def _past(
        self, thing: Configuration, *, definition: Mapping[str, Any] | None = None, version: int | None = None
    ) -> bytes:
        times = [await self._recorded_at(thing.id, each) for each in (1, thing.version)]
        names = await self.log.names(referred(thing))
        shown = document(thing, names, created_at=times[0], updated_at=times[1], definition=definition)
        return orjson.dumps(shown if version is None else shown | {"version": version})

    async def _recorded_at(self, id: UUID, version: int) -> datetime:
        [entry] = await self.log.stream(id, after=version - 1, before=version + 1, limit=1)
        return entry.recorded_at.astimezone(UTC)


def item(entry: LogEntry, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as an item of a history."""
    return {
        "version": entry.version,
        "position": entry.position,
        "type": entry.topic,
        "recorded_at": rfc3339(entry.recorded_at.astimezone(UTC)),
        "actor": {"type": entry.actor_type, "id": entry.actor_id, "name": entry.actor_name},
        "reason": entry.reason,
        "summary": summary(entry.event),
        "changes": changes(before, after),
    }


def comparable(thing: Configuration, names: Mapping[UUID, str | None]) -> dict[str, Any]:
    """Return what may differ between two versions of a thing: all of its document but numbers and times."""
    shown = {**named(thing, thing.definition, names), **secrets(thing), "archived": thing.archived}
    if thing.LABELLED:
        shown["labels"] = {label: target["version"] for label, target in thing.labels.items()}
    return shown


def changes(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Return `{path, op, before, after}` of each value that differs; `op` is add, remove or replace.

    Paths are JSON pointers to leaves. A list is a leaf, unless both are lists of as many objects
    (messages, prices): then each is compared with its counterpart. A reference is a leaf.
    """
    if before is ABSENT or after is ABSENT:
        op = "add" if before is ABSENT else "remove"
        sides = [None if side is ABSENT else side for side in (before, after)]
        return [{"path": path, "op": op, "before": sides[0], "after": sides[1]}]
    if same(before, after):
        return []
    if isinstance(before, dict) and isinstance(after, dict) and not (is_reference(before) or is_reference(after)):
        pairs = [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in dict.fromkeys([*before, *after])]
        return [change for key, old, new in pairs for change in changes(old, new, f"{path}/{escaped(key)}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        items = list(zip(before, after, strict=True))
        if all(isinstance(old, dict) and isinstance(new, dict) for old, new in items):
            return [change for index, (old, new) in enumerate(items) for change in changes(old, new, f"{path}/{index}")]
    return [{"path": path, "op": "replace", "before": before, "after": after}]


def is_reference(value: Mapping[str, Any]) -> bool:
    """Return whether this is how a reference is shown."""
    return value.keys() == {"id", "name"}


def word(kind: type[Configuration]) -> str:
    """Return what a kind is called in a sentence."""
    return kind.TOPIC.replace("_", " ")
