"""The reference consumer: takes each event of the topic once, whatever is delivered twice.

What it does for an event (it counts types) and the note that it did (the inbox) are one transaction; the
group's offset is committed after it. Killed in between, the same messages come again and find their ids in
the inbox. A message that is none of ours is set aside with the reason, and the rest goes on.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from adapters.failpoints import failpoint
from adapters.kafka.joining import join
from adapters.postgres import sql

SQL = sql.load("adapters.kafka", "consumer.sql")
BATCH = 1000
WAIT = 500
"""Milliseconds that a batch is waited for."""

TYPE = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
END = 2**62
"""No log has so many events."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a consumer reads of a message."""

    id: UUID
    type: str
    position: int
    hash: str | None = None


class NotOurs(Exception):
    """The message is no CloudEvent of an event of ours; the text says what is wrong."""


def read(value: bytes | None) -> Taken:
    """Return what a message says, or raise NotOurs."""
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise NotOurs("it is no JSON") from None
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise NotOurs("it is no CloudEvent 1.0")
    type, position, data = event.get("type"), event.get("position"), event.get("data")
    if not isinstance(type, str) or not TYPE.fullmatch(type):
        raise NotOurs("its type is none of events")
    if not isinstance(position, int) or isinstance(position, bool) or not 0 < position < END:
        raise NotOurs("its position is none of a log")
    if not isinstance(data, dict) or data.get("position") != position or data.get("type") != type:
        raise NotOurs("its data is no event, or another one")
    try:
        return Taken(id=UUID(event.get("id")), type=type, position=position, hash=data.get("hash"))
    except (ValueError, TypeError, AttributeError):
        raise NotOurs("its id is no UUID") from None


class InboxConsumer:
    """One member of a consumer group; `consumer` is the group's name."""

    def __init__(self, pool: AsyncConnectionPool, *, servers: str, topic: str, group: str) -> None:
        self._pool = pool
        self._group = group
        self._consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=servers,
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def run(self, *, until_idle: bool = False) -> None:
        """Take what comes; with `until_idle`, end when there is nothing more, or no broker (KafkaConnectionError)."""
        try:
            await join(self._consumer, patient=not until_idle)
            while True:
                batches = await self._consumer.getmany(timeout_ms=WAIT, max_records=BATCH)
                records = [record for batch in batches.values() for record in batch]
                if records:
                    await self.take(records)
                    with contextlib.suppress(KafkaError):
                        # Partitions that went to another member are taken there; the inbox tells what is done.
                        await self._consumer.commit()
                elif until_idle and await self._is_at_end():
                    return
        finally:
            await asyncio.shield(self._consumer.stop())

    async def take(self, records: Sequence[Any]) -> None:
        """Take messages: those that are new have their effect, and both are noted together."""
        async with self._pool.connection() as connection, connection.transaction():
            events: dict[UUID, Taken] = {}
            for record in records:
                try:
                    event = read(record.value)
                    events[event.id] = event
                except NotOurs as error:
                    await set_aside(connection, self._group, record, str(error))
            cursor = await connection.execute(SQL["take"], {"consumer": self._group, "ids": list(events)})
            new = [events[id] for (id,) in await cursor.fetchall()]
            await self._count(connection, new)
            failpoint("consume.before_commit")
        failpoint("consume.after_commit")

    async def _count(self, connection: AsyncConnection[Any], events: Sequence[Taken]) -> None:
        counted = Counter(event.type for event in events)
        last = {event.type: max(e.position for e in events if e.type == event.type) for event in events}
        values = {
            "consumer": self._group,
            "types": list(counted),
            "events": list(counted.values()),
            "positions": [last[type] for type in counted],
        }
        await connection.execute(SQL["count"], values)

    async def _is_at_end(self) -> bool:
        places = self._consumer.assignment()
        ends = await self._consumer.end_offsets(list(places))
        return bool(places) and all([await self._consumer.position(place) >= ends[place] for place in places])


async def set_aside(connection: AsyncConnection[Any], consumer: str, record: Any, reason: str) -> None:
    """Keep a message that is none of ours, with the reason why it is not taken."""
    await connection.execute(
        SQL["set_aside"],
        {
            "consumer": consumer,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "reason": reason,
            "key": record.key,
            "value": record.value,
        },
    )
