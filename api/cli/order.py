"""The order in which things can be made: each after what it refers to."""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any
from uuid import UUID

from domain.configuration import Configuration, references
from domain.prompt import Prompt, includes
from domain.references import identify


class Circle(Exception):
    """Things refer to each other in a circle; `members` are their ids."""

    def __init__(self, members: list[UUID]) -> None:
        super().__init__()
        self.members = members


def used_ids(kind: type[Configuration], definition: Mapping[str, Any]) -> Iterator[UUID]:
    """Yield the id of each thing that a definition refers to, included prompts too."""
    yield from (id for _, _, id in references(kind.DEFINITION, definition))
    if kind is Prompt:
        yield from (identify(Prompt.TOPIC, name) for name, _ in includes(definition))


def by_use(used: Mapping[UUID, Iterable[UUID]]) -> list[UUID]:
    """Return the keys, each after those it uses, else in their order; or raise Circle."""
    order: TopologicalSorter[UUID] = TopologicalSorter()
    for id, targets in used.items():
        order.add(id, *sorted({target for target in targets if target in used and target != id}))
    try:
        return list(order.static_order())
    except CycleError as cycle:
        raise Circle(cycle.args[1]) from None
