"""Broker and relay are killed in turn while commands go on; what the topic holds in the end is counted."""

import asyncio
import itertools
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import psycopg

from adapters.kafka.relay import NAME
from tests.support.commands import Command, start
from tests.support.kafka.broker import Broker
from tests.support.kafka.messages import Tally, messages, tally

PARTITIONS = 3
LOOK_EVERY = 0.05
POSITION = "SELECT position FROM magnet_read.tracking WHERE projection = %s"


class Relays:
    """`magnet worker` as a process that relays; begun anew after each kill."""

    def __init__(self, broker: Broker, *, app_dsn: str, owner_dsn: str, home: Path) -> None:
        self.topic = f"magnet.events.{uuid4().hex[:8]}"
        self._home = home
        self._environment = {
            **os.environ,
            "MAGNET_HOME": str(home),
            "DATABASE_URL": app_dsn,
            "MIGRATION_DATABASE_URL": owner_dsn,
            "KAFKA_BOOTSTRAP_SERVERS": broker.servers,
            "MAGNET_KAFKA_TOPIC": self.topic,
            "MAGNET_KAFKA_PARTITIONS": str(PARTITIONS),
            "MAGNET_KAFKA_TRANSACTIONS": str(broker.transactions),
            "LOG_LEVEL": "ERROR",
        }
        self._running: Command | None = None

    def begin(self) -> None:
        """Start one."""
        self._running = start("worker", environment=self._environment, directory=self._home, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill it at once."""
        assert self._running is not None
        self._running.kill()
        self._running.wait(20)


async def killed(
    broker: Broker, relays: Relays, kills: int, *, owner_dsn: str, write: Callable[[], Awaitable[int]], patience: float
) -> Tally:
    """Kill so often, broker and relay in turn, with commands before and after each kill, and count.

    `write` carries some commands out and returns the head of the log.
    """
    await asyncio.to_thread(relays.begin)
    try:
        head = await write()
        await _relayed(owner_dsn, head, patience)
        for victim in itertools.islice(itertools.cycle((broker, relays)), kills):
            await write()
            await asyncio.to_thread(victim.kill)
            head = await write()
            await asyncio.to_thread(broker.start if victim is broker else relays.begin)
        await _relayed(owner_dsn, head, patience)
        return tally(await messages(broker.servers, relays.topic, PARTITIONS), head)
    finally:
        await asyncio.to_thread(relays.kill)


async def _relayed(dsn: str, head: int, patience: float) -> None:
    async with asyncio.timeout(patience), await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while True:
            row = await (await connection.execute(POSITION, [NAME])).fetchone()
            if row is not None and row[0] >= head:
                return
            await asyncio.sleep(LOOK_EVERY)
