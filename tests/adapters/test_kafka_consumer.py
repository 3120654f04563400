"""The reference consumer: each event has its effect once, however often it is delivered."""

import asyncio
import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jsonschema_rs
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from adapters.kafka import joining
from adapters.kafka.consumer import SQL, InboxConsumer, NotOurs, Taken, read
from adapters.kafka.joining import join
from adapters.postgres.reading import rows_of
from tests.support.commands import Done, run
from tests.support.kafka import Broker
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving

PROMPTS = 30
ID = "3f8e3a52-59d3-4f0e-8a58-0d7d4a1b6c11"


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, broker: Broker) -> AsyncIterator[Running]:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": broker.servers,
        "MAGNET_KAFKA_TOPIC": f"magnet.events.{uuid4().hex[:8]}",
        "MAGNET_KAFKA_PARTITIONS": 3,
        "MAGNET_KAFKA_TRANSACTIONS": broker.transactions,
    }
    async with serving(database, tmp_path, **settings) as running:
        for number in range(PROMPTS):
            await running.do("POST", "/v1/prompts", {"name": f"p{number}", "text": "a"})
            await running.do("PATCH", f"/v1/prompts/p{number}", {"text": "b"})
        assert await running.container.reached("kafka_relay_v1", await running.container.log.head(), 60)
        yield running


def consumer(magnet: Running, group: str) -> InboxConsumer:
    settings = magnet.container.settings
    return InboxConsumer(
        magnet.container.pool, servers=settings.kafka_bootstrap_servers or "", topic=settings.kafka_topic, group=group
    )


async def counted(magnet: Running, group: str) -> dict[str, int]:
    rows = await rows_of(magnet.container.pool, SQL["consumed"], {"consumer": group})
    return {type: events for type, events, _ in rows}


async def test_what_is_sent_is_what_the_asyncapi_document_says(magnet: Running):
    document = (await magnet.client.get("/asyncapi.json")).json()
    described = document["components"]["messages"]
    topic = document["channels"]["events"]["address"]
    assert topic == magnet.container.settings.kafka_topic
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=magnet.container.settings.kafka_bootstrap_servers, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        seen = 0
        async with asyncio.timeout(PATIENCE):
            async for record in reader:
                event = json.loads(record.value)
                payload = described[event["type"]]["payload"]
                jsonschema_rs.validate({**payload, "components": document["components"]}, event)
                [same] = (await magnet.get(f"/v1/events?after={event['position'] - 1}&limit=1&changes=false"))["items"]
                assert event["data"] == same
                seen += 1
                if seen == 2 * PROMPTS:
                    break
    finally:
        await reader.stop()


async def test_the_relay_is_seen_among_the_projections(magnet: Running):
    found = {each["name"]: each for each in (await magnet.get("/v1/projections"))["items"]}
    assert found["kafka_relay_v1"]["lag"] == 0
    assert (await magnet.call("POST", "/v1/projections/kafka_relay_v1/rebuild")).status_code == 404


async def test_events_are_taken_once_also_by_two_members_and_when_all_comes_again(magnet: Running):
    expected = Counter({"prompt.created": PROMPTS, "prompt.text_changed": PROMPTS})
    await asyncio.gather(*(consumer(magnet, "g").run(until_idle=True) for _ in range(2)))
    assert await counted(magnet, "g") == expected
    # Another group id at Kafka, the same inbox: everything is delivered again.
    again = consumer(magnet, f"other-{uuid4().hex}")
    again._group = "g"
    await again.run(until_idle=True)
    assert await counted(magnet, "g") == expected


