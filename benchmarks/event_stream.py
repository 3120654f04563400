"""The log as server-sent events: how fast a consumer catches up, and how soon it sees what is committed."""

import http.client
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.event_store.log import EventLog
from benchmarks.applications import Running
from benchmarks.database import Databases
from benchmarks.growth import create_things, fill
from benchmarks.http import server
from benchmarks.measure import Scale, percentile
from benchmarks.settling import settled
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from domain.prompt import Prompt

EVENTS = 200_000
LIVE = 500
FOLLOWERS = 50
"""Consumers that follow at the same time while it is measured how soon one of them sees what happens."""


def event_stream(databases: Databases, scale: Scale) -> Iterator[Row]:
    """One server process; the consumers live in this one, and so does what commits."""
    events = scale.count(EVENTS)
    dsn = databases.magnet()
    with Running(dsn) as running, tempfile.TemporaryDirectory(prefix="magnet-bench-stream-") as place:
        running.run(create_things(running))
        running.run(fill(running, events))
        head = running.run(EventLog(running.parts.pool, running.parts.store.mapper).head())
        with server("magnet", dsn, Path(place)) as port:
            yield from measured(running, port, head, scale)


def measured(running: Running, port: int, head: int, scale: Scale) -> Iterator[Row]:
    """Measure on a server whose read models have caught up."""
    settled(port)
    rate = catch_up(port, head)
    count = scale.count(LIVE)
    alone = live(running, port, head, count)
    others = [follow(port, head + count) for _ in range(FOLLOWERS)]
    crowd = live(running, port, head + count, count, prefix="crowd")
    for other in others:
        other.close()
    yield Row(what=f"stream of the log, catch-up of {head:,} events", ours=rate, unit="events/s", floor=10_000)
    yield Row(what="commit to a stream's client, p95", ours=1000 * percentile(alone, 0.95), unit="ms", most=50)
    yield Row(
        what=f"the same with {FOLLOWERS} more followers", ours=1000 * percentile(crowd, 0.95), unit="ms", most=50,
        compared="one follower, ms", theirs=1000 * percentile(alone, 0.95),
    )  # fmt: skip


def follow(port: int, after: int) -> http.client.HTTPResponse:
    """Begin to follow; what is sent is taken by the system until somebody reads it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/v1/events/stream?after={after}")
    answer = connection.getresponse()
    assert answer.status == 200
    answer.readline()  # the comment that it begins with
    return answer


def catch_up(port: int, head: int) -> float:
    """Return events per second from the request to the last event."""
    began = time.perf_counter()
    answer = follow(port, 0)
    seen, tail = 0, b""
    while seen < head:
        data = tail + answer.read1(1 << 18)
        *lines, tail = data.split(b"\n")
        for line in lines:
            if line.startswith(b"id: "):
                seen += 1
                assert line == b"id: %d" % seen
    answer.close()
    return head / (time.perf_counter() - began)


def live(running: Running, port: int, after: int, count: int, prefix: str = "live") -> list[float]:
    """Return the seconds from the receipt of a command to its event at the client."""
    answer = follow(port, after)
    seen: dict[int, float] = {}

    def read() -> None:
        while len(seen) < count:
            line = answer.readline()
            if line.startswith(b"id: "):
                seen[int(line[4:])] = time.perf_counter()

    reading = threading.Thread(target=read)
    reading.start()
    latencies = []
    for number in range(count):
        command = CreateThing(kind=Prompt, name=f"{prefix}{number}", body={"text": "Hello"})
        receipt = running.run(running.parts.bus.dispatch(command, Context(actor=SYSTEM)))
        committed = time.perf_counter()
        while receipt.position not in seen:
            time.sleep(0.0002)
        latencies.append(max(0.0, seen[receipt.position] - committed))
    reading.join()
    answer.close()
    return latencies
