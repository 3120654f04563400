"""Read models fed from Kafka by several processes: the same rows as from the log, through rebalances and kills."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from adapters.postgres.reading import rows_of
from adapters.projection_runner.batch import Batches, ReadModel
from api.read_models import READ_MODELS
from projections.integration_events import source
from tests.support.commands import start
from tests.support.kafka import Broker
from tests.support.patience import PATIENCE
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
    async with asyncio.timeout(PATIENCE):
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


def message(event: dict[str, Any], source: str) -> bytes:
    fields = {name: event[name] for name in ("id", "type", "position")}
    return json.dumps({"specversion": "1.0", "source": source, **fields, "data": event}).encode()


def poison(event: dict[str, Any], source: str, head: int) -> list[tuple[bytes, str]]:
    """Return messages that nobody should take, with why not, from an event of the log and what our relay calls it."""
    other = {"id": str(uuid4())}

    def wrapped(source: str = source, **changed: Any) -> bytes:
        return message(event | changed, source)

    return [
        (b"poison", "it is no JSON"),
        (wrapped(type="alien.landed", **other), "the log has another event at its position"),
        (wrapped(source="/magnet/another", **other), "the log has another event at its position"),
        (wrapped(**other, data=None), "the log has another event at its position"),
        # Of before a backup was restored: the same thing had the same version at the same position, with another content.
        (wrapped(hash="00" * 32), "the log has another event at its position"),
        (wrapped(hash="00" * 32, data=None), "the log has another event at its position"),
        (wrapped(position=head + 1_000_000), "the log has no event at its position"),
        (wrapped(position=head + 1_000_000, data=None), "the log has no event at its position"),
        (wrapped(source="/magnet/another", position=2**61), "the log has no event at its position"),
    ]


async def set_aside(magnet: Running, model: ReadModel, besides: bytes, count: int) -> dict[tuple[bytes, str], int]:
    """Wait until so many messages are set aside besides one; return how often each was, with the reason."""
    query = """SELECT message_value, reason, count(*) FROM magnet.foreign_messages
        WHERE consumer = %(consumer)s AND message_value <> %(besides)s GROUP BY 1, 2"""
    values = {"consumer": f"{model.name}__{GROUP}", "besides": besides}
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await rows_of(magnet.container.pool, query, values)
            found = {(bytes(value), reason): times for value, reason, times in rows}
            if sum(found.values()) >= count:
                return found
            await asyncio.sleep(0.1)


async def test_foreign_messages_are_set_aside_with_their_reasons_and_the_rest_goes_on(magnet: Running):
    settings = magnet.container.settings
    await some_work(magnet, "first", 3)
    head = await magnet.container.log.head()
    assert await magnet.container.reached("kafka_relay_v1", head, 60)
    event = (await magnet.get("/v1/events?changes=false&limit=1"))["items"][0]
    [(installation,)] = await rows_of(magnet.container.pool, "SELECT id FROM magnet.installation", {})
    ours = source(str(installation))
    sent = poison(event, ours, head)
    # Who looks into it fails; who has no use for such events, or is past its position, does not even see it.
    wrong = message(event | {"id": str(uuid4()), "position": head, "data": {"name": 5, "definition": "none"}}, ours)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for value in (wrong, *(value for value, _ in sent)):
            for partition in range(4):
                await producer.send_and_wait(settings.kafka_topic, value, partition=partition)
    finally:
        await producer.stop()
    await some_work(magnet, "second", 3)
    worker = Worker(magnet)
    try:
        await fed(magnet)
        await alike(magnet)
        for model in FED:
            found = await set_aside(magnet, model, wrong, 4 * len(sent))
            assert found == dict.fromkeys(sent, 4)
    finally:
        assert await asyncio.to_thread(worker.end) == 0
