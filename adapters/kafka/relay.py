"""The relay: follows the log and writes it to Kafka; one process at a time, from exactly where it was."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import EventLog, LogFilter
from adapters.failpoints import failpoint
from adapters.kafka.topic import EventTopic
from adapters.postgres.listener import Listener
from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.ownership import Session, keep_owning
from projections.events import public_events
from projections.integration_events import envelope

NAME = "kafka_relay_v1"
BATCH = 2000
"""Events of one write."""

SAFETY_POLL = 1.0
LEAST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two tries while Kafka is away."""

EVERYTHING = LogFilter()
log = structlog.get_logger(__name__)


class KafkaRelay:
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
        self._dsn = dsn
        self._pool = pool
        self._reader = reader
        self._topic = topic
        self._source = source
        self._moved = moved
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        listener.on("magnet_log", lambda _: self.wake())

    def wake(self, _position: int = 0) -> None:
        """There is something new in the log."""
        self._news.set()

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(keep_owning(self._dsn, NAME, self._own), name=NAME)

    async def close(self) -> None:
        """Stop; what was written and not noted is found there by the next owner."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _own(self, session: Session) -> None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(SQL["take_over"], {"projection": NAME})).fetchone()
        assert row is not None
        position, fence = row
        pause = LEAST_PAUSE
        while True:
            topic = self._topic()
            try:
                await topic.open()
                pause = LEAST_PAUSE
                while True:
                    position = await self._follow(topic, session, position, fence)
            except (KafkaError, OSError) as error:
                log.warning("kafka_away", error=type(error).__name__, reason=str(error)[:200], position=position)
            finally:
                await closed(topic)
            await session.execute("SELECT 1")  # a lost session means a lost lock
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow(self, topic: EventTopic, session: Session, position: int, fence: int) -> int:
        """Write the next batch as soon as there is one, and return how far the log is relayed."""
        self._news.clear()
        entries = await self._reader.read(position, BATCH, EVERYTHING)
        if not entries:
            try:
                async with asyncio.timeout(SAFETY_POLL):
                    await self._news.wait()
            except TimeoutError:
                await session.execute("SELECT 1")
            return position
        events = await public_events(entries, self._reader)
        await topic.write([envelope(event, self._source) for event in events])
        failpoint("relay.after_write")
        reached = entries[-1].position
        async with self._pool.connection() as connection:
            values = {"projection": NAME, "fence": fence, "expected": position, "position": reached}
            if (await connection.execute(SQL["advance"], values)).rowcount != 1:
                raise Fenced
        self._moved(NAME, reached)
        return reached


async def closed(topic: EventTopic) -> None:
    """Disconnect; a broker that is away can't be told."""
    with contextlib.suppress(KafkaError, OSError):
        await topic.close()
