"""The read model of all configuration things: one row each, its public document ready to be sent."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

import orjson

from domain import CONFIGURATIONS
from domain.configuration import Configuration
from domain.configuration_events import ConfigurationEvent, Created
from domain.errors import Invalid
from projections.documents import document, referred
from projections.recorded import Recorded

WHOLE_PAGE = 500
BREATH = 50
"""Events or rows after which whatever else this process does gets its turn; some milliseconds."""

KINDS = {kind.TOPIC: kind for kind in CONFIGURATIONS}


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingRow:
    """A thing as it is read. `state` is what the projection itself goes on from; both are JSON text."""

    id: UUID
    kind: str
    name: str
    title: str
    description: str
    tags: list[str]
    archived: bool
    version: int
    position: int
    created_position: int
    created_at: datetime
    updated_at: datetime
    state: str
    document: str


class ConfigurationsWriter(Protocol):
    """The read model inside the present transaction."""

    async def load(self, ids: Sequence[UUID]) -> Sequence[ThingRow]:
        """Return the rows of these things."""

    async def names(self, ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
        """Return the names of these things."""

    async def save(self, rows: Sequence[ThingRow]) -> None:
        """Insert or replace rows."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some items of a list, and where the next ones begin; items are JSON texts."""

    items: Sequence[str]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """What a list may ask for; the order is that of creation."""

    kind: str
    limit: int
    after: int | None = None
    newest_first: bool = True
    tag: str | None = None
    archived: bool = False
    text: str | None = None


MOST = 500
"""Items of a list where nobody asks for fewer."""


class ConfigurationsView(Protocol):
    """The read model for queries."""

    async def get(self, id: UUID) -> ThingRow | None:
        """Return a thing."""

    async def page(self, query: ListQuery) -> Page:
        """Return a page of the things of a kind."""

    async def tags(
        self, after: str | None = None, limit: int = MOST, *, without: Sequence[str] = ()
    ) -> Sequence[Mapping[str, Any]]:
        """Return the tags that come after one, in their order, each with the number of things that carry it."""

    async def usages(
        self, id: UUID, after: Sequence[str] | None = None, limit: int = MOST
    ) -> Sequence[Mapping[str, Any]]:
        """Return who refers to a thing: what comes after a kind, name, path and id, in that order."""


@dataclass(slots=True)
class Touched:
    """A thing that a batch changes, and the last event that did."""

    thing: Configuration
    created_position: int
    created_at: datetime
    last: Recorded | None = None


class ConfigurationsProjection:
    """Keeps the rows: an event changes a thing here by the very code that changes the aggregate."""

    name: ClassVar[str] = "configurations_v1"
    takes: ClassVar[tuple[type[Any], ...]] = (ConfigurationEvent,)
    independent: ClassVar[bool] = True

    async def apply(self, events: Sequence[Recorded], view: ConfigurationsWriter) -> None:
        """Fold the events, and save each touched row once."""
        ours = [entry for entry in events if isinstance(entry.event, ConfigurationEvent)]
        if not ours:
            return
        made = {entry.stream for entry in ours if isinstance(entry.event, Created)}
        known = {entry.stream for entry in ours} - made
        touched = {
            row.id: Touched(thaw(row), row.created_position, row.created_at) for row in await self._load(known, view)
        }
        for number, entry in enumerate(ours):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            present = touched.get(entry.stream)
            if present is None:
                present = Touched(entry.event.mutate(None), entry.position, entry.recorded_at)
                touched[entry.stream] = present
            else:
                entry.event.mutate(present.thing)
            present.last = entry
        names = await self._names([each.thing for each in touched.values()], view)
        rows = []
        for number, each in enumerate(touched.values()):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            assert each.last is not None
            rows.append(row_of(each.thing, each.created_position, each.created_at, each.last, names))
        await view.save(rows)

    @staticmethod
    async def _load(ids: set[UUID], view: ConfigurationsWriter) -> Sequence[ThingRow]:
        return await view.load(list(ids)) if ids else []

    @staticmethod
    async def _names(things: Sequence[Configuration], view: ConfigurationsWriter) -> Mapping[UUID, str | None]:
        """Return the names of all that is referred to; names never change."""
        wanted = {target for thing in things for target in referred(thing)}
        if not wanted:
            return {}
        here: dict[UUID, str | None] = {thing.id: thing.name for thing in things if thing.id in wanted}
        missing = list(wanted - here.keys())
        return {**here, **await view.names(missing)} if missing else here


