"""The relay: follows the log and writes it to Kafka; one process at a time, from exactly where it was."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError
from psycopg_pool import AsyncConnectionPool

from adapters.ending import end_tasks
from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.failpoints import failpoint
from adapters.kafka.topic import EventTopic
from adapters.postgres.listener import Listener
from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.ownership import Session, keep_owning
from projections.events import public_events
from projections.integration_events import Envelope, envelope

NAME = "kafka_relay_v1"
BATCH = 4000
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
            await end_tasks(self._task)
            self._task = None

    async def _own(self, session: Session) -> None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(SQL["take_over"], {"projection": NAME})).fetchone()
        assert row is not None
        place = Place(*row)
        pause = LEAST_PAUSE
        while True:
            topic = self._topic()
            try:
                await topic.open()
                pause = LEAST_PAUSE
                await self._follow(topic, session, place)
            except (KafkaError, OSError) as error:
                reason = str(error)[:200]
                log.warning("kafka_away", error=type(error).__name__, reason=reason, position=place.position)
            finally:
                await closed(topic)
            await session.execute("SELECT 1")  # a lost session means a lost lock
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow(self, topic: EventTopic, session: Session, place: "Place") -> None:
        """Write batch after batch without end; the next one is made ready while Kafka takes the present one."""
        preparing = asyncio.create_task(self._prepared(place.position))
        try:
            while True:
                envelopes = await preparing
                if not envelopes:
                    await self._wait(session)
                    preparing = asyncio.create_task(self._prepared(place.position))
                    continue
                reached = envelopes[-1].position
                preparing = asyncio.create_task(self._prepared(reached))
                await topic.write(envelopes)
                failpoint("relay.after_write")
                await self._advance(place, reached)
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _prepared(self, after: int) -> list[Envelope]:
        self._news.clear()
        entries = await self._reader.read(after, BATCH, EVERYTHING)
        return [envelope(event, self._source) for event in await public_events(entries, self._reader)]

    async def _advance(self, place: "Place", reached: int) -> None:
        async with self._pool.connection() as connection:
            values = {"projection": NAME, "fence": place.fence, "expected": place.position, "position": reached}
            if (await connection.execute(SQL["advance"], values)).rowcount != 1:
                raise Fenced
        place.position = reached
        self._moved(NAME, reached)

    async def _wait(self, session: Session) -> None:
        try:
            async with asyncio.timeout(SAFETY_POLL):
                await self._news.wait()
        except TimeoutError:
            await session.execute("SELECT 1")


@dataclass
class Place:
    """How far the log is relayed, and the fence under which that is noted."""

    position: int
    fence: int


async def closed(topic: EventTopic) -> None:
    """Disconnect; a broker that is away can't be told."""
    with contextlib.suppress(KafkaError, OSError):
        await topic.close()
