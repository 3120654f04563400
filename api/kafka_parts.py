"""Read models that are fed from Kafka, put together; its client is loaded only where there is a broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.postgres.installation import installation_of
from adapters.postgres.pools import pool_of
from adapters.projection_runner.batch import ReadModel
from api.settings import Settings
from domain import AGGREGATES
from projections.integration_events import source

if TYPE_CHECKING:
    from adapters.kafka.feed import KafkaFeed


@asynccontextmanager
async def kafka_feeds(
    settings: Settings, *, dsn: str, group: str, models: Sequence[ReadModel]
) -> AsyncIterator[Sequence["KafkaFeed"]]:
    """Give this process's share of read models that are fed from Kafka."""
    from adapters.kafka.feed import KafkaFeed  # noqa: PLC0415

    assert settings.kafka_bootstrap_servers is not None
    async with pool_of(dsn, 1, 2 * len(models) + 1) as pool:
        reader = EventLog(pool, EventMapper(AGGREGATES))
        yield [
            KafkaFeed(
                pool,
                reader,
                model,
                servers=settings.kafka_bootstrap_servers,
                topic=settings.kafka_topic,
                group=group,
                source=source(str(await installation_of(pool))),
            )
            for model in models
        ]
