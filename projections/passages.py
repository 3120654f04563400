"""The read model that searches read: each source's documents as passages, by the index they were made for.

A shelf is one index of one source; a place is a document's version on a shelf. Both are numbered by the
position of the event that made them, so a rebuild gives them the same numbers. Passages are made from
texts and vectors that were stored before the event, so no provider is called.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from domain.configuration_events import ArchivedAway, Created, Restored, RolledBack
from domain.document import Document
from domain.event_types import event_classes
from domain.knowledge_source import KnowledgeSource
from domain.passage_edits import Edit, PassageName, matched
from projections.metadata_fields import fields_of, types_of
from projections.passage_rows import (
    DocumentRow,
    EditRow,
    PassagesMissing,
    PassagesWriter,
    Placement,
    Shelf,
    SourceRow,
)
from projections.recorded import Recorded

PAGE = 1_000
KEPT_ACLS = 8
"""Versions of a document whose access is remembered while an older one answers."""


SOURCE_EVENTS = frozenset(event_classes(KnowledgeSource).values())
EDITS = (Document.PassageEdited, Document.PassageRestored, Document.PassageDisabled, Document.PassageEnabled)
"""Events by which people change passages."""

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
        self._edits: dict[UUID, EditRow] = {}
        self._known_edits: dict[UUID, Edit] = {}
        self._written: set[UUID] = set()

    async def load(self, events: Sequence[Recorded]) -> None:
        """Read the rows that the events are about."""
        documents = {entry.stream for entry in events if type(entry.event) not in SOURCE_EVENTS}
        sources = {entry.stream for entry in events if type(entry.event) in SOURCE_EVENTS}
        self._before = {row.id: row for row in await self._view.documents(list(documents))} if documents else {}
        self._documents = dict(self._before)
        edited = {entry.stream for entry in events if type(entry.event) in EDITS}
        for document, edits in (await self._view.edits(list(edited)) if edited else {}).items():
            self._known_edits |= {each.name.id(document): each for each in edits}
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
            case Document.PassageWritten():
                self._written.add(id)
                return
            case (
                Document.PassageEdited()
                | Document.PassageRestored()
                | Document.PassageDisabled()
                | Document.PassageEnabled()
            ):
                self._edit(entry)
                return
            case Document.Indexed() | Document.PassagesIndexed():
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

    def _edit(self, entry: Recorded) -> None:
        event = entry.event
        name = PassageName(start=event.start, end=event.end, sha256=event.sha256)
        id = name.id(entry.stream)
        edit = self._known_edits.get(id, Edit(name=name, text=None, disabled=False))
        match event:
            case Document.PassageEdited():
                edit = replace(edit, text=event.text_sha256)
            case Document.PassageRestored():
                edit = replace(edit, text=None)
            case _:
                edit = replace(edit, disabled=isinstance(event, Document.PassageDisabled))
        self._known_edits[id] = edit
        self._edits[id] = EditRow(id=id, document=entry.stream, position=entry.position, edit=edit)

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
        if standing := [row.id for row in changed if row.id in self._before or row.id not in self._documents]:
            await self._view.save_details(standing)  # of those that are new nothing stands anywhere yet
        if self._written:
            await self._view.save_written(sorted(self._written))
        if self._edits:
            await self._view.save_edits([self._edits[id] for id in sorted(self._edits)])
        if self._placements:
            await self._view.place(list(self._placements.values()))
        await self._apply_edits()
        if self._reworded:
            await self._view.reword(sorted(self._reworded))
        if differing := {key: difference for key, difference in counted.items() if difference}:
            await self._view.count_fields(differing)

    async def _apply_edits(self) -> None:
        """Note of the passages that were placed, or whose edits changed, which edits they have."""
        placed = {document for document, _ in self._placements}
        edited = {row.document for row in self._edits.values()}
        if not placed | edited:
            return
        edits = await self._view.edits(sorted(placed | edited))
        if edited:  # without what they were marked with before; what was placed just now is as it was cut
            await self._view.refill(sorted(edited))
        marks: dict[UUID, UUID] = {}
        disabled: list[UUID] = []
        for (document, _), passages in (await self._view.cut(sorted(edits)) if edits else {}).items():
            found = matched(edits[document], list(passages.values()))
            for id, passage in passages.items():
                if (edit := found.get(passage.ordinal)) is not None:
                    marks[id] = edit.name.id(document)
                    disabled += [id] if edit.disabled else []
        if marks:
            await self._view.mark(marks, disabled)

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
