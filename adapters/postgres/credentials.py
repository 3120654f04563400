"""What authentication looks up: the keys, as their commands left them, with a cache that is told of changes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres import sql
from adapters.postgres.listener import Listener
from adapters.postgres.reading import rows_of
from commands.ports import Credential

SQL = sql.load("adapters.postgres", "credentials.sql")
TRUSTED = 1.0
"""Seconds that an entry is believed without being read again, should a notification be missed."""

NOTED = 60.0
"""Seconds between two notes that a key was used."""

log = structlog.get_logger(__name__)


class Credentials:
    """Finds keys; a revocation ends them in every process as soon as PostgreSQL has told it."""

    def __init__(self, pool: AsyncConnectionPool, listener: Listener) -> None:
        self._pool = pool
        self._listener = listener
        self._found: dict[UUID, tuple[float, Credential | None]] = {}
        self._exist: tuple[float, bool] = (0.0, False)
        self._reading: dict[tuple[UUID | None, int], asyncio.Future[list[Any]]] = {}
        self._noted: dict[UUID, float] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._changes = 0
        listener.on("magnet_credentials", lambda _: self.forget())

    def forget(self) -> None:
        """Read everything again; what is being read just now may be too old to be kept."""
        self._changes += 1
        self._found.clear()
        self._exist = (0.0, False)

    async def find(self, id: UUID) -> Credential | None:
        """Return a key, revoked and expired ones too."""
        now = time.monotonic()
        cached = self._found.get(id)
        if cached is not None and self._listener.connected and now - cached[0] < TRUSTED:
            return cached[1]
        changes = self._changes
        rows = await self._once(id, "find", {"id": id})
        credential = None
        if rows:
            mac, name, roles, groups, rate, expires_at, revoked = rows[0]
            credential = Credential(
                id=id,
                mac=bytes(mac),
                name=name,
                roles=frozenset(roles),
                groups=frozenset(groups),
                requests_per_minute=rate,
                expires_at=expires_at,
                revoked=revoked,
            )
        if changes == self._changes:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[id] = (now, credential)
        return credential

    async def any_exist(self) -> bool:
        """Return whether a key was ever made; once one was, that stays so."""
        read_at, exist = self._exist
        now = time.monotonic()
        if exist or (self._listener.connected and now - read_at < TRUSTED):
            return exist
        changes = self._changes
        exist = bool((await self._once(None, "any_exist", {}))[0][0])
        if exist or changes == self._changes:
            self._exist = (now, exist)
        return exist

    async def none_exist(self) -> bool:
        """Return whether no key was ever made: whoever calls is on this machine, and its administrator."""
        return not await self.any_exist()

    def note_use(self, id: UUID) -> None:
        """Note, beside the request, that a key was used: at most once a minute."""
        now = time.monotonic()
        if now - self._noted.get(id, -NOTED) < NOTED:
            return
        self._noted[id] = now
        task = asyncio.create_task(self._note(id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def last_uses(self, ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        """Return when keys were last used, to the minute."""
        return dict(await self._rows("last_uses", {"ids": list(ids)}))

    async def close(self) -> None:
        """Wait for notes under way."""
        if self._notes:
            await asyncio.wait(self._notes)

    async def _note(self, id: UUID) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(SQL["note_use"], {"id": id})
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("use_not_noted", error=type(error).__name__)

    async def _once(self, key: UUID | None, query: str, values: Mapping[str, Any]) -> list[Any]:
        """Read once what many requests ask for at the same time, as they all do when it is believed no more.

        Who comes after a change does not share what began to be read before it.
        """
        asked = (key, self._changes)
        reading = self._reading.get(asked)
        if reading is None:
            reading = self._reading[asked] = asyncio.ensure_future(self._rows(query, values))
            reading.add_done_callback(lambda _: self._reading.pop(asked))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to those who wait
        return await asyncio.shield(reading)

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await rows_of(self._pool, SQL[query], values)
