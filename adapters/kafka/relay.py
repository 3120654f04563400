"""The relay: follows the log and writes it to Kafka; one process at a time, from exactly where it was."""

import asyncio
from collections.abc import Callable

from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import BREATH, EventLog
from adapters.kafka.topic import EventTopic
from adapters.outflow import Outflow, Prepared
from adapters.postgres.listener import Listener
from projections.events import public_event
from projections.integration_events import Envelope, envelope

NAME = "kafka_relay_v1"
BATCH = 4000
"""Events of one write."""

EVERYTHING = LogFilter()


class KafkaRelay(Outflow[Envelope]):
    """Relays the log; `source` names it in what is sent."""

    def __init__(
        self,
        *,
        dsn: str,
        pool: AsyncConnectionPool,
        reader: EventLog,
        listener: Listener,
        topic: Callable[[], EventTopic],
        source: str,
        moved: Callable[[str, int], object],
    ) -> None:
        async def prepare(after: int) -> Prepared[Envelope]:
            entries = await reader.read(after, BATCH, EVERYTHING)
            names = await reader.names({entry.stream for entry in entries})
            items: list[Envelope] = []
            for number, entry in enumerate(entries, 1):
                items.append(envelope(public_event(entry, names[entry.stream]), source))
                if not number % BREATH:
                    await asyncio.sleep(0)
            return Prepared(items=items, reached=items[-1].position if items else after)

        super().__init__(
            name=NAME,
            dsn=dsn,
            pool=pool,
            listener=listener,
            moved=moved,
            prepare=prepare,
            sink=topic,
            away=(KafkaError, OSError),
        )
