"""The pieces around the log that tests of the read side need, put together on a test's database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eventsourcing.domain import Aggregate
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Request
from adapters.event_store.store import EventStore
from adapters.postgres.configurations import PostgresConfigurationsView, PostgresConfigurationsWriter
from adapters.postgres.listener import Listener
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.runner import Positions, ProjectionRunner
from domain import AGGREGATES
from projections.configurations import ConfigurationsProjection
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

CONFIGURATIONS = ReadModel(projection=ConfigurationsProjection(), writer=PostgresConfigurationsWriter)


@dataclass
class ReadSide:
    """A log with what reads it."""

    dsn: str
    pool: AsyncConnectionPool
    appender: Appender
    mapper: EventMapper
    log: EventLog
    store: EventStore
    listener: Listener
    positions: Positions
    view: PostgresConfigurationsView

    async def record(self, *aggregates: Aggregate) -> int:
        """Append the aggregates' pending events together; return the position of the last."""
        events = [self.mapper.to_stored_event(event) for each in aggregates for event in each.collect_events()]
        outcome = await self.appender.append(Request(events=events))
        assert outcome.first_position is not None, outcome
        return outcome.first_position + len(events) - 1

    def runner(
        self,
        models: Sequence[ReadModel] = (CONFIGURATIONS,),
        positions: Positions | None = None,
        build_elsewhere: Callable[[str, int], Awaitable[bool]] | None = None,
    ) -> ProjectionRunner:
        """Make a runner as a worker process has it."""
        return ProjectionRunner(
            dsn=self.dsn,
            pool=self.pool,
            log_reader=self.log,
            listener=self.listener,
            positions=positions or self.positions,
            models=models,
            build_elsewhere=build_elsewhere,
        )

    async def caught_up(self, name: str = "configurations_v1") -> None:
        """Wait until a read model has passed the head of the log."""
        assert await self.positions.wait(name, await self.log.head(), PATIENCE)


@asynccontextmanager
async def read_side(database: Database) -> AsyncIterator[ReadSide]:
    """Put the pieces together, and take them down in the end."""
    pool = AsyncConnectionPool(database.app_dsn, min_size=2, max_size=10, open=False, kwargs={"autocommit": True})
    async with pool:
        mapper = EventMapper(AGGREGATES)
        appender = Appender(pool)
        listener = Listener(database.app_dsn)
        side = ReadSide(
            dsn=database.app_dsn,
            pool=pool,
            appender=appender,
            mapper=mapper,
            log=EventLog(pool, mapper),
            store=EventStore(pool, appender, mapper),
            listener=listener,
            positions=Positions(),
            view=PostgresConfigurationsView(pool),
        )
        await listener.open()
        try:
            yield side
        finally:
            await side.store.close()
            await listener.close()


@asynccontextmanager
async def running(runner: ProjectionRunner) -> AsyncIterator[ProjectionRunner]:
    """Run a runner for as long as the block lasts."""
    await runner.open()
    try:
        yield runner
    finally:
        await runner.close()
