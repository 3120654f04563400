"""The read model of syncs: how far each is, and which documents failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.document import Document
from domain.event_types import event_classes
from domain.sync import TOTALS, Sync
from projections.recorded import Recorded

SYNC_EVENTS = frozenset(event_classes(Sync).values())


@dataclass(frozen=True, kw_only=True)
class SyncRow:
    """A sync; `listed` and `to_fetch` are None until the source said what it has."""

    id: UUID
    source: UUID
    position: int
    version: int
    started_at: datetime
    updated_at: datetime
    state: str = "running"
    listed_at: datetime | None = None
    ended_at: datetime | None = None
    listed: int | None = None
    to_fetch: int | None = None
    left_out: int | None = None
    totals: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    error: Mapping[str, str] | None = None

    @property
    def unfetched(self) -> int:
        """How many documents that the source has were not to be fetched: they have not changed."""
        return (self.listed or 0) - (self.to_fetch or 0)

    @property
    def fetched(self) -> int:
        """How many of those to be fetched are done."""
        done = sum(self.totals[name] for name in ("added", "changed", "unchanged", "failed"))
        return max(0, done - self.unfetched)

    @property
    def rate(self) -> float | None:
        """Documents fetched in a second, so far."""
        if self.listed_at is None or not self.fetched:
            return None
        seconds = (self.updated_at - self.listed_at).total_seconds()
        return self.fetched / seconds if seconds > 0 else None

    @property
    def estimate(self) -> float | None:
        """Seconds that fetching the rest will take at this rate."""
        if self.ended_at is not None or self.rate is None:
            return None
        return ((self.to_fetch or 0) - self.fetched) / self.rate


@dataclass(frozen=True, kw_only=True)
class SyncError:
    """A document that failed in a sync."""

    sync: UUID
    document: UUID
    external_id: str
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SyncsQuery:
    """What a list of a source's syncs may ask for; `after` is the position on which the page before ended."""

    source: UUID
    limit: int
    after: int | None = None
    state: str | None = None
    newest_first: bool = True


class SyncsWriter(Protocol):
    """The read model inside the present transaction."""

    async def syncs(self, ids: Sequence[UUID]) -> Sequence[SyncRow]:
        """Return these syncs."""

    async def save(self, rows: Sequence[SyncRow], errors: Sequence[SyncError]) -> None:
        """Insert or replace syncs, and insert errors; one that is there already stays."""


class SyncsView(Protocol):
    """The read model for queries."""

    async def page(self, query: SyncsQuery) -> tuple[Sequence[SyncRow], int | None]:
        """Return syncs, and the position before which the next ones stand."""

    async def get(self, source: UUID, id: UUID) -> SyncRow | None:
        """Return a sync of a source."""

    async def last_synced(self, source: UUID) -> datetime | None:
        """Return when a sync of a source was completed last."""

    async def errors(self, id: UUID, after: UUID | None, limit: int) -> Sequence[SyncError]:
        """Return errors of a sync after a document, in the order of their ids."""


class SyncsProjection:
    """Keeps the rows."""

    name: ClassVar[str] = "syncs_v1"
    takes: ClassVar[tuple[type[Any], ...]] = tuple(SYNC_EVENTS)
    independent: ClassVar[bool] = True

    async def apply(self, events: Sequence[Recorded], view: SyncsWriter) -> None:
        """Fold the events into the rows that they touch."""
        ours = [entry for entry in events if type(entry.event) in SYNC_EVENTS]
        if not ours:
            return
        rows = {row.id: row for row in await view.syncs(list({entry.stream for entry in ours}))}
        errors: dict[tuple[UUID, UUID], SyncError] = {}
        for entry in ours:
            row = rows[entry.stream] = folded(rows.get(entry.stream), entry)
            if isinstance(entry.event, Sync.Progressed):
                for each in entry.event.errors:
                    error = _error(row, each)
                    errors.setdefault((row.id, error.document), error)
        await view.save(list(rows.values()), list(errors.values()))


def folded(row: SyncRow | None, entry: Recorded) -> SyncRow:
    """Return a sync after an event."""
    event, at = entry.event, entry.recorded_at
    if row is None:
        return SyncRow(
            id=entry.stream,
            source=UUID(event.source),
            position=entry.position,
            version=entry.version,
            started_at=at,
            updated_at=at,
        )
    row = replace(row, version=entry.version, updated_at=at)
    match event:
        case Sync.Listed():
            return replace(row, listed_at=at, listed=event.documents, to_fetch=event.to_fetch, left_out=event.left_out)
        case Sync.Progressed():
            return replace(row, totals=event.totals)
        case Sync.CancelRequested():
            return replace(row, state="cancelling")
        case Sync.Completed():
            return replace(row, state="completed", ended_at=at)
        case Sync.Cancelled():
            return replace(row, state="cancelled", ended_at=at)
        case Sync.Failed():
            return replace(row, state="failed", ended_at=at, error={"code": event.code, "reason": event.reason})
    return row


def _error(row: SyncRow, error: Mapping[str, Any]) -> SyncError:
    document = Document.create_id(str(row.source), error["external_id"])
    return SyncError(sync=row.id, document=document, **error)
