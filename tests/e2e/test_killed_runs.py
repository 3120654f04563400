"""A server is killed while it runs prompts: what was told is on record, the rest is interrupted, and the sums are exact."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.test_prompt_runs import events_in
from tests.e2e.test_crashes import Installation, installation, ready
from tests.support.model_server import ModelServer, Received, Reply
from tests.support.patience import PATIENCE

RUNNERS = 6
HANGING = 4
FAILPOINTS = ("", "append.before=exit@60", "append.after=exit@60")
"""How the server dies in each round: by a signal, or at either side of a commit."""

COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning", "total")


def answering(request: Received) -> Reply:
    """Answer what is asked; some streams never end."""
    if "hang" in request.question:
        return Reply(text="one two three", stop_after=1, ending="hang")
    return Reply(text=f"echo of {request.question}")


@dataclass
class Runner:
    """Runs a prompt again and again, plain and streamed in turn, and keeps what it was told."""

    url: str
    number: int
    told: list[Mapping[str, Any]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client:
            count = 0
            while not stop.is_set():
                count += 1
                body = {"variables": {"name": f"{self.number} {count}"}, "stream": count % 2 == 0}
                try:
                    answer = await client.post("/v1/prompts/greet/run", json=body)
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                assert answer.status_code == 200, answer.text
                if body["stream"]:
                    type, data = events_in(answer.text)[-1]
                    assert type == "run.completed"
                    self.told.append(data)
                else:
                    self.told.append(answer.json())

    async def hang(self) -> None:
        """Run it in a way that never ends."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as client:
            body = {"variables": {"name": "hang"}, "stream": self.number % 2 == 0}
            with pytest.raises(httpx.HTTPError):
                await client.post("/v1/prompts/greet/run", json=body)


async def configure(url: str, server: ModelServer) -> None:
    """Make a model at the model server, and a prompt that is run by it."""
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        for path, body in (
            ("providers", {"name": "house", "type": "openai_compatible", "base_url": server.url}),
            (
                "models",
                {
                    "name": "small",
                    "provider": "house",
                    "model": "m",
                    "kind": "chat",
                    "default": True,
                    "prices": [{"input": "0.15", "output": "0.6"}],
                },
            ),
            ("prompts", {"name": "greet", "text": "Hello {{ name }}"}),
        ):
            assert (await client.post(f"/v1/{path}", json=body)).status_code == 201


async def all_ended(client: httpx.AsyncClient) -> list[Mapping[str, Any]]:
    """Wait until no run goes on, and return all of them; what is read next shows all that was recorded so far."""
    async with asyncio.timeout(PATIENCE):
        while True:
            recorded = (await client.get("/v1/event-types")).headers["Magnet-Position"]
            client.headers["Magnet-Min-Position"] = recorded
            runs: list[Mapping[str, Any]] = []
            cursor: str | None = ""
            while cursor is not None:
                following = {"cursor": cursor} if cursor else {}
                page = (await client.get("/v1/runs", params={"limit": 500, **following})).json()
                runs += page["items"]
                cursor = page["next_cursor"]
            if all(run["outcome"] != "running" for run in runs):
                return runs
            await asyncio.sleep(0.1)


def leases_run_out(made: Installation) -> None:
    """Let the time pass that a lease lasts."""
    with psycopg.connect(made.postgres.dsn(), autocommit=True) as owner:
        owner.execute("UPDATE magnet.leases SET until = until - interval '1 minute'")


async def a_round(made: Installation, server: ModelServer, failpoints: str) -> tuple[list[Runner], int]:
    """Run prompts until the server dies; return what was told, and how many runs hung by then."""
    url = f"http://127.0.0.1:{made.port}"
    process = made.start("serve", failpoints=failpoints)
    await ready(url)
    hanging = [asyncio.create_task(Runner(url, number).hang()) for number in range(HANGING)]
    before = len(server.requests)
    await server.until(lambda: len(server.requests) >= before + HANGING)
    stop = asyncio.Event()
    runners = [Runner(url, number) for number in range(RUNNERS)]
    running = [asyncio.create_task(runner.run(stop)) for runner in runners]
    if failpoints:
        await asyncio.to_thread(process.wait, 60)
        made.processes.remove(process)
    else:
        async with asyncio.timeout(PATIENCE):
            while sum(len(runner.told) for runner in runners) < 3 * RUNNERS:
                await asyncio.sleep(0.01)
        made.kill(process)
    stop.set()
    await asyncio.gather(*running, *hanging)
    await server.until(lambda: not server.open_connections)
    return runners, HANGING


def exact(rows: list[Mapping[str, Any]]) -> tuple[Decimal, dict[str, int]]:
    """Return the sums of cost and of tokens."""
    amount = sum((Decimal(row["cost"]["amount"]) for row in rows), Decimal(0))
    return amount, {name: sum(row["usage"][name] for row in rows) for name in COUNTERS}


async def test_sum_of_run_costs_is_the_usage_after_kills(request: pytest.FixtureRequest):
    with ModelServer(default=answering) as server, installation() as made:
        url = f"http://127.0.0.1:{made.port}"
        first = made.start("serve")
        await ready(url)
        await configure(url, server)
        made.kill(first)
        told: list[Mapping[str, Any]] = []
        hung = 0
        for failpoints in FAILPOINTS:
            runners, hanging = await a_round(made, server, failpoints)
            told += [answer for runner in runners for answer in runner.told]
            hung += hanging
        if not request.config.getoption("--long"):  # else it is waited for
            leases_run_out(made)
        made.start("serve")
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            runs = await all_ended(client)
            by_id = {run["id"]: run for run in runs}
            for answer in told:
                recorded = by_id[answer["run_id"]]
                assert recorded["outcome"] == "completed", "what was told is on record"
                assert (recorded["usage"], recorded["cost"]) == (answer["usage"], answer["cost"])
            interrupted = [run for run in runs if run["outcome"] == "interrupted"]
            assert len(interrupted) >= hung
            assert len(interrupted) <= hung + len(FAILPOINTS) * RUNNERS
            assert {run["outcome"] for run in runs} == {"completed", "interrupted"}
            assert all(run["cost"]["unknown"] for run in interrupted), "what they took is not known, and never zero"
            for query in ({}, {"by": "outcome"}, {"by": "target,principal", "bucket": "hour"}):
                rows = (await client.get("/v1/usage", params=query)).json()["items"]
                assert exact(rows) == exact(runs)
                assert sum(row["count"] for row in rows) == len(runs)
            by_model = (await client.get("/v1/usage", params={"by": "model"})).json()["items"]
            assert exact(by_model) == exact(runs)
            for run in runs[:: max(1, len(runs) // 40)]:
                steps = (await client.get(f"/v1/runs/{run['id']}")).json()["steps"]
                assert exact(steps) == exact([run])
