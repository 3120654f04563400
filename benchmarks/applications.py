"""The library's application over its own recorder and over ours, and our asynchronous parts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from eventsourcing.application import Application
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.mapper import EventMapper
from adapters.event_store.store import EventStore
from adapters.tool_servers.apis import OpenAPISpecifications
from commands.bus import Bus, Done
from commands.handlers import handlers
from commands.ports import Receipt
from domain import AGGREGATES
from tests.support.reading import NoTokenizers

T = TypeVar("T")

RECORDER = "adapters.event_store.recorder:MagnetApplicationRecorder"
POOL = 16


class Magnet(Application[UUID]):
    """Nothing of its own; its name gives the event table its name."""


def stock(dsn: str, **settings: str) -> Magnet:
    """Return the library's application as it comes, with a pool of 16 connections."""
    return Magnet(env=environment(dsn) | settings)


def ours(dsn: str) -> Magnet:
    """Return the library's application over our log."""
    return Magnet(
        env=environment(dsn)
        | {"POSTGRES_SCHEMA": "magnet", "CREATE_TABLE": "n", "APPLICATION_RECORDER_TOPIC": RECORDER}
    )


def environment(dsn: str) -> dict[str, str]:
    """Return what the library is told of a database."""
    parts = conninfo_to_dict(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": "none is asked for",
        "POSTGRES_POOL_SIZE": str(POOL),
    }


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the command path is made of."""

    pool: AsyncConnectionPool[Any]
    appender: Appender
    store: EventStore
    bus: Bus


class NoSecrets:
    """Stands where secrets are sealed: the commands measured have none."""

    def seal(self, secret: str, *, owner: UUID, field: str, origin: str) -> bytes:
        """Refuse."""
        raise AssertionError("no command that is measured has a secret")

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Refuse."""
        raise AssertionError("no command that is measured has a secret")


class NoTemplates:
    """Stands where templates are parsed: the prompts measured are plain text, which nothing parses."""

    async def render(self, templates: Any, variables: Any, includes: Any) -> list[str]:
        """Refuse."""
        raise AssertionError("no prompt that is measured has a template")

    async def check(self, templates: Any) -> list[set[str]]:
        """Refuse."""
        raise AssertionError("no prompt that is measured has a template")


class PlainAnswers:
    """Keeps an answer as text."""

    def seal(self, done: Done) -> bytes:
        """Return id and version."""
        return b"%b%d" % (done.aggregate.id.bytes, done.aggregate.version)

    def open(self, sealed: bytes, position: int) -> Receipt:
        """Return the receipt again."""
        return Receipt(id=UUID(bytes=sealed[:16]), version=int(sealed[16:]), position=position, replayed=True)


@asynccontextmanager
async def parts(dsn: str, *, connections: int = 4) -> AsyncIterator[Parts]:
    """Open the command path over a database."""
    async with AsyncConnectionPool(
        dsn, min_size=connections, max_size=connections, open=False, kwargs={"autocommit": True}
    ) as pool:
        appender = Appender(pool)
        store = EventStore(pool, appender, EventMapper(AGGREGATES))
        bus = Bus(
            store,
            handlers(
                secrets=NoSecrets(),
                renderer=NoTemplates(),
                answers=PlainAnswers(),
                things=store,
                specifications=OpenAPISpecifications(),
                tokenizers=NoTokenizers(),
            ),
            PlainAnswers(),
        )
        yield Parts(pool=pool, appender=appender, store=store, bus=bus)
        await store.close()


class Running:
    """The command path in an event loop that stands still between the measurements."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self._context = parts(dsn)
        self.parts: Parts

    def __enter__(self) -> Self:
        self.parts = self._runner.run(self._context.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self._context.__aexit__(None, None, None)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop."""
        return self._runner.run(coroutine)
