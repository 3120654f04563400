"""The relay to Kafka and read models fed from it, with a real broker where Java and Maven are there."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from adapters.event_store.log import EventLog
from adapters.kafka.feed import KafkaFeed
from adapters.kafka.relay import NAME, KafkaRelay
from adapters.kafka.relaying import known_to
from adapters.kafka.topic import EventTopic, TopicSettings
from adapters.postgres.configurations import PostgresConfigurationsWriter
from adapters.postgres.listener import Listener
from adapters.postgres.reading import rows_of
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.runner import Positions
from benchmarks.applications import Running
from benchmarks.database import Databases
from benchmarks.growth import create_things, fill
from benchmarks.measure import Scale, percentile
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from domain.prompt import Prompt
from projections.configurations import ConfigurationsProjection
from tests.support.kafka import Broker, some_broker

EVENTS = 200_000
LIVE = 200
PARTITIONS = 10
CONFIGURATIONS = ReadModel(projection=ConfigurationsProjection(), writer=PostgresConfigurationsWriter)
REACHED = "SELECT coalesce(max(position), 0) FROM magnet_read.partitions WHERE schema = %(schema)s"


def kafka(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Relay a log to a topic, and feed a read model from it."""
    events = scale.count(EVENTS)
    dsn = databases.magnet()
    with tempfile.TemporaryDirectory(prefix="magnet-kafka-") as place, some_broker(Path(place)) as broker:
        sys.stderr.write(f"  broker: {broker.name}\n")
        with Running(dsn) as running:
            running.run(create_things(running))
            running.run(fill(running, events))
            relayed, latencies = running.run(relay(running, dsn, broker))
            fed = [running.run(feed(running, broker, workers)) for workers in (1, 10)]
    yield Row(what=f"relay to Kafka, catch-up of {events:,} events", ours=relayed, unit="events/s", floor=20_000)
    yield Row(what="commit to consumer, p95", ours=1000 * percentile(latencies, 0.95), unit="ms", most=100)
    yield Row(what="configurations_v1 fed from Kafka, one member", ours=fed[0], unit="events/s")
    yield Row(
        what="the same, ten members in this process", ours=fed[1], unit="events/s",
        compared="one member", theirs=fed[0],
    )  # fmt: skip


TOPIC = f"magnet.events.{uuid4().hex[:8]}"
SOURCE = "/magnet/bench"


async def relay(running: Running, dsn: str, broker: Broker) -> tuple[float, list[float]]:
    """Return events per second of catching up, and the seconds from a command to a consumer, live."""
    pool, mapper = running.parts.pool, running.parts.store.mapper
    reader, listener, positions = EventLog(pool, mapper), Listener(dsn), Positions()
    settings = TopicSettings(
        servers=broker.servers,
        topic=TOPIC,
        partitions=PARTITIONS,
        transactional_id="bench" if broker.transactions else None,
    )
    relay = KafkaRelay(
        dsn=dsn, pool=pool, reader=reader, listener=listener, topic=lambda: EventTopic(settings, known_to(reader)), source=SOURCE,
        moved=positions.moved,
    )  # fmt: skip
    await listener.open()
    head = await reader.head()
    began = time.perf_counter()
    await relay.open()
    assert await positions.wait(NAME, head, 600)
    rate = head / (time.perf_counter() - began)
    latencies = await live(running, broker)
    await relay.close()
    await listener.close()
    return rate, latencies


async def live(running: Running, broker: Broker) -> list[float]:
    """Return the seconds from the receipt of a command to its event at a consumer."""
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=broker.servers, isolation_level="read_committed", auto_offset_reset="latest"
    )
    await consumer.start()
    await consumer.seek_to_end()
    latencies = []
    for number in range(LIVE):
        body = {"text": "Hello"}
        began = time.perf_counter()
        await running.parts.bus.dispatch(
            CreateThing(kind=Prompt, name=f"live{number}", body=body), Context(actor=SYSTEM)
        )
        async with asyncio.timeout(30):
            await consumer.getone()
        latencies.append(time.perf_counter() - began)
    await consumer.stop()
    return latencies


async def feed(running: Running, broker: Broker, members: int) -> float:
    """Return events per second of feeding a read model by a group of members."""
    pool = running.parts.pool
    reader = EventLog(pool, running.parts.store.mapper)
    group = f"g{members}"
    feeds = [
        KafkaFeed(pool, reader, CONFIGURATIONS, servers=broker.servers, topic=TOPIC, group=group, source=SOURCE)
        for _ in range(members)
    ]
    head = await reader.head()
    began = time.perf_counter()
    tasks = [asyncio.create_task(each.run()) for each in feeds]
    try:
        async with asyncio.timeout(600):
            while (await rows_of(pool, REACHED, {"schema": feeds[0].schema}))[0][0] < head:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return head / (time.perf_counter() - began)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
