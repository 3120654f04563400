"""The relay to Kafka: every event once, in order for each thing, from exactly where it was."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from adapters import failpoints
from adapters.kafka.relay import NAME, KafkaRelay
from adapters.kafka.relaying import known_to
from adapters.kafka.topic import EventTopic, TopicSettings
from adapters.postgres.embedded import EmbeddedPostgres
from domain.prompt import Prompt
from projections.integration_events import LARGEST
from tests.support.kafka import Broker, some_broker
from tests.support.kafka.kills import Relays, killed
from tests.support.kafka.messages import Message, Tally, messages, tally
from tests.support.log import ReadSide, read_side
from tests.support.patience import PATIENCE
from tests.support.postgres import Database, fresh_database

KILLS, LONG_KILLS = 2, 50


@dataclass
class Relayed:
    """A log, a topic of the test's own, and relays between them."""

    side: ReadSide
    broker: Broker
    topic: str = field(default_factory=lambda: f"magnet.events.{uuid4().hex[:8]}")
    partitions: int = 3

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[KafkaRelay]:
        """Run a relay as a worker has it."""
        settings = TopicSettings(
            servers=self.broker.servers,
            topic=self.topic,
            partitions=self.partitions,
            transactional_id=f"relay-{self.topic}" if self.broker.transactions else None,
        )
        relay = KafkaRelay(
            dsn=self.side.dsn,
            pool=self.side.pool,
            reader=self.side.log,
            listener=self.side.listener,
            topic=lambda: EventTopic(settings, known_to(self.side.log)),
            source="/magnet/test",
            moved=self.side.positions.moved,
        )
        await relay.open()
        try:
            yield relay
        finally:
            await relay.close()

    async def caught_up(self) -> None:
        assert await self.side.positions.wait(NAME, await self.side.log.head(), PATIENCE)

    async def messages(self) -> list[Message]:
        """Return (partition, key, CloudEvent) of all that is in the topic, in the order of offsets."""
        return await messages(self.broker.servers, self.topic, self.partitions)


@pytest.fixture
async def relayed(database: Database, broker: Broker) -> AsyncIterator[Relayed]:
    async with read_side(database) as side:
        yield Relayed(side=side, broker=broker)


async def prompts(side: ReadSide, count: int, changes: int = 1, name: str = "p") -> None:
    """Record some prompts, each changed some times."""
    for number in range(count):
        prompt = Prompt.create(name=f"{name}{number}", definition={"text": "0"})
        for change in range(1, changes + 1):
            prompt.change({**prompt.definition, "text": str(change)})
        await side.record(prompt)


def each_once_and_in_order(found: list[Message], head: int) -> None:
    assert tally(found, head) == Tally(lost=0, doubled=0, reordered=0)
    for _, key, event in found:
        assert key == event["subject"] == event["data"]["aggregate_id"]


async def test_every_event_goes_out_as_a_cloud_event_with_its_thing_as_the_key(relayed: Relayed):
    await prompts(relayed.side, 20, changes=3)
    async with relayed.relay():
        await relayed.caught_up()
        messages = await relayed.messages()
    each_once_and_in_order(messages, await relayed.side.log.head())
    assert len({partition for partition, _, _ in messages}) > 1
    event = next(event for _, _, event in messages if event["position"] == 2)
    assert event["specversion"] == "1.0" and event["source"] == "/magnet/test"
    assert event["type"] == event["data"]["type"] == "prompt.text_changed"
    assert event["id"] == event["data"]["id"] and event["time"] == event["data"]["recorded_at"]
    assert "correlationid" not in event


async def test_what_was_written_and_not_noted_is_not_written_again(relayed: Relayed):
    await prompts(relayed.side, 5)
    failpoints.arm("relay.after_write=lost")
    async with relayed.relay():
        await relayed.caught_up()
        await prompts(relayed.side, 5, name="q")
        await relayed.caught_up()
    each_once_and_in_order(await relayed.messages(), await relayed.side.log.head())


async def test_a_relay_goes_on_where_another_one_stopped(relayed: Relayed):
    for round_ in range(5):
        await prompts(relayed.side, 10, name=f"r{round_}-")
        async with relayed.relay():
            if round_ % 2:
                await relayed.caught_up()
    async with relayed.relay():
        await relayed.caught_up()
    each_once_and_in_order(await relayed.messages(), await relayed.side.log.head())


