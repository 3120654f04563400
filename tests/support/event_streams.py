"""Consumers of the log's stream, for tests: over real sockets, as slow and as fickle as one likes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import orjson
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Request
from domain import AGGREGATES
from domain.prompt import Prompt
from tests.support.patience import PATIENCE
from tests.support.server import Running


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One event as a consumer sees it."""

    id: int
    event: Any


@asynccontextmanager
async def consuming(
    magnet: Running, query: str = "", *, last_id: int | None = None, key: str | None = None
) -> AsyncIterator[AsyncIterator[Seen]]:
    """Follow the log while the block lasts."""
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    if key is not None:
        headers["X-API-Key"] = key
    async with magnet.client.stream("GET", f"/v1/events/stream{query}", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield seen_in(answer)


async def seen_in(answer: httpx.Response) -> AsyncIterator[Seen]:
    """Yield the events of a stream's answer."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Seen(id=int(fields["id"]), event=orjson.loads(fields["data"]))
        fields = {}


async def next_of(events: AsyncIterator[Seen], count: int) -> list[Seen]:
    """Return the next events, exactly so many."""
    found: list[Seen] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found.append(await anext(events))
    return found


async def rest_of(events: AsyncIterator[Seen]) -> list[Seen]:
    """Return what is left of a stream that ends."""
    async with asyncio.timeout(PATIENCE):
        return [seen async for seen in events]


async def write_prompts(dsn: str, count: int, *, text: str = "a", group: int = 500) -> Sequence[str]:
    """Record new prompts by another process's means: the server hears of them from PostgreSQL alone."""
    names = [f"p{uuid4().hex[:12]}" for _ in range(count)]
    mapper = EventMapper(AGGREGATES)
    async with AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False, kwargs={"autocommit": True}) as pool:
        appender = Appender(pool)
        for first in range(0, count, group):
            prompts = [Prompt.create(name=name, definition={"text": text}) for name in names[first : first + group]]
            events = [mapper.to_stored_event(event) for each in prompts for event in each.collect_events()]
            await appender.append(Request(events=events))
        await appender.close()
    return names
