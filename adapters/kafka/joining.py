"""Connecting to Kafka to read from it, also while no broker answers."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

AGAIN = 5.0
"""Seconds between two tries."""

log = structlog.get_logger(__name__)


async def join(consumer: AIOKafkaConsumer, *, patient: bool = True) -> None:
    """Connect a consumer; while no broker answers, wait and say so, or raise KafkaConnectionError where not patient."""
    told = False
    while True:
        try:
            await consumer.start()
        except KafkaConnectionError:
            if not patient:
                raise
            if not told:
                log.warning("kafka_awaited", setting="KAFKA_BOOTSTRAP_SERVERS")
                told = True
            await asyncio.sleep(AGAIN)
        else:
            return
