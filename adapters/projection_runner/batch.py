"""One projection's writes: rows and position in one transaction, under the owner's fence."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from psycopg import AsyncConnection
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import Undecodable
from adapters.failpoints import failpoint
from adapters.postgres import sql
from projections.projection import Projection
from projections.recorded import Recorded

SQL = sql.load("adapters.projection_runner", "runner.sql")


class Writer(Protocol):
    """The projection's rows inside a transaction."""

    def __init__(self, connection: AsyncConnection[Any]) -> None: ...

    @staticmethod
    async def create(connection: AsyncConnection[Any]) -> None: ...

    async def checksum(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ReadModel:
    """A projection and the class that writes its rows.

    `upkeep` brings the tables of a schema in order while others read and write them; it may take long, and
    changes nothing of what they hold. Given what it returned the last time, it may leave for later what still grows
    and returns that: sizes by name. Given None it leaves nothing. `complete` adds to tables that an earlier version
    made what has come since: empty columns and tables, which change no checksum. It may ask for a rebuild that fills them.
    """

    projection: Projection
    writer: type[Writer]
    upkeep: Callable[[AsyncConnectionPool, str, Mapping[str, int] | None], Awaitable[Mapping[str, int]]] | None = None
    complete: Callable[[AsyncConnection[Any]], Awaitable[None]] | None = None

    @property
    def name(self) -> str:
        """The projection's name, which is its schema's too."""
        return self.projection.name


class Fenced(Exception):
    """Another owner has taken over: stop writing."""


class Batches:
    """Applies events to the read model in one schema."""

    def __init__(self, pool: AsyncConnectionPool, model: ReadModel, *, schema: str, fence: int) -> None:
        self._pool = pool
        self._model = model
        self.schema = schema
        self._fence = fence

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Open a transaction in the schema.

        Its commit need not reach the disk: rows and position fall back together, and follow again.
        """
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(SQL["into_schema"], {"schema": self.schema})
            yield connection

    async def apply(self, events: Sequence[Recorded], *, expected: int, position: int) -> None:
        """Apply the events and move from the expected position to the new one, or raise Fenced."""
        async with self._pool.connection() as connection, connection.transaction():
            await self.advance(connection, expected, position, query="begin_batch")
            await self._model.projection.apply(events, self._model.writer(connection))
            failpoint("project.before_commit")
        failpoint("project.after_commit")

    def changed_by(self, events: Sequence[Recorded]) -> bool:
        """Return whether these events may change a row; raise the reason why one of them can't be read."""
        takes = self._model.projection.takes
        return any(isinstance(entry.event, takes) for entry in decoded(events))

    async def pass_over(self, expected: int, position: int) -> None:
        """Move over events that change no row, or raise Fenced."""
        async with self._pool.connection() as connection:
            failpoint("pass_over.before_commit")
            await self.advance(connection, expected, position, query="pass_over")
        failpoint("pass_over.after_commit")

    async def park(self, stream: UUID, error: str, *, at: int, expected: int) -> None:
        """Set a stream aside from a position on, and move past it."""
        async with self.transaction() as connection:
            values = {"projection": self.schema, "stream": stream, "position": at, "error": error}
            await connection.execute(SQL["park"], values)
            await self.advance(connection, expected, at)
            failpoint("park.before_commit")
        failpoint("park.after_commit")

    async def take_back(self, stream: UUID, events: Sequence[Recorded], *, expected: int) -> None:
        """Apply what a stream missed while it was set aside."""
        async with self.transaction() as connection:
            await self._model.projection.apply(decoded(events), self._model.writer(connection))
            await connection.execute(SQL["unpark"], {"projection": self.schema, "stream": stream})
            await self.advance(connection, expected, expected)
            failpoint("take_back.before_commit")
        failpoint("take_back.after_commit")

    async def refuse_back(self, stream: UUID, error: str, *, at: int, expected: int) -> None:
        """Note that a stream that was tried again failed again, or raise Fenced: a later owner may have taken it back."""
        async with self.transaction() as connection:
            await self.hold(connection, expected)
            values = {"projection": self.schema, "stream": stream, "position": at, "error": error}
            await connection.execute(SQL["park"], values)

    async def make_schema(self) -> None:
        """Make the schema with empty tables where it is missing."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(SQL["schema_lock"], {"projection": self.schema})
            cursor = await connection.execute(SQL["schema_exists"], {"schema": self.schema})
            if await cursor.fetchone() is None:
                await self._create(connection)
            elif self._model.complete is not None:
                await connection.execute(SQL["into_schema"], {"schema": self.schema})
                await self._model.complete(connection)

    async def make_anew(self) -> None:
        """Make the schema with empty tables and begin at 0, whatever was there; or raise Fenced.

        In one transaction: an owner that was overtaken must not empty what its successor fills.
        """
        name = statements.Identifier(self.schema)
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(SQL["schema_lock"], {"projection": self.schema})
            values = {"projection": self.schema, "fence": self._fence}
            if (await connection.execute(SQL["begin_anew"], values)).rowcount != 1:
                raise Fenced
            await connection.execute(SQL["clear_quarantine"], {"projection": self.schema})
            await connection.execute(statements.SQL(SQL["drop_schema"]).format(schema=name))
            await self._create(connection)

    async def _create(self, connection: AsyncConnection[Any]) -> None:
        name = statements.Identifier(self.schema)
        await connection.execute(statements.SQL(SQL["create_schema"]).format(schema=name))
        await connection.execute(SQL["into_schema"], {"schema": self.schema})
        await self._model.writer.create(connection)

    async def hold(self, connection: AsyncConnection[Any], expected: int) -> None:
        """See that this owner's work stands at a position, and stays so until the transaction ends; or raise Fenced."""
        values = {"projection": self.schema, "fence": self._fence, "expected": expected}
        if await (await connection.execute(SQL["hold"], values)).fetchone() is None:
            raise Fenced

    async def advance(
        self, connection: AsyncConnection[Any], expected: int, position: int, *, query: str = "advance"
    ) -> None:
        """Move the position as part of the transaction, or raise Fenced."""
        values = {"projection": self.schema, "fence": self._fence, "expected": expected, "position": position}
        moved = await connection.execute(SQL[query], values)
        if moved.rowcount != 1:
            raise Fenced


def decoded(events: Sequence[Recorded]) -> Sequence[Recorded]:
    """Return the events, or raise the reason why one of them can't be read."""
    for entry in events:
        if isinstance(entry.event, Undecodable):
            raise entry.event.error
    return events
