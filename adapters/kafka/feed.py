"""Read models fed from Kafka: the partitions are spread over processes by a consumer group.

Rows and the position in each partition are one transaction, and the positions stored here decide where a
partition goes on, not Kafka's: so a rebalance or a kill loses and doubles nothing. Events of one thing come
in order; events of different things may not. Where a read model needs another thing first (a document's
source), a batch fails, and is tried again while the other partitions go on.

A message is set aside, with the reason, unless the log has an event of its hash at its position: one of before a backup was
restored has another. What this log's own relay wrote is believed then; whatever else says that it is an event, and all of a
batch that fails for long, is read from the log.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import EventLog
from adapters.failpoints import failpoint
from adapters.kafka.consumer import NotOurs, Taken, read, set_aside
from adapters.kafka.joining import join
from adapters.postgres import sql
from adapters.projection_runner.batch import Batches, ReadModel, decoded
from projections.events import event_id
from projections.received import UnknownEvent, received
from projections.recorded import Recorded

SQL = sql.load("adapters.kafka", "feed.sql")
BATCH = 2000
WAIT = 200
"""Milliseconds that a batch is waited for."""

PATIENCE = 60.0
"""Seconds without any progress after which a batch that fails is a defect, and ends the process."""

ANOTHER = "the log has another event at its position"
AGAIN = 0.2
DOUBTED = 1.0
"""Seconds after which what a batch that fails holds is looked up in the log: it may be a message that only looks like ours."""

log = structlog.get_logger(__name__)


class KafkaFeed:
    """One process's share of one read model; `source` is what this log's relay calls it in messages."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        reader: EventLog,
        model: ReadModel,
        *,
        servers: str,
        topic: str,
        group: str,
        source: str,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._model = model
        self._topic = topic
        self.schema = f"{model.name}__{group}"
        self._source = source
        self._failing: dict[TopicPartition, float] = {}
        self._batches = Batches(pool, model, schema=self.schema, fence=0)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            group_id=f"{group}.{model.name}",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def run(self) -> None:
        """Follow the topic until cancelled; raise what a batch fails with that nothing can be waited for."""
        await self._batches.make_schema()
        try:
            await join(self._consumer)
            self._consumer.subscribe([self._topic], listener=Assigned(self))
            clock = asyncio.get_running_loop().time
            progressed = clock()
            while True:
                for place, records in (await self._consumer.getmany(timeout_ms=WAIT, max_records=BATCH)).items():
                    try:
                        await self._take(place, records, doubting=clock() - self._failing.get(place, clock()) > DOUBTED)
                        progressed = clock()
                        self._failing.pop(place, None)
                    except Exception as error:
                        self._failing.setdefault(place, clock())
                        if clock() - progressed > PATIENCE:
                            raise
                        log.warning("batch_waits", schema=self.schema, error=type(error).__name__)
                        self._consumer.seek(place, records[0].offset)
                        await asyncio.sleep(AGAIN)
        finally:
            await asyncio.shield(self._consumer.stop())

    async def begin(self, partitions: Sequence[int]) -> None:
        """Go on in these partitions where their rows stand."""
        values = {"schema": self.schema, "topic": self._topic, "partitions": list(partitions)}
        async with self._pool.connection() as connection:
            await connection.execute(SQL["begin"], values)
            rows = await (await connection.execute(SQL["places"], values)).fetchall()
        for partition, offset in rows:
            self._consumer.seek(TopicPartition(self._topic, partition), offset)

    async def _take(self, place: TopicPartition, records: Sequence[Any], *, doubting: bool) -> None:
        """Apply messages of a partition, and move its position, in one transaction."""
        values = {"schema": self.schema, "topic": self._topic, "partition": place.partition}
        async with self._batches.transaction() as connection:
            if not self._model.projection.independent:
                await connection.execute(SQL["one_writer"], values)
            row = await (await connection.execute(SQL["hold"], values)).fetchone()
            assert row is not None
            next_offset, position = row
            events = []
            # What is before `next_offset` another process has taken, which had this partition.
            new = [(record, said_by(record)) for record in records if record.offset >= next_offset]
            hashes = await self._reader.hashes([said.position for _, said in new if isinstance(said, Taken)])
            for record, said in new:
                try:
                    event = await self._event(record, said, hashes, doubting=doubting)
                except NotOurs as error:
                    await set_aside(connection, self.schema, record, str(error))
                    continue
                if event.position > position:
                    events.append(event)
                    position = event.position
            if events:
                await self._model.projection.apply(decoded(events), self._model.writer(connection))
            reached = max(next_offset, records[-1].offset + 1)
            await connection.execute(SQL["advance"], {**values, "next_offset": reached, "position": position})
            failpoint("feed.before_commit")
        failpoint("feed.after_commit")

    async def _event(
        self, record: Any, said: Taken | NotOurs, hashes: Mapping[int, str], *, doubting: bool
    ) -> Recorded:
        """Return a message's event, or raise NotOurs for one that is none of this log's."""
        if isinstance(said, NotOurs):
            raise said
        if said.position not in hashes:
            raise NotOurs("the log has no event at its position")
        if said.hash != hashes[said.position]:
            raise NotOurs(ANOTHER)
        event = None if doubting else self._carried(orjson.loads(record.value))
        return event or await self._in_log(said)

    def _carried(self, message: Any) -> Recorded | None:
        """Return the event that a message of our relay holds; None where it is too large for one, or not to be believed."""
        if message.get("source") != self._source or message["data"].get("data") is None:
            return None
        try:
            return received(message["data"])
        except (UnknownEvent, KeyError, TypeError, ValueError):
            return None

    async def _in_log(self, said: Taken) -> Recorded:
        """Return the event as the log has it; raise NotOurs where it is called otherwise there."""
        [found] = await self._reader.section(said.position - 1, 1)
        if event_id(found.stream, found.version) != str(said.id):
            raise NotOurs(ANOTHER)
        return found


def said_by(record: Any) -> Taken | NotOurs:
    """Return what a message says, or why it is none of ours."""
    try:
        return read(record.value)
    except NotOurs as error:
        return error


class Assigned(ConsumerRebalanceListener):
    """Tells a feed which partitions it has now."""

    def __init__(self, feed: KafkaFeed) -> None:
        self._feed = feed

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing is under way: a batch is taken whole before the next poll."""

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Go on where the rows stand."""
        if assigned:
            await self._feed.begin([place.partition for place in assigned])
