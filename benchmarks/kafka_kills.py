"""The relay to Kafka while broker and relays are killed in turn: what is lost, doubled or out of order."""

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.applications import Running
from benchmarks.database import Databases
from benchmarks.measure import Scale
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from domain.prompt import Prompt
from tests.support.kafka import some_broker
from tests.support.kafka.kills import Relays, killed

KILLS = 50
MORE = "MAGNET_BENCH_KILLS"
"""Variable that asks for another number of kills, such as 1000."""

AT_ONCE = 20
PATIENCE = 300.0


def kafka_kills(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Kill so often, and count what the topic lacks or has too often in the end."""
    kills = int(os.environ.get(MORE, scale.count(KILLS)))
    dsn = databases.magnet()
    with tempfile.TemporaryDirectory(prefix="magnet-kills-") as place, some_broker(Path(place) / "kafka") as broker:
        if not broker.durable:
            sys.stderr.write(f"  not run: {broker.name} keeps nothing when it is killed\n")
            return
        owner = databases.owner_of(dsn)
        relays = Relays(broker, app_dsn=dsn, owner_dsn=owner, home=Path(place))
        with Running(dsn) as running:
            numbers = itertools.count()

            async def write() -> int:
                for _ in range(AT_ONCE):
                    command = CreateThing(kind=Prompt, name=f"k{next(numbers)}", body={"text": "Hello"})
                    receipt = await running.parts.bus.dispatch(command, Context(actor=SYSTEM))
                return receipt.position

            found = running.run(killed(broker, relays, kills, owner_dsn=owner, write=write, patience=PATIENCE))
    yield Row(
        what=f"relay to Kafka, {kills} kills of broker and relay: events lost, doubled or out of order",
        ours=found.lost + found.doubled + found.reordered, unit="events", most=1,
    )  # fmt: skip
