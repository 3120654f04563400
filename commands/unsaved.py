"""Definitions that are tried before they are saved: what they refer to must be there, as if they were."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from commands.bus import refused_by_append
from commands.ports import Things
from domain import CONFIGURATIONS
from domain.configuration import Configuration, kind_there
from domain.references import places

KINDS: Mapping[str, type[Configuration]] = {kind.TOPIC: kind for kind in CONFIGURATIONS}


async def must_refer(things: Things, kind: type[Configuration], definition: Mapping[str, Any], prefix: str) -> None:
    """Raise what saving a definition would, where it refers to nothing or to something archived.

    Its references are ids already; `prefix` is where it stands in the request.
    """
    for path, target in kind.DEFINITION.REFERENCES.items():
        for pointer, container, key in places(definition, path):
            named, id = kind_there(target, container), UUID(container[key])
            thing = (await things.newest_of(KINDS[named], [id])).get(id)
            if thing is None or thing.archived:
                outcome = "unknown_reference" if thing is None else "archived_reference"
                raise refused_by_append(outcome, {"kind": named, "pointer": prefix + pointer})
