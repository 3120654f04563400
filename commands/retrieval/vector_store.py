"""The port behind which vectors are searched elsewhere than in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.errors import Unavailable

CUT = 4
"""Bytes of a chunking's id that an entry names it by."""


class VectorStoreUnavailable(Unavailable):
    """The vector store can't be used right now: search by words, or ask again in a moment. The server's log says why."""

    code = "vector_store_unavailable"

    def __init__(self, why: str, *, kind: str, code: str | None = None) -> None:
        """Take why, which may name places that are nobody's business but the operator's, and the kind of store."""
        super().__init__(code=code, details={"vector_store": kind})
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPlace:
    """A document's version in an index, as a store has it: vectors of its chunks 0 to `passages` - 1, or of some.

    `cut` is how the id of its chunking begins, CUT bytes: what was cut otherwise is another entry.
    """

    place: int
    cut: bytes
    passages: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a store knows of a passage; its vector never changes, so adding it twice is adding it once."""

    place: int
    ordinal: int
    cut: bytes

    @property
    def id(self) -> UUID:
        """Its id in the store: place, ordinal and cut, and nothing that a document says."""
        return UUID(bytes=self.place.to_bytes(8) + self.ordinal.to_bytes(4) + self.cut)

    @classmethod
    def of(cls, id: str) -> "Entry | None":
        """Return the entry that an id names; None: it is none of ours."""
        try:
            named = UUID(id).bytes
        except (ValueError, AttributeError, TypeError):
            return None
        return cls(place=int.from_bytes(named[:8]), ordinal=int.from_bytes(named[8:12]), cut=named[12:])


class VectorStore(Protocol):
    """Holds vectors by space, and says which are near; every method may raise VectorStoreUnavailable.

    `identity` names the store and where it is, so that another one is another: what was put into one is not in it.
    """

    kind: str
    identity: str

    async def add(self, space: str, dimensions: int, vectors: Sequence[tuple[Entry, Sequence[float]]]) -> None:
        """Add vectors, or some of them again."""

    async def remove(self, space: str, dimensions: int, places: Sequence[StoredPlace]) -> None:
        """Remove all vectors of places; those that are not there are removed already."""

    async def nearest(self, space: str, dimensions: int, vector: Sequence[float], limit: int) -> Sequence[Entry]:
        """Return the entries nearest to a vector, the nearest first; fewer than `limit`: there are no more."""

    async def clear(self, space: str, dimensions: int, places: Sequence[StoredPlace]) -> None:
        """Remove all that a space holds, and at least these places."""
