"""Rows 4, 5, 6 and 9: small requests over real sockets, reading one's own write, memory and start."""

import http.client
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from psycopg.conninfo import conninfo_to_dict

from benchmarks.database import Databases
from benchmarks.http_load import load, request
from benchmarks.measure import Scale, interleaved, megabytes
from benchmarks.table import Row

CONNECTIONS = 32
THINGS = 100


@contextmanager
def server(what: str, dsn: str, home: Path) -> Iterator[int]:
    """Run a server process while the block lasts; give its port."""
    with served(what, dsn, home) as (port, _):
        yield port


@contextmanager
def served(what: str, dsn: str, home: Path) -> Iterator[tuple[int, int]]:
    """Run a server process while the block lasts; give its port, and the id of the process."""
    command = [sys.executable, "-m", "benchmarks.http_servers", what, dsn, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def post(prefix: str) -> Callable[[int], bytes]:
    """Return what makes the request that creates the n-th prompt."""
    return lambda number: request(
        "POST", "/v1/prompts", b'{"name":"%b%d","text":"Hello, {{ name }}"}' % (prefix.encode(), number)
    )


def small_requests(databases: Databases, scale: Scale) -> Iterator[Row]:
    """POST of a small command and GET of one resource, 32 connections, one server process each."""
    with (
        tempfile.TemporaryDirectory(prefix="magnet-bench-http-") as place,
        server("magnet", databases.magnet(), Path(place)) as magnet,
        server("plain", databases.empty(), Path(place)) as plain,
        server("bare", databases.empty(), Path(place)) as bare,
    ):

        def posting(port: int) -> Callable[[], float]:
            return lambda: load(port, scale.seconds, CONNECTIONS, post(f"p{uuid4().hex[:8]}-"))

        ours, plainly, barely = interleaved(scale, posting(magnet), posting(plain), posting(bare))
        what = f"POST of a small command, {CONNECTIONS} connections"
        yield Row(what=what, ours=ours, unit="/s", compared="def route, stock save()", theirs=plainly, least=4)
        yield Row(what=what, ours=ours, unit="/s", compared="bare async route, one INSERT", theirs=barely, least=0.6)
        paths = [created(magnet, n) for n in range(THINGS)]
        bares = [created(bare, n) for n in range(THINGS)]

        def getting(port: int, ids: list[str]) -> Callable[[], float]:
            sent = [request("GET", f"/v1/prompts/{id}") for id in ids]
            return lambda: load(port, scale.seconds, CONNECTIONS, lambda number: sent[number % THINGS])

        ours, theirs = interleaved(scale, getting(magnet, paths), getting(bare, bares))
        yield Row(
            what=f"GET of one resource, {CONNECTIONS} connections", ours=ours, unit="/s",
            compared="bare route, one SELECT", theirs=theirs, least=0.7,
        )  # fmt: skip
        yield own_write(magnet, databases, scale)


def created(port: int, number: int) -> str:
    """Create something and return its id; Magnet's is there to be read when this returns."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"name": f"g{uuid4().hex[:8]}{number}", "text": "Hello, {{ name }}"})
    connection.request("POST", "/v1/prompts", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    if "position" in answer:
        connection.request(
            "GET", f"/v1/prompts/{answer['id']}", headers={"Magnet-Min-Position": str(answer["position"])}
        )
        connection.getresponse().read()
    connection.close()
    return str(answer["id"])


def own_write(port: int, databases: Databases, scale: Scale) -> Row:
    """What a query that waits for the command before it costs more than the command: the 95th percentile."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    extra = []
    for number in range(scale.count(400)):
        body = json.dumps({"name": f"o{uuid4().hex[:8]}{number}", "text": "Hello"})
        connection.request("POST", "/v1/prompts", body, {"Content-Type": "application/json"})
        receipt = json.loads(connection.getresponse().read())
        began = time.perf_counter()
        path = f"/v1/prompts/{receipt['id']}"
        connection.request("GET", path, headers={"Magnet-Min-Position": str(receipt["position"])})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        extra.append(time.perf_counter() - began)
    connection.close()
    return Row(
        what="command, then query that waits for it: extra, p95", ours=percentile(extra) * 1000, unit="ms",
        compared="stock wait(), p95 ms", theirs=stock_wait(databases.empty(), scale) * 1000, most=20,
    )  # fmt: skip


def stock_wait(dsn: str, scale: Scale) -> float:
    """Return the 95th percentile of the library's wait() for a position that is tracked 2 ms later."""
    parts = conninfo_to_dict(dsn)
    datastore = PostgresDatastore(
        dbname=str(parts["dbname"]), host=str(parts["host"]), port=str(parts["port"]), user=str(parts["user"]),
        password="none is asked for", pool_size=2,
    )  # fmt: skip
    recorder = PostgresTrackingRecorder(datastore)
    recorder.create_table()
    waited = []
    for position in range(1, scale.count(40) + 1):
        timer = threading.Timer(0.002, recorder.insert_tracking, [Tracking("magnet", position)])
        began = time.perf_counter()
        timer.start()
        recorder.wait("magnet", position)
        waited.append(time.perf_counter() - began)
        timer.join()
    datastore.close()
    return percentile(waited)


def percentile(figures: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(figures, n=20)[-1] if len(figures) > 1 else figures[0]


def memory_and_start(_: Databases, scale: Scale) -> Iterator[Row]:
    """A server as a person starts it: on an empty home, and again on the same one."""
    with tempfile.TemporaryDirectory(prefix="magnet-bench-home-") as home:
        empty, _ = started(home)
        again = [started(home) for _ in range(max(2, scale.rounds))]
    yield Row(what="start to ready, empty MAGNET_HOME", ours=empty, unit="s", most=10)
    yield Row(what="start to ready, existing database", ours=statistics.median(s for s, _ in again), unit="s", most=3)
    yield Row(
        what="memory of the idle server, besides PostgreSQL", ours=statistics.median(m for _, m in again),
        unit="MB", most=150,
    )  # fmt: skip


def started(home: str) -> tuple[float, float]:
    """Start a server and stop it; return the seconds until it was ready, and its memory (PSS) in MB."""
    environment = {**os.environ, "MAGNET_HOME": home, "MAGNET_PORT": "0", "LOG_LEVEL": "ERROR"}
    began = time.perf_counter()
    command = [sys.executable, "-m", "api.cli", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            port = int(address.rpartition(":")[2])
            for _ in itertools.count():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    break
            seconds = time.perf_counter() - began
            memory = megabytes(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
    return seconds, memory
