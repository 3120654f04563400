"""Row 10: what a long log and a long stream cost."""

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import psycopg
from eventsourcing.persistence import StoredEvent

from adapters.event_store.requests import GROUP_EVENTS, Request
from benchmarks.applications import Running, stock
from benchmarks.cycle import IN_FLIGHT, THINGS
from benchmarks.database import QUERIES, Databases
from benchmarks.measure import Scale, interleaved, task_rate
from benchmarks.recording import DEFINITION
from benchmarks.table import Row
from commands.configuration import ChangeThing, CreateThing
from commands.ports import SYSTEM, Context, IdempotencyKey
from domain.prompt import Prompt

MILLION = 1_000_000
STREAM = 10
"""Events of each stream that the log is filled with."""

LONG = 1099
"""Events of the long stream: as many after its newest snapshot as there can be."""


def long_log(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Commands per second in a log of a thousand events, and of a million."""
    events = scale.count(MILLION)
    short, long = databases.magnet(), databases.magnet()
    with Running(short) as small, Running(long) as big:
        for running in (small, big):
            running.run(create_things(running))
        big.run(fill(big, events))
        with psycopg.connect(databases.owner_of(long), autocommit=True) as connection:
            for settling in ("analyze", "checkpoint"):
                connection.execute(QUERIES[settling])
        changed, changed_big = changing(small), changing(big)
        rates = interleaved(
            scale,
            lambda: big.run(task_rate(IN_FLIGHT, scale.seconds, changed_big)),
            lambda: small.run(task_rate(IN_FLIGHT, scale.seconds, changed)),
        )
    yield Row(
        what=f"commands in a log of {events:,} events", ours=rates[0], unit="/s",
        compared=f"in one that begins with {THINGS:,}", theirs=rates[1], least=0.9,
    )  # fmt: skip


def long_stream(databases: Databases, scale: Scale) -> Iterator[Row]:
    """How long it takes to load an aggregate with many events, nothing cached."""
    library = stock(databases.empty())
    prompt = Prompt.create(name="long", definition=DEFINITION)
    for number in range(LONG - 1):
        prompt.change(prompt.definition | {"text": f"Answer in {number} words."})
    library.save(prompt)
    with Running(databases.magnet()) as running:
        running.run(make_long(running))

        async def load() -> float:
            began = time.perf_counter()
            loaded = await running.parts.store.load(prompt.id)
            assert loaded is not None
            assert loaded[0].version == LONG
            return time.perf_counter() - began

        def theirs() -> float:
            began = time.perf_counter()
            library.repository.get(prompt.id)
            return time.perf_counter() - began

        times = [(running.run(load()), theirs()) for _ in range(max(20, scale.count(200)))]
    library.close()
    yield Row(
        what=f"loading an aggregate of {LONG:,} events", unit="ms", most=2,
        ours=1000 * statistics.median(ours for ours, _ in times),
        compared="library, no snapshots", theirs=1000 * statistics.median(theirs for _, theirs in times),
    )  # fmt: skip


async def create_things(running: Running) -> None:
    """Make the things that commands then change."""
    for number in range(THINGS):
        command = CreateThing(kind=Prompt, name=f"p{number}", body=DEFINITION)
        await running.parts.bus.dispatch(command, Context(actor=SYSTEM))


async def make_long(running: Running) -> None:
    """Make one prompt and change it until it has its length."""
    dispatch, context = running.parts.bus.dispatch, Context(actor=SYSTEM)
    await dispatch(CreateThing(kind=Prompt, name="long", body=DEFINITION), context)
    for number in range(LONG - 1):
        patch = {"text": f"Answer in {number} words."}
        await dispatch(ChangeThing(kind=Prompt, id=Prompt.create_id("long"), patch=patch), context)
    await running.parts.store.close()


def changing(running: Running) -> Callable[[int], Awaitable[object]]:
    """Return what changes one of the things, with an idempotency key."""
    asked = itertools.count(1)

    async def change(_: int) -> None:
        number = next(asked)
        key = IdempotencyKey(key=f"k{number}", scope=b"scope %d" % number, body=b"body")
        await running.parts.bus.dispatch(
            ChangeThing(
                kind=Prompt, id=Prompt.create_id(f"p{number % THINGS}"), patch={"text": f"Answer in {number} words."}
            ),
            Context(actor=SYSTEM, idempotency=key),
        )

    return change


async def fill(running: Running, events: int) -> None:
    """Append that many events of prompts in the largest groups there are, 200 streams mixed in each."""
    prompt = Prompt.create(name="filler", definition=DEFINITION)
    for number in range(STREAM - 1):
        prompt.change(prompt.definition | {"text": f"Answer in {number} words."})
    to_stored = running.parts.store.mapper.to_stored_event
    changes = [to_stored(event) for event in prompt.collect_events()][1:]
    names = itertools.count()
    for _ in range(events // GROUP_EVENTS):
        new = [Prompt(name=f"filler{next(names)}", definition=prompt.definition) for _ in range(GROUP_EVENTS // STREAM)]
        group = [to_stored(event) for each in new for event in each.collect_events()]
        for change in changes:
            group += [StoredEvent(each.id, change.originator_version, change.topic, change.state) for each in new]
        await running.parts.appender.append(Request(events=group))
