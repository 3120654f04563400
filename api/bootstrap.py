"""The composition root: the only module that knows which adapter stands behind each port."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from adapters.event_store.appender import Appender
from adapters.event_store.log import EventLog, LogFilter
from adapters.event_store.mapper import EventMapper
from adapters.event_store.store import EventStore
from adapters.keyring import Keyring
from adapters.postgres.configurations import PostgresConfigurationsView, PostgresConfigurationsWriter
from adapters.postgres.credentials import Credentials
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.installation import claim
from adapters.postgres.listener import Listener
from adapters.postgres.migrations import migrate, role_of
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import Batches, ReadModel
from adapters.projection_runner.runner import Positions, ProjectionRunner
from adapters.rendering.renderer import SandboxedRenderer
from adapters.secrets import KeyringSecretBox, SealedAnswers
from api.auth import Authenticator
from api.metrics import Metrics
from api.settings import Settings
from commands.bus import Bus
from commands.handlers import handlers
from commands.ports import Actor, PromptRenderer
from domain import AGGREGATES
from projections.configurations import ConfigurationsProjection, ConfigurationsView
from projections.history import History
from projections.recorded import LogEntry

APP_ROLE = "magnet_app"
READ_MODELS: Sequence[ReadModel] = (
    ReadModel(projection=ConfigurationsProjection(), writer=PostgresConfigurationsWriter),
)
NOBODY = Actor(type="anonymous", id="anonymous", name="anonymous")
LOOK_EVERY = 0.25
"""Seconds between two looks at a position that no notification has told of."""


@dataclass(frozen=True, kw_only=True)
class Dsns:
    """Connection strings: of the application's role, and of the owner of the tables."""

    app: str
    owner: str


@contextmanager
def database(settings: Settings) -> Iterator[Dsns]:
    """Give a migrated database: the one of DATABASE_URL, or the embedded one for as long as the block lasts."""
    if settings.database_url is not None:
        app = settings.database_url.get_secret_value()
        owner = (settings.migration_database_url or settings.database_url).get_secret_value()
        migrate(owner, role_of(app))
        yield Dsns(app=app, owner=owner)
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(settings.home) as postgres:
        migrate(postgres.dsn(), APP_ROLE, create_role=True)
        yield Dsns(app=postgres.dsn(user=APP_ROLE), owner=postgres.dsn())


@dataclass(kw_only=True)
class Container:
    """Everything that routes and commands need, put together."""

    settings: Settings
    pool: AsyncConnectionPool
    keyring: Keyring
    secret_box: KeyringSecretBox
    listener: Listener
    log: EventLog
    store: EventStore
    bus: Bus
    view: ConfigurationsView
    history: History
    positions: Positions
    administration: ProjectionAdministration
    credentials: Credentials
    renderer: PromptRenderer
    authenticator: Callable[[Request], Awaitable[Actor]]
    metrics: Metrics = field(default_factory=Metrics)
    runner: ProjectionRunner | None = None
    nobody: Actor = NOBODY
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def reached(self, name: str, position: int, seconds: float) -> bool:
        """Wait until a read model has passed a position, whichever process runs it; return whether it has."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not await self.positions.wait(name, position, max(0, min(LOOK_EVERY, deadline - clock()))):
            self.positions.moved(name, await self.administration.position(name))
            if clock() >= deadline:
                return self.positions.passed(name, position)
        return True

    async def read_log(self, after: int, limit: int, filters: Mapping[str, Any]) -> list[LogEntry]:
        """Return entries of the log after a position."""
        return await self.log.read(after, limit, LogFilter(**filters))

    async def close(self) -> None:
        """Finish what is under way, and let everything go."""
        await self.stack.aclose()


async def open_container(
    settings: Settings,
    *,
    dsn: str,
    worker: bool = True,
    renderer: PromptRenderer | None = None,
    keyring: Keyring | None = None,
) -> Container:
    """Put everything together over a migrated database; with `worker`, its projections run here too."""
    if keyring is None:
        configured = settings.secret_encryption_key
        settings.home.mkdir(parents=True, exist_ok=True)
        keyring = Keyring.load(settings.home, configured.get_secret_value() if configured else None)
    await asyncio.to_thread(claim, dsn, keyring.fingerprint)
    async with AsyncExitStack() as stack:
        pool = _pool(dsn, 2, 16)
        writing = _pool(dsn, 1, 2)
        await stack.enter_async_context(pool)
        await stack.enter_async_context(writing)
        mapper = EventMapper(AGGREGATES)
        positions, listener = Positions(), Listener(dsn)
        log = EventLog(pool, mapper)
        runner = ProjectionRunner(
            dsn=dsn, pool=pool, log_reader=log, listener=listener, positions=positions, models=READ_MODELS
        )
        listener.on("magnet_read", positions.heard)
        store = EventStore(pool, Appender(writing, runner.wake if worker else lambda _: None), mapper)
        stack.push_async_callback(store.close)
        credentials = Credentials(pool, listener)
        stack.push_async_callback(credentials.close)
        if renderer is None:
            sandboxed = SandboxedRenderer()
            stack.push_async_callback(sandboxed.close)
            renderer = sandboxed
        secret_box = KeyringSecretBox(keyring)
        for model in READ_MODELS:  # empty tables answer queries until the first events are in
            await Batches(pool, model, schema=model.name, fence=0).make_schema(anew=False)
        await listener.open()
        stack.push_async_callback(listener.close)
        if worker:
            await runner.open()
            stack.push_async_callback(runner.close)
        return Container(
            settings=settings,
            pool=pool,
            keyring=keyring,
            secret_box=secret_box,
            listener=listener,
            log=log,
            store=store,
            bus=Bus(store, handlers(secrets=secret_box, renderer=renderer), SealedAnswers(keyring)),
            view=PostgresConfigurationsView(pool),
            history=History(streams=store, log=log),
            positions=positions,
            administration=ProjectionAdministration(pool, log, READ_MODELS),
            credentials=credentials,
            renderer=renderer,
            authenticator=Authenticator(credentials, keyring.mac),
            runner=runner if worker else None,
            stack=stack.pop_all(),
        )


def _pool(dsn: str, smallest: int, largest: int) -> AsyncConnectionPool:
    return AsyncConnectionPool(
        dsn, min_size=smallest, max_size=largest, timeout=5, open=False, kwargs={"autocommit": True}
    )
