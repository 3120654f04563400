"""The rows of the read model that searches read, and what writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from domain.passage_edits import CutPassage, Edit
from projections.metadata_fields import Fields


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


@dataclass(frozen=True, kw_only=True)
class EditRow:
    """What was changed of a passage, up to an event at a position."""

    id: UUID
    document: UUID
    position: int
    edit: Edit


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
        """Insert or replace documents."""

    async def save_details(self, documents: Sequence[UUID]) -> None:
        """Give what stands on shelves of these documents the details that they have now."""

    async def clear(self, documents: Sequence[UUID]) -> None:
        """Take documents off all shelves."""

    async def place(self, placements: Sequence[Placement]) -> None:
        """Put versions on shelves, or raise PassagesMissing."""

    async def refill(self, documents: Sequence[UUID]) -> None:
        """Make the passages of documents anew from what was cut, or raise PassagesMissing."""

    async def save_edits(self, rows: Sequence[EditRow]) -> None:
        """Insert or replace what was changed of passages; what changes nothing any more is dropped."""

    async def save_written(self, documents: Sequence[UUID]) -> None:
        """Note which documents are passages that a person wrote."""

    async def edits(self, documents: Sequence[UUID]) -> Mapping[UUID, Sequence[Edit]]:
        """Return what was changed of the passages of documents."""

    async def cut(self, documents: Sequence[UUID]) -> Mapping[tuple[UUID, int], Mapping[UUID, CutPassage]]:
        """Return by document and place the passages that edits can mean, by their ids."""

    async def mark(self, edits: Mapping[UUID, UUID], disabled: Sequence[UUID]) -> None:
        """Note which edit each passage has, and that some are not found."""

    async def reword(self, sources: Sequence[UUID]) -> None:
        """Make the words of all passages of these sources anew: their language changed."""

    async def count_fields(self, changes: Mapping[tuple[UUID, str, str], int]) -> None:
        """Add to the numbers of documents that have a field: (source, field, type) -> difference."""
