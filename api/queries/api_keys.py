"""Queries on API keys over HTTP: they show when a key was last used, which stands beside the log."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import orjson

from api.call import Call
from api.queries.configurations import ConfigurationQueries
from projections.documents import rfc3339


class ApiKeyQueries(ConfigurationQueries):
    """The handlers of API keys."""

    BESIDE: ClassVar[Mapping[str, Any]] = {
        "last_used_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "To the minute; null if never. Reads of the past don't have it.",
        }
    }

    async def shown(self, call: Call, documents: Sequence[str]) -> Sequence[str]:
        """Return the documents with the last use of each key, read by one statement."""
        keys: list[dict[str, Any]] = [orjson.loads(document) for document in documents]
        uses = await call.container.credentials.last_uses([UUID(key["id"]) for key in keys])
        for key in keys:
            used = uses.get(UUID(key["id"]))
            key["last_used_at"] = None if used is None else rfc3339(used)
        return [orjson.dumps(key).decode() for key in keys]
