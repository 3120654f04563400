"""Server-sent events as the command line reads them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, kw_only=True)
class ServerEvent:
    """One event: `id` is the cursor to resume from."""

    id: str
    type: str
    data: Any


async def events_in(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Yield the events that a server's lines hold; comments are signs of life, and passed over."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield ServerEvent(
                id=fields.get("id", ""), type=fields.get("event", "message"), data=orjson.loads(fields["data"])
            )
            fields = {}
        else:
            fields = {}
