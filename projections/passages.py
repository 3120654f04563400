"""The read model that searches read: each source's documents as passages, by the index they were made for.

A shelf is one index of one source; a place is a document's version on a shelf. Both are numbered by the
position of the event that made them, so a rebuild gives them the same numbers. Passages are made from
texts and vectors that were stored before the event, so no provider is called.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.configuration_events import ArchivedAway, Created, Restored, RolledBack
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from projections.event_types import event_classes
from projections.metadata_fields import Fields, fields_of, types_of
from projections.recorded import Recorded

PAGE = 1_000
KEPT_ACLS = 8
"""Versions of a document whose access is remembered while an older one answers."""


class PassagesMissing(Exception):
    """An index event names passages or vectors that are not stored."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """One index of a source; `space` is where its vectors live, None for words only."""

    id: int
    index: int
    space: str | None
    model: UUID | None


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """A source as searches need it; `answering` is the index that answers."""

    id: UUID
    answering: int | None = None
    archived: bool = False
    language: str | None = None
    acl: Sequence[str] | None = None
    mapping: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shelves: Mapping[int, Shelf] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DocumentRow:
    """A document's newest details. `acls` has those of its last versions, by number."""

    id: UUID
    source: UUID
    external_id: str
    number: int = 0
    title: str = ""
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Sequence[str] | None = None
    acls: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    fields: Fields = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    removed: bool = False

    def acl_of(self, version: int) -> Sequence[str] | None:
        """Return who may find a version; admins only where that is forgotten."""
        return self.acls.get(str(version), ())


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A document's version that goes on a shelf, instead of what stood there; `id` is its place's."""

    id: int
    document: UUID
    shelf: Shelf
    version: int
    chunking: bytes
    chunks: int
    dimensions: int | None


class PassagesWriter(Protocol):
    """The read model inside the present transaction."""

    async def sources(self, ids: Sequence[UUID]) -> Sequence[SourceRow]:
        """Return these sources."""

    async def documents(self, ids: Sequence[UUID]) -> Sequence[DocumentRow]:
        """Return these documents."""

    async def documents_of(self, source: UUID, after: UUID, limit: int) -> Sequence[DocumentRow]:
        """Return some documents of a source, in the order of their ids."""

    async def save_sources(self, rows: Sequence[SourceRow]) -> None:
        """Insert or replace sources and their shelves."""

    async def save_documents(self, rows: Sequence[DocumentRow]) -> None:
        """Insert or replace documents; what stands on shelves has the same details."""

    async def clear(self, documents: Sequence[UUID]) -> None:
        """Take documents off all shelves."""

    async def place(self, placements: Sequence[Placement]) -> None:
        """Put versions on shelves, or raise PassagesMissing."""

    async def reword(self, sources: Sequence[UUID]) -> None:
        """Make the words of all passages of these sources anew: their language changed."""

    async def count_fields(self, changes: Mapping[tuple[UUID, str, str], int]) -> None:
        """Add to the numbers of documents that have a field: (source, field, type) -> difference."""


SOURCE_EVENTS = frozenset(event_classes(KnowledgeSource).values())
OURS = SOURCE_EVENTS | frozenset(event_classes(Document).values())


class PassagesProjection:
    """Keeps passages, and what decides which of them are found."""

    name: ClassVar[str] = "passages_v1"
    takes: ClassVar[tuple[type[Any], ...]] = tuple(OURS)
    independent: ClassVar[bool] = False

    async def apply(self, events: Sequence[Recorded], view: PassagesWriter) -> None:
        """Fold the events into the rows that they touch."""
        ours = [entry for entry in events if type(entry.event) in OURS]
        if ours:
            batch = Batch(view)
            await batch.load(ours)
            for entry in ours:
                batch.take(entry)
            await batch.save()


class Batch:
    """One batch: the rows that it touches, as they were and as they become."""

    def __init__(self, view: PassagesWriter) -> None:
        self._view = view
        self._sources: dict[UUID, SourceRow] = {}
        self._documents: dict[UUID, DocumentRow] = {}
        self._before: dict[UUID, DocumentRow] = {}
        self._placements: dict[tuple[UUID, int], Placement] = {}
        self._touched: set[UUID] = set()
        self._mapped: set[UUID] = set()
        self._reworded: set[UUID] = set()
        self._cleared: set[UUID] = set()

    async def load(self, events: Sequence[Recorded]) -> None:
        """Read the rows that the events are about."""
        documents = {entry.stream for entry in events if type(entry.event) not in SOURCE_EVENTS}
        sources = {entry.stream for entry in events if type(entry.event) in SOURCE_EVENTS}
        self._before = {row.id: row for row in await self._view.documents(list(documents))} if documents else {}
        self._documents = dict(self._before)
        sources |= {row.source for row in self._before.values()}
        sources |= {UUID(entry.event.source) for entry in events if isinstance(entry.event, Document.Created)}
        self._sources = {row.id: row for row in await self._view.sources(list(sources))}

    def take(self, entry: Recorded) -> None:
        """Fold one event in."""
        if type(entry.event) in SOURCE_EVENTS:
            self._source(entry)
        else:
            self._document(entry)

    def _source(self, entry: Recorded) -> None:
        event, id = entry.event, entry.stream
        match event:
            case Created():
                row = _defined(SourceRow(id=id), event.definition)
            case KnowledgeSource.IndexStarted():
                row = _shelved(self._sources[id], event, entry.position)
            case KnowledgeSource.IndexSwitched():
                row = replace(self._sources[id], answering=event.index)
            case KnowledgeSource.AccessChanged():
                row = replace(self._sources[id], acl=event.acl)
            case KnowledgeSource.MetadataMapped():
                row = replace(self._sources[id], mapping=event.metadata)
            case KnowledgeSource.LanguageSet():
                row = replace(self._sources[id], language=event.language)
            case RolledBack():
                row = _defined(self._sources[id], event.definition)
            case ArchivedAway():
                row = replace(self._sources[id], archived=True)
            case Restored():
                row = replace(self._sources[id], archived=False)
            case _:
                return
        before = self._sources.get(id, row)
        if row.mapping != before.mapping:
            self._mapped.add(id)
        if row.language != before.language:
            self._reworded.add(id)
        self._sources[id] = row
        self._touched.add(id)

    def _document(self, entry: Recorded) -> None:
        event, id = entry.event, entry.stream
        match event:
            case Document.Created():
                row = DocumentRow(id=id, source=UUID(event.source), external_id=event.external_id)
            case Document.VersionAdded():
                row = _detailed(self._documents[id], event, event.number)
            case Document.DetailsChanged():
                row = _detailed(self._documents[id], event, self._documents[id].number)
            case Document.Indexed():
                row = self._documents[id]
                shelf = self._sources[row.source].shelves[event.index]
                self._placements[id, shelf.id] = _placement(entry, shelf)
            case Document.Removed():
                row = replace(
                    self._documents[id], removed=True, title="", url=None, metadata={}, acl=(), acls={}, fields={}
                )
                self._cleared.add(id)
                self._placements = {key: kept for key, kept in self._placements.items() if key[0] != id}
            case _:
                return
        self._documents[id] = row

    async def save(self) -> None:
        """Write what became of the rows."""
        if self._touched:
            await self._view.save_sources([self._sources[id] for id in sorted(self._touched)])
        if self._cleared:
            await self._view.clear(sorted(self._cleared))
        counted: Counter[tuple[UUID, str, str]] = Counter()
        changed = []
        for id, row in self._documents.items():
            now = self._filterable(row)
            if now != self._before.get(id):
                changed.append(now)
                self._count(counted, self._before.get(id), now)
        for source in sorted(self._mapped):
            changed += await self._mapped_anew(source, counted)
        if changed:
            await self._view.save_documents(changed)
        if self._placements:
            await self._view.place(list(self._placements.values()))
        if self._reworded:
            await self._view.reword(sorted(self._reworded))
        if differing := {key: difference for key, difference in counted.items() if difference}:
            await self._view.count_fields(differing)

    def _filterable(self, row: DocumentRow) -> DocumentRow:
        mapping = self._sources[row.source].mapping
        found = {} if row.removed else fields_of(row.metadata, mapping)
        return replace(row, fields=found, types=types_of(found, mapping))

    @staticmethod
    def _count(counted: Counter[tuple[UUID, str, str]], before: DocumentRow | None, now: DocumentRow) -> None:
        counted.update((now.source, name, kind) for name, kind in now.types.items())
        if before is not None:
            counted.subtract((before.source, name, kind) for name, kind in before.types.items())

    async def _mapped_anew(self, source: UUID, counted: Counter[tuple[UUID, str, str]]) -> list[DocumentRow]:
        """Return the source's other documents whose fields are others by its new mapping."""
        changed = []
        after = UUID(int=0)
        while rows := await self._view.documents_of(source, after, PAGE):
            after = rows[-1].id
            for before in rows:
                if before.id not in self._documents:
                    now = self._filterable(before)
                    if now != before:
                        changed.append(now)
                        self._count(counted, before, now)
        return changed


