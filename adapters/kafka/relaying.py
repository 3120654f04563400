"""The relay as the settings have it."""

from collections.abc import Callable

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import EventLog
from adapters.kafka.relay import KafkaRelay
from adapters.kafka.topic import EventTopic, Known, TopicSettings
from adapters.postgres.listener import Listener
from projections.integration_events import source


def relay_of(
    *,
    servers: str,
    topic: str,
    partitions: int,
    transactions: bool,
    installation: str,
    dsn: str,
    pool: AsyncConnectionPool,
    reader: EventLog,
    listener: Listener,
    moved: Callable[[str, int], object],
) -> KafkaRelay:
    """Return a relay of an installation's log; its transactional id is the installation's own."""
    settings = TopicSettings(
        servers=servers,
        topic=topic,
        partitions=partitions,
        transactional_id=f"magnet-relay-{installation}-{topic}" if transactions else None,
    )
    return KafkaRelay(
        dsn=dsn,
        pool=pool,
        reader=reader,
        listener=listener,
        topic=lambda: EventTopic(settings, known_to(reader)),
        source=source(installation),
        moved=moved,
    )


def known_to(reader: EventLog) -> Known:
    """Return what tells whether a log has an event: by its hash, since what a restored log went on with may have the same id."""

    async def known(position: int, hash: str) -> bool:
        entry = await reader.at(position)
        return entry is not None and entry.hash.hex() == hash

    return known