async def test_messages_of_nobody_known_do_not_hide_what_was_written(relayed: Relayed):
    await prompts(relayed.side, 5)
    async with relayed.relay():
        await relayed.caught_up()
    producer = AIOKafkaProducer(bootstrap_servers=relayed.broker.servers)
    await producer.start()
    try:
        for number in range(20 * relayed.partitions):
            await producer.send_and_wait(relayed.topic, b'{"of": "somebody"}', b"", number % relayed.partitions)
    finally:
        await producer.stop()
    async with relayed.side.pool.connection() as connection:  # as if the last write had not been noted
        await connection.execute("UPDATE magnet_read.tracking SET position = 0 WHERE projection = %s", [NAME])
    async with relayed.relay():
        await relayed.caught_up()
    found = [each for each in await relayed.messages() if "of" not in each[2]]
    each_once_and_in_order(found, await relayed.side.log.head())


@pytest.mark.parametrize("names", ["after{}-", "p{}"])
async def test_what_another_log_has_written_at_the_same_positions_leaves_out_nothing(
    postgres: EmbeddedPostgres, relayed: Relayed, names: str
):
    for round_ in range(2):  # where the same things go on, their events have the same ids too
        await prompts(relayed.side, 10, name=f"p{round_}")
    async with relayed.relay():
        await relayed.caught_up()
    before = await relayed.messages()
    # Such as this system after a backup was restored, or a second one that was given the same topic.
    with fresh_database(postgres) as database:
        async with read_side(database) as side:
            restored = Relayed(side=side, broker=relayed.broker, topic=relayed.topic)
            for round_ in range(2):
                await prompts(side, 10, name=names.format(round_))
                async with restored.relay():
                    await restored.caught_up()
            found = [each for each in await restored.messages() if each not in before]
            each_once_and_in_order(found, await side.log.head())


async def test_two_relays_at_once_send_in_order(database: Database, relayed: Relayed):
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(read_side(database))
        await stack.enter_async_context(relayed.relay())
        second = Relayed(side=other, broker=relayed.broker, topic=relayed.topic)
        await stack.enter_async_context(second.relay())
        for round_ in range(10):
            await prompts(relayed.side, 10, name=f"r{round_}-")
        head = await relayed.side.log.head()
        async with asyncio.timeout(PATIENCE):
            while True:
                async with relayed.side.pool.connection() as connection:
                    query = "SELECT position FROM magnet_read.tracking WHERE projection = %s"
                    row = await (await connection.execute(query, [NAME])).fetchone()
                if row and row[0] == head:
                    break
                await asyncio.sleep(0.05)
    each_once_and_in_order(await relayed.messages(), head)


async def test_an_event_that_is_too_large_for_a_message_is_referred_to(relayed: Relayed):
    await relayed.side.record(Prompt.create(name="large", definition={"text": "x" * LARGEST}))
    await prompts(relayed.side, 1)
    async with relayed.relay():
        await relayed.caught_up()
    messages = await relayed.messages()
    each_once_and_in_order(messages, 3)
    large = next(event for _, _, event in messages if event["position"] == 1)
    assert (large["dataref"], large["data"]["data"]) == ("/v1/events?after=0&limit=1", None)
    assert large["data"]["hash"]


async def test_while_broker_and_relays_are_killed_commands_go_on_and_nothing_is_lost_doubled_or_out_of_order(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path
):
    kills = LONG_KILLS if request.config.getoption("--long") else KILLS
    with some_broker(tmp_path / "kafka", brief=True) as broker:
        async with read_side(database) as side:
            numbers = itertools.count()

            async def write() -> int:
                await prompts(side, 10, name=f"k{next(numbers)}-")
                return await side.log.head()

            dsns = {"app_dsn": database.app_dsn, "owner_dsn": database.owner_dsn}
            relays = Relays(broker, home=tmp_path, **dsns)
            found = await killed(
                broker, relays, kills if broker.durable else 0,
                owner_dsn=database.owner_dsn, write=write, patience=PATIENCE,
            )  # fmt: skip
    assert found == Tally(lost=0, doubled=0, reordered=0)
