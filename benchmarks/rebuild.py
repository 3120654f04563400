"""All read models built anew from a million events, in a server that goes on answering: how long, how much memory."""

import http.client
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg

from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import GROUP_EVENTS, Request
from benchmarks.applications import Running
from benchmarks.database import QUERIES, Databases
from benchmarks.growth import fill
from benchmarks.http import served
from benchmarks.measure import Scale, percentile
from benchmarks.settling import settled
from benchmarks.table import Row
from domain import AGGREGATES
from domain.run import End, Run

MILLION = 1_000_000
PROMPTS = 0.6
"""The share of events that are of prompts; the others are of runs, begun and ended."""

BETWEEN = 0.005
"""Seconds between two requests of the person who works meanwhile."""

LOOK_EVERY = 0.1
MEBIBYTE = 1 << 20


class NothingSaid:
    """Stands where texts are sealed: the runs here have none."""

    def seal(self, subject: str, plaintext: str, aad: bytes, period: str | None = None) -> dict[str, Any]:
        """Refuse."""
        raise AssertionError("no run of this log says anything")

    def unseal(self, sealed: Mapping[str, Any], aad: bytes) -> str:
        """Refuse."""
        raise AssertionError("no run of this log says anything")


class Person(threading.Thread):
    """Changes a prompt and reads it back, again and again; keeps how long each pair of requests took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._name = f"live-{uuid4().hex[:8]}"
        self._over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        self._ask(connection, "POST", "/v1/prompts", {"name": self._name, "text": "Hello"})
        for number in itertools.count():
            if self._over.wait(BETWEEN):
                break
            began = time.perf_counter()
            position = self._ask(connection, "PATCH", f"/v1/prompts/{self._name}", {"text": f"Hello {number}"})
            self._ask(connection, "GET", f"/v1/prompts/{self._name}", None, position)
            self.seconds.append(time.perf_counter() - began)
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object, position: str = "0"
    ) -> str:
        headers = {"Content-Type": "application/json", "Magnet-Min-Position": position}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {told!r}")
        return answer.headers["Magnet-Position"]

    def end(self) -> list[float]:
        """Stop, and return the seconds of all pairs."""
        self._over.set()
        self.join()
        if not self.seconds:
            raise RuntimeError("Nothing was answered.")
        return self.seconds


def rebuilding(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Ask for every read model to be built anew, and wait for all."""
    events = scale.count(MILLION)
    dsn = databases.magnet()
    with Running(dsn) as running:
        running.run(fill(running, int(events * PROMPTS)))
        running.run(fill_with_runs(running, int(events * (1 - PROMPTS))))
    with psycopg.connect(databases.owner_of(dsn), autocommit=True) as connection:
        for settling in ("analyze", "checkpoint"):
            connection.execute(QUERIES[settling])
    with (
        tempfile.TemporaryDirectory(prefix="magnet-bench-rebuild-") as place,
        served("magnet", dsn, Path(place)) as (port, pid),
    ):
        settled(port)
        before = Person(port)
        before.start()
        time.sleep(max(1.0, 5 * scale.size))
        calm = before.end()
        meanwhile = Person(port)
        meanwhile.start()
        seconds, memory = rebuild_all(port, pid)
        busy = meanwhile.end()
    what = f"rebuild of all read models, {events:,} events"
    yield Row(what=f"{what}", ours=seconds, unit="s", most=60)
    yield Row(
        what=f"{what}: the memory (RSS) of the server and of what builds, at most", ours=memory, unit="MiB", most=300
    )
    yield Row(
        what=f"{what}: a change and its reading meanwhile, p95", ours=1000 * percentile(busy, 0.95), unit="ms",
        compared="before, ms", theirs=1000 * percentile(calm, 0.95),
        most=2000 * percentile(calm, 0.95),
    )  # fmt: skip


def rebuild_all(port: int, pid: int) -> tuple[float, float]:
    """Return the seconds from the first request to the last switch, and the most memory meanwhile."""
    process, most = psutil.Process(pid), 0.0
    began = time.perf_counter()
    names = [each["name"] for each in asked(port, "GET", "/v1/projections")["items"]]
    for name in names:
        asked(port, "POST", f"/v1/projections/{name}/rebuild")
    while any(each["state"] == "rebuilding" for each in asked(port, "GET", "/v1/projections")["items"]):
        most = max(most, sum(rss(each) for each in (process, *process.children())))
        time.sleep(LOOK_EVERY)
    return time.perf_counter() - began, most


def rss(process: psutil.Process) -> float:
    """Return the memory of a process in MiB; 0 where it has just ended."""
    try:
        return float(process.memory_info().rss) / MEBIBYTE
    except psutil.NoSuchProcess:
        return 0.0


def asked(port: int, method: str, path: str) -> dict[str, list[dict[str, str]]]:
    """Return what is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path)
    answer = connection.getresponse()
    told: dict[str, list[dict[str, str]]] = json.loads(answer.read())
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {told}")
    return told


async def fill_with_runs(running: Running, events: int) -> None:
    """Append runs of a prompt that began and ended, nothing of what was said among it."""
    to_stored = EventMapper(AGGREGATES, NothingSaid()).to_stored_event
    target = {"kind": "prompt", "id": str(uuid4()), "name": "filler", "version": 1, "variant": None}
    principal = {"type": "api_key", "id": str(uuid4()), "name": "somebody"}
    end = End(
        outcome="completed", error=None, duration_ms=12.5, first_token_ms=3.25, versions={"prompt": target}, steps=[],
        output=None,
    )  # fmt: skip
    for _ in range(events // GROUP_EVENTS):
        group = []
        for _ in range(GROUP_EVENTS // 2):
            run = Run.start(
                id=uuid4(), kind="prompt", target=target, principal=principal, subject=None, channel="api",
                attributes={}, input=None,
            )  # fmt: skip
            run.finish(end)
            group += [to_stored(event) for event in run.collect_events()]
        await running.parts.appender.append(Request(events=group))
