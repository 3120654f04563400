"""What people ask of projections: where they stand, to be built anew, to take back what was set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.event_store.log import EventLog
from adapters.postgres.errors import translated
from adapters.postgres.reading import rows_of
from adapters.projection_runner.asking import Asked, Requests
from adapters.projection_runner.batch import SQL, Batches, ReadModel
from commands.ports import IdempotencyKey
from domain.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a projection stands; `checksum` is None where it wasn't asked for, nothing is built yet or any is rebuilt.

    `rebuilt` is the position of the one that is built beside it, None where none is.
    """

    name: str
    position: int
    lag: int
    state: str
    quarantined: int
    updated_at: datetime
    checksum: str | None
    rebuilt: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A stream that a projection has set aside, from a position on."""

    id: UUID
    projection: str
    stream: UUID
    position: int
    error: str
    attempts: int
    parked_at: datetime
    requeue_requested: bool


class ProjectionAdministration:
    """Answers from the tracking table, and leaves requests there for the owner to find."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        log_reader: EventLog,
        models: Sequence[ReadModel],
        followers: Sequence[str] = (),
    ) -> None:
        """Take the read models, and the names of what follows the log besides and keeps no rows."""
        self._pool = pool
        self._requests = Requests(pool)
        self._log = log_reader
        self._models = {model.name: model for model in models}
        self._followers = frozenset(followers)
        self._checksums: dict[str, tuple[int, str]] = {}

    async def status(self, *, checksums: bool = True) -> list[Status]:
        """Return where each projection stands."""
        head = await self._log.head()
        rows = await self._rows("status", {})
        # A checksum reads every row, and whoever waits for rebuilds asks again and again.
        checksums = checksums and not any(rebuilding and owned for _, _, rebuilding, _, _, _, owned in rows)
        found = []
        for name, position, rebuilding, updated_at, quarantined, rebuilt, owned in rows:
            if name not in self._models and name not in self._followers:
                continue  # a newer Magnet's, or one that was retired
            lag = max(0, head - position)
            counted = checksums and position and name in self._models
            checksum = await self._checksum(name, position) if counted else None
            found.append(
                Status(
                    name=name,
                    position=position,
                    lag=lag,
                    state=_state(owned, rebuilding, quarantined, lag),
                    quarantined=quarantined,
                    updated_at=updated_at,
                    checksum=checksum,
                    rebuilt=rebuilt,
                )
            )
        return found

    async def position(self, name: str) -> int:
        """Return the position that a projection has reached; 0 where it has never run."""
        rows = await self._rows("position", {"projection": name})
        return int(rows[0][0]) if rows else 0

    async def want(self) -> None:
        """Tell whichever process brings projections on that somebody waits for a position."""
        await self._rows("want", {})

    async def rebuild(self, name: str, key: IdempotencyKey | None = None) -> Asked:
        """Ask for a projection to be built anew beside the live one."""
        if name not in self._models:
            raise NotFound("There is no such projection.")
        asked = await self._requests.leave(SQL["request_rebuild"], {"projection": name}, key, wake=SQL["wake"])
        if asked is None:
            raise NotFound("There is no such projection.")
        return asked

    async def dead_letters(self, after: tuple[datetime, UUID] | None = None, limit: int = 500) -> list[DeadLetter]:
        """Return what was set aside, the oldest first; after a time and an id where they are given."""
        since, last = after or (None, None)
        return [
            DeadLetter(
                id=row[0],
                projection=row[1],
                stream=row[2],
                position=row[3],
                error=row[4],
                attempts=row[5],
                parked_at=row[6],
                requeue_requested=row[7],
            )
            for row in await self._rows("dead_letters", {"since": since, "last": last, "limit": limit})
        ]

    async def requeue(self, id: UUID, key: IdempotencyKey | None = None) -> Asked:
        """Ask for a stream that was set aside to be tried again."""
        asked = await self._requests.leave(SQL["request_requeue"], {"id": id}, key, wake=SQL["wake"])
        if asked is None:
            raise NotFound("There is no such dead letter.")
        return asked

    async def _checksum(self, name: str, position: int) -> str:
        """Return the checksum of the rows; kept for as long as the position stays."""
        cached = self._checksums.get(name)
        if cached is None or cached[0] != position:
            model = self._models[name]
            try:
                batches = Batches(self._pool, model, schema=name, fence=0)
                async with batches.transaction() as connection:
                    cached = (position, await model.writer(connection).checksum())
            except (psycopg.Error, PoolTimeout) as error:
                raise translated(error) from error
            self._checksums[name] = cached
        return cached[1]

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await rows_of(self._pool, SQL[query], values)


def _state(owned: bool, rebuilding: bool, quarantined: int, lag: int) -> str:
    if not owned:
        return "stopped"
    if rebuilding:
        return "rebuilding"
    if quarantined:
        return "quarantined"
    return "catching_up" if lag else "live"
