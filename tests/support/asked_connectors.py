"""A connector that is asked directly, of a site on loopback."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from commands.knowledge.connectors import Connector, Place

SOURCE = UUID(int=1)


def place_of(config: Mapping[str, Any], secrets: Mapping[str, str]) -> Place:
    return Place(source=SOURCE, config=config, secrets=secrets)


async def listed(connector: Connector, place: Place) -> dict[str, str | None]:
    """Return id -> version of all that is listed, and `left_out` things under the empty id."""
    found: dict[str, str | None] = {}
    async for each in connector.list(place):
        if each is None:
            found[""] = str(int(found.get("") or 0) + 1)
        else:
            found[each.external_id] = each.version
    return found