def row_of(
    thing: Configuration,
    created_position: int,
    created_at: datetime,
    last: Recorded,
    names: Mapping[UUID, str | None],
) -> ThingRow:
    """Return the row of a thing after its last event."""
    shown = document(thing, names, created_at=created_at, updated_at=last.recorded_at)
    return ThingRow(
        id=thing.id,
        kind=thing.TOPIC,
        name=thing.name,
        title=thing.definition["title"],
        description=thing.definition["description"],
        tags=thing.definition["tags"],
        archived=thing.archived,
        version=thing.version,
        position=last.position,
        created_position=created_position,
        created_at=created_at,
        updated_at=last.recorded_at,
        state=frozen(thing),
        document=orjson.dumps(shown).decode(),
    )


def frozen(thing: Configuration) -> str:
    """Return what `thaw` needs of a thing; null stands for a definition that is the newest one itself."""
    labels = {
        label: {"version": target["version"], "definition": None}
        if target["definition"] is thing.definition
        else target
        for label, target in thing.labels.items()
    }
    further = {name: getattr(thing, name) for name in thing.FURTHER}
    shared = {"definition": thing.definition, "labels": labels, "secrets": thing.secrets}
    return orjson.dumps(shared | further).decode()


def thaw(row: ThingRow) -> Configuration:
    """Return the thing that a row holds."""
    thing = object.__new__(KINDS[row.kind])
    thing.__base_init__(originator_id=row.id, originator_version=row.version, timestamp=row.updated_at)
    state = orjson.loads(row.state)
    for target in state["labels"].values():
        if target["definition"] is None:
            target["definition"] = state["definition"]
    thing.name, thing.archived = row.name, row.archived
    thing.definition, thing.labels, thing.secrets = state["definition"], state["labels"], state["secrets"]
    for name in thing.FURTHER:
        setattr(thing, name, state[name])
    return thing


def labelled(row: ThingRow, label: str, names: Mapping[UUID, str | None]) -> dict[str, Any] | None:
    """Return the document of the version that a label points at, or None where there is no such label."""
    thing = thaw(row)
    target = thing.labels.get(label)
    if target is None:
        return None
    shown = document(
        thing, names, created_at=row.created_at, updated_at=row.updated_at, definition=target["definition"]
    )
    return shown | {"version": target["version"]}


def next_cursor(position: int) -> str:
    """Return the text by which a client asks for what comes after a position."""
    return base64.urlsafe_b64encode(b"%d" % position).decode().rstrip("=")


def after_cursor(cursor: str) -> int:
    """Return the position that a cursor stands for, or raise Invalid."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not text.isdigit() or len(text) > 18 or next_cursor(int(text)) != cursor:
        raise Invalid("This is no cursor: take next_cursor of the list.", code="invalid_cursor", pointer="/cursor")
    return int(text)


def names_wanted(rows: Iterable[ThingRow]) -> set[UUID]:
    """Return the ids whose names the labelled documents of rows show."""
    return {target for row in rows for target in referred(thaw(row))}


async def everything(view: ConfigurationsView, kind: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the documents of all things of a kind that are not archived, the oldest first."""
    after: int | None = None
    while True:
        page = await view.page(ListQuery(kind=kind, limit=WHOLE_PAGE, after=after, newest_first=False))
        for item in page.items:
            yield orjson.loads(item)
        if page.next_cursor is None:
            return
        after = after_cursor(page.next_cursor)
