"""The reference consumer as a process: takes events from Kafka until it is told to stop."""

import asyncio
import signal

from aiokafka.errors import KafkaConnectionError
from psycopg_pool import AsyncConnectionPool

from adapters.kafka.consumer import SQL, InboxConsumer
from adapters.postgres.reading import rows_of
from api.database import database
from api.settings import Settings, SettingsError


def consume(settings: Settings, group: str, *, until_idle: bool) -> list[tuple[str, int, int]]:
    """Take events as a member of a group; return (type, events, last position) of all that the group has taken."""
    if settings.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set: there is no broker to consume from.")
    with database(settings) as dsns:
        return asyncio.run(_consume(settings, dsns.app, group, until_idle))


async def _consume(settings: Settings, dsn: str, group: str, until_idle: bool) -> list[tuple[str, int, int]]:
    assert settings.kafka_bootstrap_servers is not None
    async with AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}) as pool:
        consumer = InboxConsumer(
            pool, servers=settings.kafka_bootstrap_servers, topic=settings.kafka_topic, group=group
        )
        running = asyncio.ensure_future(consumer.run(until_idle=until_idle))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            pass  # told to stop
        except KafkaConnectionError:
            raise SettingsError("KAFKA_BOOTSTRAP_SERVERS: no broker answers there. Is it running?") from None
        return await rows_of(pool, SQL["consumed"], {"consumer": group})
