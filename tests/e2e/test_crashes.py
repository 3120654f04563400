"""Nothing acknowledged is lost: servers and workers are killed, PostgreSQL is restarted, writers go on."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrations import migrate
from adapters.postgres.postmaster import Postmaster
from api.database import APP_ROLE
from tests.support.commands import Command, start
from tests.support.homes import short_lived
from tests.support.patience import PATIENCE

WRITERS = 16
ROUNDS = 4
LONG_ROUNDS = 40


@dataclass
class Installation:
    """An installation of its own: a database server that may be broken, and the processes on it."""

    home: Path
    postgres: EmbeddedPostgres
    port: int
    processes: list[Command] = field(default_factory=list)

    def start(self, *arguments: str, failpoints: str = "") -> Command:
        environment = {
            **os.environ,
            "MAGNET_HOME": str(self.home),
            "DATABASE_URL": self.postgres.dsn(user=APP_ROLE),
            "MIGRATION_DATABASE_URL": self.postgres.dsn(),
            "MAGNET_PORT": str(self.port),
            "LOG_LEVEL": "ERROR",
            "MAGNET_FAILPOINTS": failpoints,
        }
        process = start(*arguments, environment=environment, directory=self.home, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def kill(self, process: Command) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        self.processes.remove(process)

    def restart_postgres_immediately(self) -> None:
        """Stop the database as `pg_ctl stop -m immediate` does, and start it again: it recovers from its log."""
        server = Postmaster.of(self.postgres.data)
        assert server is not None
        os.kill(server.pid, signal.SIGQUIT)
        while Postmaster.of(self.postgres.data) is not None:
            pass
        self.postgres.start()

    def terminate_backends(self) -> None:
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@contextmanager
def installation() -> Iterator[Installation]:
    with (
        tempfile.TemporaryDirectory(prefix="magnet-crash-", dir=short_lived()) as directory,
        socket.create_server(("127.0.0.1", 0)) as s,
    ):
        port = s.getsockname()[1]
        s.close()
        home = Path(directory)
        with EmbeddedPostgres(home) as postgres:
            migrate(postgres.dsn(), APP_ROLE, create_role=True)
            made = Installation(home=home, postgres=postgres, port=port)
            try:
                yield made
            finally:
                for process in list(made.processes):
                    made.kill(process)


@dataclass
class Writer:
    """Sends commands one after the other, each until it is acknowledged, and keeps the receipts."""

    number: int
    url: str
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def write(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client:
            await self.until_acknowledged(client, "POST", "/v1/prompts", {"name": f"w{self.number}", "text": "0"})
            count = 0
            while not stop.is_set():
                count += 1
                body = {"text": str(count)}
                # Half of the commands go to one prompt that all writers share.
                name = "shared" if count % 2 else f"w{self.number}"
                if name == "shared":
                    body = {"text": f"{self.number}:{count}"}
                await self.until_acknowledged(client, "PATCH", f"/v1/prompts/{name}", body)

    async def until_acknowledged(self, client: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
        key = f"{self.number}-{len(self.receipts)}"
        while True:
            try:
                answer = await client.request(method, path, json=body, headers={"Idempotency-Key": key})
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code in (200, 201):
                self.receipts[key] = answer.json()
                return
            # The shared prompt is made by the first writer; the others find it a moment later.
            assert answer.status_code in (404, 409, 503), answer.text
            await asyncio.sleep(0.05)


async def ready(url: str, revive: Callable[[], None] = lambda: None) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client, asyncio.timeout(PATIENCE):
        while True:
            revive()
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)


async def die_at_a_switch(made: Installation, url: str, moment: str) -> None:
    """Have the only worker build a read model anew, and die as it puts that in the place of the old one."""
    worker = made.start("worker", failpoints=f"switch.{moment}=exit")
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client, asyncio.timeout(PATIENCE):
        path, key = "/v1/projections/configurations_v1/rebuild", {"Idempotency-Key": str(uuid4())}
        while (await client.post(path, headers=key)).status_code != 202:
            await asyncio.sleep(0.05)
    assert await asyncio.to_thread(worker.wait, 60) == 137
    made.processes.remove(worker)


async def torment(made: Installation, rounds: int) -> list[Writer]:
    """Let writers write while everything under them is killed in turn; return what they were told."""
    url = f"http://127.0.0.1:{made.port}"
    server = made.start("serve", "--no-worker")
    workers = [made.start("worker"), made.start("worker")]
    await ready(url)
    writers = [Writer(number, url) for number in range(WRITERS)]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.post("/v1/prompts", json={"name": "shared", "text": "0"})).status_code == 201
    stop = asyncio.Event()
    writing = [asyncio.create_task(writer.write(stop)) for writer in writers]
    chance = random.Random(4711)

    def revive() -> None:
        nonlocal server
        if server.poll() is not None:  # it died at its failpoint
            made.processes.remove(server)
            server = made.start("serve", "--no-worker")

    held = hold_a_transaction_open(made)
    for number in range(rounds):
        await asyncio.sleep(1)
        made.kill(server)
        failpoint = ("", "append.before=exit@40", "append.after=exit@40", "")[number % 4]
        server = made.start("serve", "--no-worker", failpoints=failpoint)
        await asyncio.sleep(1)
        worker = workers.pop(chance.randrange(len(workers)))
        made.kill(worker)
        failpoint = ("", "project.before_commit=exit@3", "project.after_commit=exit@3")[number % 3]
        workers.append(made.start("worker", failpoints=failpoint))
        await asyncio.to_thread(made.terminate_backends)
        await asyncio.sleep(0.5)
        if number % 2:
            await asyncio.to_thread(made.restart_postgres_immediately)
        held.close()
        held = hold_a_transaction_open(made)
        await ready(url, revive)
        if number % 4 == 3:
            while workers:
                made.kill(workers.pop())
            await die_at_a_switch(made, url, ("before_commit", "after_commit")[number // 4 % 2])
            workers += [made.start("worker"), made.start("worker")]
    revive()
    stop.set()
    await asyncio.gather(*writing)
    held.close()
    for worker in workers:
        if worker.poll() is not None:
            made.processes.remove(worker)
            made.start("worker")
    return writers


def hold_a_transaction_open(made: Installation) -> "psycopg.Connection[Any]":
    """Begin to write elsewhere and do not end it: that holds up nobody."""
    held = psycopg.connect(made.postgres.dsn())
    held.execute("CREATE TEMP TABLE held AS SELECT 1")
    return held


def check(made: Installation, writers: list[Writer]) -> None:
    """Compare what the writers were told with what the log holds."""
    with psycopg.connect(made.postgres.dsn(), autocommit=True) as owner:
        events = owner.execute(
            "SELECT notification_id, originator_id, originator_version, idempotency_key, state "
            "FROM magnet.magnet_events ORDER BY notification_id"
        ).fetchall()
    positions = [position for position, *_ in events]
    assert positions == list(range(1, len(events) + 1)), "positions have gaps"
    versions: dict[Any, int] = {}
    for _, stream, version, _, _ in events:
        assert version == versions.get(stream, 0) + 1, "a stream has a gap"
        versions[stream] = version
    keyed = [key for _, _, _, key, _ in events if key is not None]
    assert len(keyed) == len(set(keyed)), "a command was recorded twice"
    found = {position: (str(stream), version, key) for position, stream, version, key, _ in events}
    acknowledged = 0
    for writer in writers:
        for key, receipt in writer.receipts.items():
            assert found[receipt["position"]] == (receipt["id"], receipt["version"], key), (
                "an acknowledged command is lost"
            )
            acknowledged += 1
    assert acknowledged > WRITERS


async def live_equals_rebuilt(made: Installation) -> None:
    url = f"http://127.0.0.1:{made.port}"
    await ready(url)
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client, asyncio.timeout(90):
        head = (await client.get("/health/ready")).json()["log"]["position"]

        async def settled() -> dict[str, Any]:
            while True:
                projections = (await client.get("/v1/projections")).json()["items"]
                if all(each["position"] == head and each["state"] == "live" for each in projections):
                    return {each["name"]: each["checksum"] for each in projections}
                await asyncio.sleep(0.1)

        live = await settled()
        assert "configurations_v1" in live
        assert (await client.get("/v1/dead-letters")).json()["items"] == []
        for name in live:
            assert (await client.post(f"/v1/projections/{name}/rebuild")).status_code == 202
        assert await settled() == live


async def test_nothing_acknowledged_is_lost_doubled_or_skipped(request: pytest.FixtureRequest):
    rounds = LONG_ROUNDS if request.config.getoption("--long") else ROUNDS
    with installation() as made:
        writers = await torment(made, rounds)
        check(made, writers)
        await live_equals_rebuilt(made)


async def test_a_full_disk_is_a_503_and_service_returns_by_itself():
    with installation() as made:
        made.start("serve", failpoints="append.before=disk_full")
        url = f"http://127.0.0.1:{made.port}"
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            body = {"name": "p", "text": "a"}
            refused = await client.post("/v1/prompts", json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_full")
            assert "retry-after" in refused.headers
            assert (await client.get("/v1/events")).json()["items"] == []
            assert (await client.post("/v1/prompts", json=body)).status_code == 201


async def test_a_lost_database_is_a_503_and_service_returns_by_itself():
    with installation() as made:
        made.start("serve")
        url = f"http://127.0.0.1:{made.port}"
        await ready(url)
        server = Postmaster.of(made.postgres.data)
        assert server is not None
        await asyncio.to_thread(server.stop)
        async with httpx.AsyncClient(base_url=url, timeout=40, trust_env=False) as client:
            refused = await client.get("/v1/prompts/p")
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            await asyncio.to_thread(made.postgres.start)
            await ready(url)
            assert (await client.post("/v1/prompts", json={"name": "p", "text": "a"})).status_code == 201
