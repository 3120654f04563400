"""The read model of documents: what each is now, and whether it can be found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.configuration_events import Created, RolledBack
from domain.document import Document
from domain.event_types import event_classes
from domain.knowledge_source import KnowledgeSource
from projections.recorded import Recorded

DOCUMENT_EVENTS = frozenset(event_classes(Document).values())
ACCESS_EVENTS = frozenset(
    event
    for event in event_classes(KnowledgeSource).values()
    if issubclass(event, Created | RolledBack | KnowledgeSource.AccessChanged)
)
"""Events of a source that say who may find documents which bring no access of their own."""


@dataclass(frozen=True, kw_only=True)
class SourceDocument:
    """A document as its newest version is.

    `version` is its stream's, `number` that of its content. `indexes` has by index the number of the version
    that stands there and its passages; `chunking` names how the newest version's text was cut, once it was;
    `exact` says whether its tokens were counted then, or estimated.
    """

    id: UUID
    source: UUID
    external_id: str
    position: int
    created_at: datetime
    updated_at: datetime
    version: int = 1
    number: int = 0
    sha256: str = ""
    size: int = 0
    media_type: str = ""
    title: str = ""
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Sequence[str] | None = None
    status: str = "pending"
    failure: Mapping[str, str] | None = None
    indexes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    chunking: str | None = None
    removed: bool = False
    exact: bool | None = None


@dataclass(frozen=True, kw_only=True)
class DocumentsQuery:
    """What a list of a source's documents may ask for; `groups` None: also what no group may find.

    `after` is the position of the last one of the page before.
    """

    source: UUID
    groups: frozenset[str] | None
    limit: int
    after: int | None = None
    newest_first: bool = True
    status: str | None = None
    document: UUID | None = None
    text: str | None = None


class SourceDocumentsWriter(Protocol):
    """The read model inside the present transaction."""

    async def documents(self, ids: Sequence[UUID]) -> Sequence[SourceDocument]:
        """Return these documents."""

    async def save(self, rows: Sequence[SourceDocument]) -> None:
        """Insert or replace documents."""

    async def save_access(self, sources: Mapping[UUID, Sequence[str] | None]) -> None:
        """Note who may find documents of these sources by default."""


class SourceDocumentsView(Protocol):
    """The read model for queries: what is removed, or not for these groups, is not there."""

    async def page(self, query: DocumentsQuery) -> tuple[Sequence[SourceDocument], int | None]:
        """Return documents, and the position after which the next ones stand."""

    async def get(self, source: UUID, id: UUID, groups: frozenset[str] | None) -> SourceDocument | None:
        """Return a document of a source."""

    async def duplicates(self, found: SourceDocument, groups: frozenset[str] | None) -> Sequence[SourceDocument]:
        """Return other documents with the same content, the oldest first, at most 100."""

    async def language(self, found: SourceDocument) -> str | None:
        """Return the language of the newest version's text; None: it was not read yet, or that is not sure."""

    async def scanned(self, found: SourceDocument) -> Mapping[str, Any] | None:
        """Return which pages of the newest version are pictures: `pages` that were read by OCR, `unread` ones with reasons.

        None: there are none, or it was not read yet.
        """

    async def content(self, found: SourceDocument) -> bytes | None:
        """Return the bytes that were given."""

    async def text(self, found: SourceDocument) -> str | None:
        """Return what the newest version says; None: it was not read yet."""


class SourceDocumentsProjection:
    """Keeps the rows."""

    name: ClassVar[str] = "documents_v1"
    takes: ClassVar[tuple[type[Any], ...]] = (*DOCUMENT_EVENTS, *ACCESS_EVENTS)
    independent: ClassVar[bool] = True

    async def apply(self, events: Sequence[Recorded], view: SourceDocumentsWriter) -> None:
        """Fold the events into the rows that they touch."""
        access = {e.stream: access_of(e.event) for e in events if type(e.event) in ACCESS_EVENTS}
        if access:
            await view.save_access(access)
        ours = [entry for entry in events if type(entry.event) in DOCUMENT_EVENTS]
        if ours:
            rows = {row.id: row for row in await view.documents(list({entry.stream for entry in ours}))}
            for entry in ours:
                rows[entry.stream] = folded(rows.get(entry.stream), entry)
            await view.save(list(rows.values()))


def access_of(event: Any) -> Sequence[str] | None:
    """Return who may find a source's documents by default, after an event that says so."""
    acl: Sequence[str] | None = event.acl if hasattr(event, "acl") else event.definition["acl"]
    return acl


def folded(row: SourceDocument | None, entry: Recorded) -> SourceDocument:
    """Return a document after an event."""
    event = entry.event
    if row is None:
        return SourceDocument(
            id=entry.stream,
            source=UUID(event.source),
            external_id=event.external_id,
            position=entry.position,
            created_at=entry.recorded_at,
            updated_at=entry.recorded_at,
        )
    row = replace(row, version=entry.version, updated_at=entry.recorded_at)
    match event:
        case Document.VersionAdded():
            return replace(
                _detailed(row, event),
                number=event.number,
                sha256=event.sha256,
                size=event.size,
                media_type=event.media_type,
                status="pending",
                failure=None,
                chunking=None,
                removed=False,
            )
        case Document.DetailsChanged():
            return _detailed(row, event)
        case Document.Indexed() | Document.PassagesIndexed():
            there = {"version": event.number, "passages": event.chunks}
            row = replace(row, indexes={**row.indexes, str(event.index): there})
            if event.number == row.number:
                row = replace(row, status="indexed", failure=None, chunking=event.chunking)
        case Document.Failed() if event.number == row.number:
            row = replace(row, status="failed", failure={"code": event.code, "reason": event.reason})
        case Document.EditsFailed() if event.number == row.number:
            row = replace(row, failure={"code": event.code, "reason": event.reason})
        case Document.RetryRequested():
            row = replace(row, status="pending", failure=None)
        case Document.Removed():
            row = replace(row, removed=True, indexes={}, chunking=None)
    return row


def _detailed(row: SourceDocument, event: Any) -> SourceDocument:
    return replace(row, title=event.title, url=event.url, metadata=event.metadata, acl=event.acl)
