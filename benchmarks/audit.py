"""Asking the log: the first page of each filter over a million events, and what its indexes cost."""

import asyncio
import http.client
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.event_store.requests import Metadata, Request
from benchmarks.applications import Running
from benchmarks.database import QUERIES, Databases
from benchmarks.http import server
from benchmarks.measure import Scale, interleaved, percentile, task_rate
from benchmarks.recording import DEFINITION, IN_FLIGHT, new_prompt
from benchmarks.settling import settled
from benchmarks.table import Row
from domain.prompt import Prompt
from projections.recorded import LogEntry

MILLION = 1_000_000
STREAM = 10
"""Events of each prompt, which one command each recorded."""

ACTORS = [("api_key", str(uuid4()), f"person{number}") for number in range(50)]
WORDS = ("shorter answers", "a typing error", "as support asked", "colder temperature", "the new model", "taken back")
ASKED = 100
"""Requests of each filter."""


def audit(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Every filter through HTTP, field differences included; then appends with and without the indexes."""
    events = scale.count(MILLION)
    dsn = databases.magnet()
    with Running(dsn) as running, tempfile.TemporaryDirectory(prefix="magnet-bench-audit-") as place:
        running.run(fill(running, events))
        with psycopg.connect(databases.owner_of(dsn), autocommit=True) as connection:
            for settling in ("analyze", "checkpoint"):
                connection.execute(QUERIES[settling])
        log = EventLog(running.parts.pool, running.parts.store.mapper)
        some = [running.run(log.read(after, 1, LogFilter()))[0] for after in range(0, events - 1, events // ASKED)]
        with server("magnet", dsn, Path(place)) as port:
            settled(port)
            times = {name: asked(port, queries) for name, queries in filters(some).items()}
    for name, taken in times.items():
        what = f"audit by {name}, first page of {events:,} events, p95"
        yield Row(what=what, ours=1000 * percentile(taken, 0.95), unit="ms", most=50)
    yield from indexes(databases, scale)


def filters(some: list[LogEntry]) -> Mapping[str, list[Mapping[str, Any]]]:
    """Return the queries of each filter, for what stands in the log here and there."""
    chance = random.Random(5)
    return {
        "type": [{"type": entry.topic} for entry in some],
        "rare type": [{"type": "prompt.archived"} for _ in some],
        "kind": [{"kind": "prompt"} for _ in some],
        "kind that is not there": [{"kind": "model"} for _ in some],
        "aggregate": [{"aggregate": str(entry.stream)} for entry in some],
        "actor's name": [{"actor": entry.actor_name} for entry in some],
        "actor's id": [{"actor": entry.actor_id} for entry in some],
        "time": [{"since": entry.recorded_at.isoformat().replace("+00:00", "Z")} for entry in some],
        "end of time": [{"until": entry.recorded_at.isoformat().replace("+00:00", "Z")} for entry in some],
        "request": [{"correlation": entry.correlation_id} for entry in some],
        "frequent reason": [{"reason": chance.choice(WORDS).upper()} for _ in some],
        "rare reason": [{"reason": str(entry.reason).rpartition(" ")[2]} for entry in some],
        "reason that is not there": [{"reason": f"reason {uuid4()}"} for _ in some],
    }


def asked(port: int, queries: list[Mapping[str, Any]]) -> list[float]:
    """Return the seconds of each request, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    for query in queries:
        began = time.perf_counter()
        connection.request("GET", f"/v1/events?{urlencode(query)}")
        answer = connection.getresponse()
        body = answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200, body
    connection.close()
    return times


async def fill(running: Running, events: int) -> None:
    """Append prompts that fifty people changed, each for a reason of its own."""
    chance = random.Random(4)
    prompt = Prompt.create(name="filler", definition=DEFINITION)
    for number in range(STREAM - 2):
        prompt.change(prompt.definition | {"text": f"Answer in {number} words."})
    prompt.publish(version=prompt.version, label="live", definition=prompt.definition)
    to_stored = running.parts.store.mapper.to_stored_event
    changes = [to_stored(event) for event in prompt.collect_events()][1:]
    numbers = iter(range(events // STREAM))

    async def write() -> None:
        for number in numbers:
            new = Prompt(name=f"filler{number}", definition=prompt.definition)
            stored = [to_stored(event) for event in new.collect_events()]
            stored += [StoredEvent(new.id, change.originator_version, change.topic, change.state) for change in changes]
            type_, id, name = chance.choice(ACTORS)
            reason = f"{chance.choice(WORDS)}, see ticket {number:06}"
            metadata = Metadata(
                actor_type=type_, actor_id=id, actor_name=name, credential=id, correlation_id=uuid4().hex, reason=reason
            )
            await running.parts.appender.append(Request(events=stored, metadata=metadata))

    await asyncio.gather(*(write() for _ in range(200)))


def indexes(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Appends of commands without a reason, by an API key, with the indexes that the filters need and without."""
    dsn, bare = databases.magnet(), databases.magnet()
    with psycopg.connect(databases.owner_of(bare), autocommit=True) as connection:
        connection.execute(QUERIES["drop_filters"])
    with Running(dsn) as running, Running(bare) as without:
        rates = interleaved(
            scale,
            lambda: running.run(task_rate(IN_FLIGHT, scale.seconds, appends(running))),
            lambda: without.run(task_rate(IN_FLIGHT, scale.seconds, appends(without))),
        )
    yield Row(
        what="appends with the indexes of the filters", ours=rates[0], unit="/s",
        compared="without them", theirs=rates[1], least=0.8,
    )  # fmt: skip


def appends(running: Running) -> Any:
    """Return what records one new prompt."""
    to_stored = running.parts.store.mapper.to_stored_event

    async def append(number: int) -> None:
        type_, id, name = ACTORS[number % len(ACTORS)]
        metadata = Metadata(actor_type=type_, actor_id=id, actor_name=name, credential=id, correlation_id=uuid4().hex)
        events = [to_stored(event) for event in new_prompt().collect_events()]
        await running.parts.appender.append(Request(events=events, metadata=metadata))

    return append
