"""What follows from a copied log: who refers to whom, what is archived, and every read model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.event_store.store import EventStore
from adapters.postgres.arrays import uuids
from adapters.postgres.listener import Listener
from adapters.postgres.pools import pool_of
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.runner import Positions, ProjectionRunner
from adapters.replay.copying import QUERIES
from commands.configuration import uses
from domain import AGGREGATES, CONFIGURATIONS
from domain.configuration import Configuration

AT_ONCE = 500
LOOK_EVERY = 0.5
"""Seconds between two reports."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One database, as far as building read models needs it."""

    dsn: str
    pool: AsyncConnectionPool
    log: EventLog
    store: EventStore

    async def checksums(self, models: Sequence[ReadModel]) -> Mapping[str, str | None]:
        """Return each read model's checksum."""
        status = await ProjectionAdministration(self.pool, self.log, models).status()
        return {each.name: each.checksum for each in status}


@asynccontextmanager
async def place(dsn: str) -> AsyncIterator[Place]:
    """Open a database; what persons said stays sealed."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(pool_of(dsn, 1, 8))
        mapper = EventMapper(AGGREGATES)
        store = EventStore(pool, Appender(pool), mapper)
        stack.push_async_callback(store.close)
        yield Place(dsn=dsn, pool=pool, log=EventLog(pool, mapper), store=store)


async def write_effects(at: Place) -> None:
    """Write who refers to whom, and what is archived, as the things themselves say; instead of what is there."""
    async with at.pool.connection() as connection:
        cursor = await connection.execute(QUERIES["things"], {"topics": [f"{k.TOPIC}.created" for k in CONFIGURATIONS]})
        ids = [id for (id,) in await cursor.fetchall()]
        async with connection.transaction():
            await connection.execute("DELETE FROM magnet.usages")
            await connection.execute("DELETE FROM magnet.archived")
            for begin in range(0, len(ids), AT_ONCE):
                found = await at.store.load_many(ids[begin : begin + AT_ONCE])
                things = [thing for thing, _ in found.values() if isinstance(thing, Configuration)]
                rows: list[dict[str, Any]] = [
                    {
                        "owner": str(thing.id),
                        "kind": thing.TOPIC,
                        "name": thing.name,
                        "path": path,
                        "target": str(target),
                    }
                    for thing in things
                    for path, _, target in sorted(uses(thing))
                ]
                await connection.execute(QUERIES["write_uses"], {"rows": orjson.dumps(rows).decode()})
                archived = uuids([thing.id for thing in things if thing.archived])
                await connection.execute(QUERIES["write_archived"], {"ids": archived})


async def build(at: Place, models: Sequence[ReadModel], head: int, told: Callable[[str, int, int], None]) -> None:
    """Build every read model up to a position; `told` hears the name of one, how far it is, and of how much."""
    listener, positions = Listener(at.dsn), Positions()
    runner = ProjectionRunner(
        dsn=at.dsn, pool=at.pool, log_reader=at.log, listener=listener, positions=positions, models=models
    )
    await listener.open()
    try:
        await runner.open()
        try:
            for model in models:
                while not await positions.wait(model.name, head, LOOK_EVERY):
                    told(model.name, positions.known(model.name), head)
                told(model.name, head, head)
        finally:
            await runner.close()
    finally:
        await asyncio.shield(listener.close())
