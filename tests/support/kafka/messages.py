"""What a topic holds, and how that compares with the log."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.patience import PATIENCE

Message = tuple[int, str, dict[str, Any]]


async def messages(servers: str, topic: str, partitions: int) -> list[Message]:
    """Return (partition, key, CloudEvent) of all that is in a topic, in the order of offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await written_to(servers, places)
        found = []
        async with asyncio.timeout(PATIENCE):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found += [(place.partition, r.key.decode(), json.loads(r.value)) for r in records]
        return found
    finally:
        await consumer.stop()


async def written_to(servers: str, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
    """Return the offsets after all that is written, also where a commit that was promised is still being marked."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(places)
        return ends
    finally:
        await consumer.stop()


@dataclass(frozen=True)
class Tally:
    """How many events of the log a topic lacks, has more than once, and has after a later one of the same thing."""

    lost: int
    doubled: int
    reordered: int


def tally(found: Sequence[Message], head: int) -> Tally:
    """Compare what a topic holds with a log that ends at a position."""
    counts = Counter(event["position"] for _, _, event in found)
    last: dict[str, tuple[int, int]] = {}
    reordered = 0
    for partition, key, event in found:
        where, before = last.get(key, (partition, 0))
        reordered += where != partition or event["position"] < before
        last[key] = (partition, max(before, event["position"]))
    lost = sum(1 for position in range(1, head + 1) if position not in counts)
    return Tally(lost=lost, doubled=sum(counts.values()) - len(counts), reordered=reordered)
