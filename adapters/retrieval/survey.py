"""What there is to be searched: the indexes that answer, by the space that their vectors live in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.errors import Invalid
from domain.retrieval import Search


@dataclass(kw_only=True)
class Area:
    """The sources of a search whose vectors live in one space.

    `dimensions` None: there are no vectors yet. `passages` are those of the indexes that answer, `whole`
    all that live in the space. `lexemes` are the words of each query. `indexes` source id -> index that answers.
    `parted`: some of the passages are given as parts of others. `elsewhere`: another store is asked what is near there.
    """

    space: str | None
    model: UUID | None
    dimensions: int | None
    whole: int
    passages: int = 0
    lexemes: list[set[str]] = field(default_factory=list)
    indexes: dict[str, int] = field(default_factory=dict)
    parted: bool = False
    elsewhere: bool = False

    @property
    def in_vectors(self) -> bool:
        """Return whether there are vectors to be compared with the query's."""
        return self.dimensions is not None

    @property
    def is_part(self) -> bool:
        """Return whether the space holds other passages besides."""
        return self.passages < self.whole


def areas_of(rows: Sequence[Sequence[Any]]) -> list[Area]:
    """Return the areas, from the rows of the query `survey`: one for each source and query."""
    areas: dict[str | None, Area] = {}
    for source, index, space, model, dimensions, passages, number, lexemes, whole, parted in rows:
        area = areas.get(space)
        if area is None:
            area = areas[space] = Area(space=space, model=model, dimensions=dimensions, whole=whole)
        if str(source) not in area.indexes:
            area.passages += passages
        area.lexemes += [set() for _ in range(number + 1 - len(area.lexemes))]
        area.parted = area.parted or parted
        area.lexemes[number] |= set(lexemes or ())
        area.indexes[str(source)] = index
    return list(areas.values())


def must_be_there(search: Search, areas: Sequence[Area]) -> None:
    """Raise Invalid where an index is asked for that is not there."""
    there = {source for area in areas for source in area.indexes}
    for source in search.pins:
        if str(source) not in there:
            raise Invalid(
                "This source has no index of this number, or is archived: its reading tells which indexes there are.",
                code="unknown_index",
                pointer=f"/index_version/{source}",
            )
