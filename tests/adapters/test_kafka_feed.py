"""Read models fed from Kafka by several processes: the same rows as from the log, through rebalances and kills."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from adapters.postgres.reading import rows_of
from adapters.projection_runner.batch import Batches, ReadModel
from api.read_models import READ_MODELS
from tests.support.commands import start
from tests.support.kafka import Broker
from tests.support.postgres import Database
from tests.support.server import Running, serving

GROUP = "g"
ENDS = "SELECT coalesce(max(position), 0) FROM magnet_read.partitions WHERE schema = %(schema)s"
FED = [model for model in READ_MODELS if model.name in ("configurations_v1", "runs_v1")]


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, broker: Broker) -> AsyncIterator[Running]:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": broker.servers,
        "MAGNET_KAFKA_TOPIC": f"magnet.events.{uuid4().hex[:8]}",
        "MAGNET_KAFKA_PARTITIONS": 4,
        "MAGNET_KAFKA_TRANSACTIONS": broker.transactions,
    }
    async with serving(database, tmp_path, **settings) as running:
        yield running


class Worker:
    """`magnet worker --from kafka` as a process."""

    def __init__(self, magnet: Running, **more: str) -> None:
        settings = magnet.container.settings
        environment = {
            **os.environ,
            "DATABASE_URL": magnet.database.app_dsn,
            "MIGRATION_DATABASE_URL": magnet.database.owner_dsn,
            "MAGNET_HOME": str(settings.home),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "MAGNET_KAFKA_TOPIC": settings.kafka_topic,
            **more,
        }
        names = ",".join(model.name for model in FED)
        arguments = ["worker", "--from", "kafka", "--group", GROUP, "--projections", names]
        self.process = start(*arguments, environment=environment, directory=settings.home)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


async def checksum(magnet: Running, model: ReadModel, schema: str) -> str:
    batches = Batches(magnet.container.pool, model, schema=schema, fence=0)
    async with batches.transaction() as connection:
        return await model.writer(connection).checksum()


async def fed(magnet: Running) -> None:
    """Wait until both read models have passed the head of the log, from the log and from Kafka."""
    head = await magnet.container.log.head()
    async with asyncio.timeout(120):
        for model in FED:
            assert await magnet.container.reached(model.name, head, 60)
            schema = f"{model.name}__{GROUP}"
            while (await rows_of(magnet.container.pool, ENDS, {"schema": schema}))[0][0] < head:
                await asyncio.sleep(0.1)


async def alike(magnet: Running) -> None:
    """Wait until the rows are the same: a partition whose owner was killed may come after the one with the head."""
    async with asyncio.timeout(60):
        for model in FED:
            live = await checksum(magnet, model, model.name)
            while await checksum(magnet, model, f"{model.name}__{GROUP}") != live:
                await asyncio.sleep(0.1)


async def some_work(magnet: Running, name: str, count: int = 15) -> None:
    for number in range(count):
        await magnet.do("POST", "/v1/prompts", {"name": f"{name}-{number}", "text": "a", "tags": [name]})
        await magnet.do("PATCH", f"/v1/prompts/{name}-{number}?publish=true", {"text": "b"})
        await magnet.do("POST", f"/v1/prompts/{name}-{number}/rollback", {"version": 1})


async def test_rebalances_and_kills_lose_and_double_nothing(magnet: Running):
    workers = [Worker(magnet)]
    try:
        await some_work(magnet, "first")
        await magnet.do("POST", "/v1/prompts", {"name": "large", "text": "x" * 950_000})
        workers.append(Worker(magnet, MAGNET_FAILPOINTS="feed.before_commit=exit@2"))
        await some_work(magnet, "second")
        workers.append(Worker(magnet, MAGNET_FAILPOINTS="feed.after_commit=exit@2"))
        await some_work(magnet, "third")
        assert await asyncio.to_thread(workers[0].end, signal.SIGKILL) == -signal.SIGKILL
        workers.append(Worker(magnet))
        await some_work(magnet, "fourth")
        await fed(magnet)
        await alike(magnet)
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                await asyncio.to_thread(worker.end)


async def test_a_foreign_message_is_set_aside_and_the_rest_goes_on(magnet: Running):
    settings = magnet.container.settings
    await some_work(magnet, "first", 3)
    assert await magnet.container.reached("kafka_relay_v1", await magnet.container.log.head(), 60)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for partition in range(4):
            await producer.send_and_wait(settings.kafka_topic, b"poison", partition=partition)
    finally:
        await producer.stop()
    await some_work(magnet, "second", 3)
    worker = Worker(magnet)
    try:
        await fed(magnet)
        await alike(magnet)
        query = "SELECT DISTINCT reason FROM magnet.foreign_messages WHERE consumer = %(consumer)s"
        rows = await rows_of(magnet.container.pool, query, {"consumer": f"configurations_v1__{GROUP}"})
        assert rows == [("it is no JSON",)]
    finally:
        assert await asyncio.to_thread(worker.end) == 0