def _defined(row: SourceRow, definition: Mapping[str, Any]) -> SourceRow:
    return replace(row, language=definition["language"], acl=definition["acl"], mapping=definition["metadata"])


def _shelved(row: SourceRow, event: Any, position: int) -> SourceRow:
    model = None if event.embedding_model is None else UUID(event.embedding_model)
    shelf = Shelf(id=position, index=event.index, space=event.space, model=model)
    answering = event.index if row.answering is None else row.answering
    return replace(row, answering=answering, shelves={**row.shelves, event.index: shelf})


def _detailed(row: DocumentRow, event: Any, number: int) -> DocumentRow:
    acls = {**row.acls, str(number): event.acl}
    kept = sorted(acls, key=int)[-KEPT_ACLS:]
    return replace(
        row,
        number=number,
        title=event.title,
        url=event.url,
        metadata=event.metadata,
        acl=event.acl,
        acls={key: acls[key] for key in kept},
        removed=False,
    )


def _placement(entry: Recorded, shelf: Shelf) -> Placement:
    event = entry.event
    if event.space != shelf.space:
        raise PassagesMissing("An index event names another space than its index has.")
    return Placement(
        id=entry.position,
        document=entry.stream,
        shelf=shelf,
        version=event.number,
        chunking=bytes.fromhex(event.chunking),
        chunks=event.chunks,
        dimensions=event.dimensions,
    )
