"""Snapshots: taken now and then, and stored beside the command's path."""

import asyncio

import psycopg
import structlog
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.mapper import EventMapper
from adapters.postgres import sql

SQL = sql.load("adapters.event_store", "snapshots.sql")
log = structlog.get_logger(__name__)


class Snapshots:
    """Stores how aggregates stand, so that loading them replays few events."""

    def __init__(self, pool: AsyncConnectionPool, mapper: EventMapper) -> None:
        self._pool = pool
        self._mapper = mapper
        self._storing: set[asyncio.Task[None]] = set()

    def take(self, aggregate: Aggregate) -> None:
        """Take a snapshot now, store it beside the command's path."""
        stored = self._mapper.to_stored_event(aggregate.Snapshot.take(aggregate))
        task = asyncio.create_task(self._store(stored))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def close(self) -> None:
        """Wait for what is still being written."""
        if self._storing:
            await asyncio.wait(self._storing)

    async def _store(self, stored: StoredEvent) -> None:
        values = {
            "id": stored.originator_id,
            "version": stored.originator_version,
            "topic": stored.topic,
            "state": stored.state,
        }
        try:
            async with self._pool.connection() as connection:
                await connection.execute(SQL["save_snapshot"], values)
        except (psycopg.Error, PoolTimeout) as error:
            # Snapshots only save time: the next one comes some events later.
            log.warning("snapshot_not_saved", stream=str(stored.originator_id), error=type(error).__name__)
