"""A table in a real PostgreSQL, reached over loopback TCP through a relay that can be away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.postgres import Database
from tests.support.worlds import CANARY, World

PIECE = 65536


@dataclass
class Relay:
    """A port that leads to the socket of a PostgreSQL; `left`: how many more connections it lets through."""

    socket: str
    left: int | None = None
    port: int = 0
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.left is not None:
            if self.left == 0:
                writer.close()
                return
            self.left -= 1
        to_reader, to_writer = await asyncio.open_unix_connection(self.socket)
        for source, target in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(pump(source, target))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


@contextlib.asynccontextmanager
async def relay(dsn: str) -> AsyncIterator[Relay]:
    """Listen on a loopback port while the block lasts."""
    parts = conninfo_to_dict(dsn)
    made = Relay(socket=f"{parts['host']}/.s.PGSQL.{parts['port']}")
    server = await asyncio.start_server(made, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(made.tasks):
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await server.wait_closed()


class SqlWorld(World):
    type = "sql"
    secrets: ClassVar[Mapping[str, str]] = {"password": CANARY}

    def __init__(self, database: Database, opened: Relay) -> None:
        self.database = database
        self.relay = opened
        self.allow = f"127.0.0.1:{opened.port}"
        self.do("CREATE SCHEMA shop")
        self.do(
            "CREATE TABLE shop.notes (id text PRIMARY KEY, body text, changed timestamptz DEFAULT clock_timestamp())"
        )

    def do(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.database.owner_dsn, autocommit=True) as connection:
            connection.execute(statement, values or None)

    @property
    def url(self) -> str:
        user = conninfo_to_dict(self.database.owner_dsn)["user"]
        return f"postgresql://{user}@127.0.0.1:{self.relay.port}/{self.database.name}?sslmode=disable"

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "query": "SELECT id, body, changed FROM shop.notes -- all of them",
            "text": "body",
            "version": "changed",
        }

    async def put(self, name: str, text: str) -> None:
        self.do(
            "INSERT INTO shop.notes VALUES (%s, %s) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body, changed = clock_timestamp()",
            name,
            text,
        )

    async def remove(self, name: str) -> None:
        self.do("DELETE FROM shop.notes WHERE id = %s", name)

    async def leave(self, *, after: int = 0) -> None:
        self.relay.left = min(after, 1)  # the listing is one connection

    async def come_back(self) -> None:
        self.relay.left = None
