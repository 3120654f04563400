"""A table in a real PostgreSQL, reached over loopback TCP through a relay that can be away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.postgres import Database
from tests.support.worlds import CANARY, GuardedWorld

PIECE = 65536


@dataclass
class Relay:
    """A port that leads to the socket of a PostgreSQL; `left`: how many more connections it lets through."""

    socket: str
    left: int | None = None
    refusing: Callable[[], bool] = lambda: False
    throttled: int = 0
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
        if self.throttled:
            self.throttled -= 1
            await refuse(reader, writer, "53300", "sorry, too many clients already")
            return
        if self.refusing():
            await refuse(reader, writer, "28P01", 'password authentication failed for user "reader"', password=True)
            return
        to_reader, to_writer = await asyncio.open_unix_connection(self.socket)
        for source, target in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(pump(source, target))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


async def refuse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, code: str, told: str, *, password: bool = False
) -> None:
    """Let nobody in, in the words of PostgreSQL, which may ask for a password first."""
    await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
    if password:
        writer.write(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
        await reader.readexactly(1)
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": told}
    body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
    writer.write(b"E" + (len(body) + 4).to_bytes(4) + body)
    await writer.drain()
    writer.close()


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


class SqlWorld(GuardedWorld):
    type = "sql"
    secrets: ClassVar[Mapping[str, str]] = {"password": CANARY}

    def __init__(self, database: Database, opened: Relay) -> None:
        self.kept: dict[str, str] = {}
        super().__init__()
        self.database = database
        self.relay = opened
        opened.refusing = self.refuses
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

    @property
    def broken(self) -> set[str]:
        """The documents that have no text for now."""
        return set(self.kept)

    @broken.setter
    def broken(self, names: set[str]) -> None:
        for name, text in self.kept.items():
            self.do("UPDATE shop.notes SET body = %s WHERE id = %s", text, name)
        self.kept.clear()
        for name in names:
            with psycopg.connect(self.database.owner_dsn) as connection:
                [(self.kept[name],)] = connection.execute("SELECT body FROM shop.notes WHERE id = %s", [name])
            self.do("UPDATE shop.notes SET body = NULL WHERE id = %s", name)

    def refuses(self) -> bool:
        """Return whether the next connection is refused."""
        if self.lets_in:
            self.lets_in -= 1
            return False
        return self.refusing or self.lets_in == 0

    def throttle(self, times: int) -> None:
        self.relay.throttled = times

    def expire(self, *, after: int) -> None:
        super().expire(after=min(after, 1))

    async def leave(self, *, after: int = 0) -> None:
        self.relay.left = min(after, 1)  # the listing is one connection

    async def come_back(self) -> None:
        self.relay.left = None
