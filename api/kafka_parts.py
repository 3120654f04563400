"""What stands between the log and Kafka, put together; Kafka's client is loaded only where there is a broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.postgres.pools import pool_of
from adapters.projection_runner.batch import ReadModel
from api.settings import Settings
from domain import AGGREGATES

if TYPE_CHECKING:
    from adapters.kafka.feed import KafkaFeed
    from adapters.kafka.relay import KafkaRelay


def followers(settings: Settings) -> list[str]:
    """Return the names of what follows the log besides the read models."""
    return [] if settings.kafka_bootstrap_servers is None else ["kafka_relay_v1"]


def kafka_relay(settings: Settings, installation: UUID, **parts: Any) -> "KafkaRelay":
    """Return the relay."""
    from adapters.kafka.relaying import relay_of  # noqa: PLC0415

    assert settings.kafka_bootstrap_servers is not None
    return relay_of(
        servers=settings.kafka_bootstrap_servers,
        topic=settings.kafka_topic,
        partitions=settings.kafka_partitions,
        transactions=settings.kafka_transactions,
        installation=str(installation),
        **parts,
    )


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
                pool, reader, model, servers=settings.kafka_bootstrap_servers, topic=settings.kafka_topic, group=group
            )
            for model in models
        ]
