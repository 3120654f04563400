"""The topic that events are relayed to: written in order, each event once.

A message's partition follows from its key, and within a partition positions only grow. So whoever takes
over reads the last message of each partition, and leaves out what is there already. A message that is of no event
of this log, since another system or this one before it was restored has written it, leaves out nothing. With transactions
(the default) a writer that was taken over from can't write any more.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.partitioner import murmur2

from projections.integration_events import CONTENT_TYPE, Envelope

POSITION = "position"
CONTENT = ("content-type", CONTENT_TYPE.encode())
LARGEST_BATCH = 1_000_000
MOST_REPLICAS = 3
"""Of a topic that is made here, where there are so many brokers."""

REQUEST_TIMEOUT = 10_000
"""Milliseconds."""

Known = Callable[[int, str], Awaitable[bool]]
"""Whether the log has the event of a hash at a position."""

STEP_BACK = 8
"""Offsets before a partition's end at which its last message is looked for first: markers take some."""


@dataclass(frozen=True, kw_only=True)
class TopicSettings:
    """Where events go: `partitions` > 0 makes the topic where it is missing; `transactional_id` None: no transactions."""

    servers: str
    topic: str
    partitions: int
    transactional_id: str | None


class EventTopic:
    """The topic, opened by the one who writes it."""

    def __init__(self, settings: TopicSettings, known: Known) -> None:
        self._settings = settings
        self._known = known
        self._producer: AIOKafkaProducer | None = None
        self._partitions: list[int] = []
        self._last: dict[int, int] = {}

    async def open(self) -> None:
        """Connect, make the topic where it is asked for, and look what is there; raise KafkaError."""
        if self._settings.partitions:
            await self._make()
        transactional = self._settings.transactional_id
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.servers,
            acks="all",
            transactional_id=transactional,
            enable_idempotence=transactional is not None,
            max_batch_size=LARGEST_BATCH,
            max_request_size=2 * LARGEST_BATCH,
            request_timeout_ms=REQUEST_TIMEOUT,
        )
        await self._producer.start()  # whoever wrote before with this id can't any more
        self._partitions = sorted(await self._producer.partitions_for(self._settings.topic))
        if not self._partitions:
            raise KafkaError(f"The topic {self._settings.topic} has no partition.")
        self._last = await self._last_positions()

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def write(self, envelopes: Sequence[Envelope]) -> None:
        """Write messages, in the order of their positions; return when the broker has all of them."""
        assert self._producer is not None
        by_partition: dict[int, list[Envelope]] = {}
        for envelope in envelopes:
            partition = self._partition(envelope.key)
            if envelope.position > self._last.get(partition, 0):
                by_partition.setdefault(partition, []).append(envelope)
        if not by_partition:
            return
        if self._settings.transactional_id is None:
            await self._send(by_partition)
        else:
            async with self._producer.transaction():
                await self._send(by_partition)
        self._last |= {partition: messages[-1].position for partition, messages in by_partition.items()}

    async def _send(self, by_partition: dict[int, list[Envelope]]) -> None:
        assert self._producer is not None
        sent = []
        for partition, messages in by_partition.items():
            batch = self._producer.create_batch()
            for message in messages:
                fields: dict[str, Any] = {
                    "key": message.key,
                    "value": message.value,
                    "timestamp": None,
                    "headers": [CONTENT, (POSITION, b"%d" % message.position)],
                }
                if batch.append(**fields) is None:
                    sent.append(await self._producer.send_batch(batch, self._settings.topic, partition=partition))
                    batch = self._producer.create_batch()
                    if batch.append(**fields) is None:
                        raise KafkaError(f"The event at position {message.position} is larger than a batch.")
            sent.append(await self._producer.send_batch(batch, self._settings.topic, partition=partition))
        for future in sent:
            await future

    def _partition(self, key: bytes) -> int:
        """Return the partition of a key, as Kafka's own clients choose it."""
        return self._partitions[hashed(key) % len(self._partitions)]

    async def _make(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.servers)
        await admin.start()
        try:
            brokers = len((await admin.describe_cluster())["brokers"])
            topic = NewTopic(
                self._settings.topic,
                num_partitions=self._settings.partitions,
                replication_factor=min(MOST_REPLICAS, brokers),
            )
            answer = await admin.create_topics([topic])
            for _, code, *_rest in answer.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise KafkaError(f"The topic {self._settings.topic} can't be made: error {code}.")
        finally:
            await admin.close()

    async def _last_positions(self) -> dict[int, int]:
        """Return the position of the last message of each partition that has any."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.servers, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(self._settings.topic, partition) for partition in self._partitions]
            consumer.assign(places)
            begin, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            found = {}
            for place in places:
                last = await self._last_position(consumer, place, begin[place], end[place])
                if last is not None:
                    found[place.partition] = last
            return found
        finally:
            await consumer.stop()

    async def _last_position(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, begin: int, end: int
    ) -> int | None:
        back = STEP_BACK
        while end > begin:
            start = max(begin, end - back)
            consumer.seek(place, start)
            found: list[tuple[int, Any]] = []
            while await consumer.position(place) < end:
                records = (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
                places = [(position_in(each), each) for each in records]
                found += [(position, each) for position, each in places if position is not None]
            for position, record in reversed(found[-STEP_BACK:]):
                if await self._known(position, hash_in(record)):
                    return int(position)
            if found or start == begin:
                return None
            back *= 8
        return None


@lru_cache(65_536)
def hashed(key: bytes) -> int:
    """Return the number by which Kafka's own clients choose a key's partition."""
    return int(murmur2(key) & 0x7FFFFFFF)


def position_in(record: Any) -> int | None:
    """Return the position that a message stands for; None for one that is not ours."""
    found = dict(record.headers).get(POSITION, b"")
    return int(found) if found.isdigit() else None


def hash_in(record: Any) -> str:
    """Return the hash of the event that a message holds; nothing for one that is not ours."""
    try:
        return str(orjson.loads(record.value)["data"]["hash"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ""
