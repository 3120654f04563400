"""The relay: follows the log and writes it to Kafka; one process at a time, from exactly where it was."""

from collections.abc import Callable

from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.kafka.topic import EventTopic
from adapters.outflow import Outflow, Prepared
from adapters.postgres.listener import Listener
from projections.events import public_events
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
            items = [envelope(event, source) for event in await public_events(entries, reader)]
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