async def test_a_broker_that_does_not_answer_yet_is_waited_for(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joining, "AGAIN", 0.05)
    settings = magnet.container.settings
    host, _, port = str(settings.kafka_bootstrap_servers).partition(",")[0].rpartition(":")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        free = reserved.getsockname()[1]
    late = InboxConsumer(
        magnet.container.pool, servers=f"127.0.0.1:{free}", topic=settings.kafka_topic, group=f"late-{uuid4().hex[:8]}"
    )
    with pytest.raises(KafkaConnectionError):
        await join(late._consumer, patient=False)
    taking = asyncio.create_task(late.run())

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(piped(reader, back), piped(there, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", free), asyncio.timeout(PATIENCE):
        while await counted(magnet, late._group) != {"prompt.created": PROMPTS, "prompt.text_changed": PROMPTS}:
            assert not taking.done()
            await asyncio.sleep(0.05)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


async def piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes from one connection to another until it ends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@pytest.mark.parametrize("failpoint", ["consume.before_commit", "consume.after_commit"])
async def test_a_consumer_that_is_killed_leaves_nothing_half_done(magnet: Running, failpoint: str):
    settings = magnet.container.settings
    environment = {
        **os.environ,
        "DATABASE_URL": magnet.database.app_dsn,
        "MIGRATION_DATABASE_URL": magnet.database.owner_dsn,
        "MAGNET_HOME": str(settings.home),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "MAGNET_KAFKA_TOPIC": settings.kafka_topic,
    }

    def consumed(**more: str) -> Done:
        arguments = ["consume", "--group", failpoint, "--until-idle", "--json"]
        return run(*arguments, environment={**environment, **more}, directory=settings.home)

    killed = await asyncio.to_thread(consumed, MAGNET_FAILPOINTS=f"{failpoint}=exit")
    assert killed.status == 137
    done = await asyncio.to_thread(consumed)
    assert done.status == 0, done.err
    assert {item["type"]: item["events"] for item in done.json["items"]} == {
        "prompt.created": PROMPTS,
        "prompt.text_changed": PROMPTS,
    }


def event(id: Any = ID, **changed: Any) -> bytes:
    """Return a message that is one of ours but for what is changed."""
    fields = {"specversion": "1.0", "id": id, "type": "prompt.created", "position": 1, **changed}
    fields.setdefault("data", {"position": fields["position"], "type": fields["type"]})
    return json.dumps(fields).encode()


FOREIGN: tuple[tuple[bytes | None, str], ...] = (
    (None, "no JSON"),
    (b"", "no JSON"),
    (b"hello", "no JSON"),
    (b"\xff\xfe", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    (b"[]", "no CloudEvent"),
    (b"{}", "no CloudEvent"),
    (event(specversion="0.3"), "no CloudEvent"),
    (b'{"specversion": "1.0"}', "type"),
    (event(type=5), "type"),
    (event(type="a"), "type"),
    (event(type="prompt.created\0"), "type"),
    (event(type="prompt.created\n"), "type"),
    (event(type="prompt." + "x" * 5000), "type"),
    (event(position=True), "position"),
    (event(position=1.0), "position"),
    (event(position="1"), "position"),
    (event(position=0), "position"),
    (event(position=-1), "position"),
    (event(position=2**63), "position"),
    (event(position=2**64 - 1), "position"),
    (event(position=10**400), "no JSON|position"),
    (event(data=None), "data"),
    (event(data={"position": 2, "type": "prompt.created"}), "data"),
    (event(data={"position": 1, "type": "prompt.published"}), "data"),
    (event(id=5), "id"),
    (event(id=None), "id"),
    (event(id="someone"), "id"),
)


def test_a_message_of_ours_is_read():
    assert read(event()) == Taken(id=UUID(ID), type="prompt.created", position=1)


@pytest.mark.parametrize(("value", "reason"), FOREIGN)
def test_a_message_of_somebody_else_is_told_apart(value: bytes | None, reason: str):
    with pytest.raises(NotOurs, match=reason):
        read(value)


async def test_foreign_messages_are_set_aside_with_their_reason_and_the_rest_flows(magnet: Running):
    settings = magnet.container.settings
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for value, _ in FOREIGN:
            await producer.send_and_wait(settings.kafka_topic, value, key=b"somebody")
    finally:
        await producer.stop()
    await consumer(magnet, "g").run(until_idle=True)
    assert sum((await counted(magnet, "g")).values()) == 2 * PROMPTS
    async with magnet.container.pool.connection() as connection:
        rows = await (
            await connection.execute("SELECT reason, message_value FROM magnet.foreign_messages WHERE consumer = 'g'")
        ).fetchall()
    kept: Any = {value for _, value in rows}
    assert len(rows) == len(FOREIGN) and kept == {value for value, _ in FOREIGN}
    assert all(reason for reason, _ in rows)
