"""Every fault of a provider, met by everything that calls models, plain and streamed, all at once on one server.

Exactly one end is told, a run is on record with the right outcome, steps sum up to the run, runs to the usage,
and nothing is left running.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_prompt_runs import events_in
from tests.support.faults import OUTCOMES, timeouts
from tests.support.library import library
from tests.support.model_server import FAULTS, ModelServer
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving

RETRIES = 1
PRICES = [{"input": "3", "output": "7"}]
STATUS = {
    "model_limit_reached": 429,
    "model_call_timed_out": 504,
}
"""Codes of failures that are not told by 502."""

COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning", "total")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault that is met in one of the two forms."""

    fault: str
    stream: bool

    @property
    def name(self) -> str:
        """What its provider, model and tools are called."""
        return f"{self.fault.replace('_', '-')}-{'stream' if self.stream else 'plain'}"


CASES = [Case(fault=fault, stream=stream) for fault in FAULTS for stream in (False, True)]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came back: the code of a failure or None, and all text that was told."""

    code: str | None
    text: str
    run: str | None


@pytest.fixture
async def called(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Running, ModelServer]]:
    """Magnet with a model of its own for each case, so that no case meets the breaker of another."""
    with ModelServer() as server:
        async with serving(database, tmp_path) as magnet:
            for case in CASES:
                provider = {"name": case.name, "type": "openai_compatible", "base_url": server.url}
                # Everything is streamed from the provider, however it is told.
                await magnet.do("POST", "/v1/providers", provider | {"timeouts": timeouts(case.fault, stream=True)})
                model = {"name": case.name, "provider": case.name, "model": case.name, "kind": "chat"}
                await magnet.do("POST", "/v1/models", model | {"prices": PRICES, "routing": {"retries": RETRIES}})
            yield magnet, server


async def ask(magnet: Running, path: str, body: Mapping[str, Any], *, stream: bool, end: str) -> Told:
    """Send a request that calls a model, and check that its end is told once."""
    answer = await magnet.call("POST", path, {**body, "stream": stream})
    if not stream:
        told = answer.json()
        if answer.is_success:
            text = told["text"] if "text" in told else told["message"]["content"]
            return Told(code=None, text=text, run=told["run_id"])
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == STATUS.get(told["code"], 502), told
        assert "provider" in told and "upstream_status" in told
        return Told(code=told["code"], text="", run=None)
    assert answer.status_code == 200, answer.text
    events = events_in(answer.text)
    assert [data["sequence"] for _, data in events] == list(range(1, len(events) + 1))
    ends = [type for type, _ in events if type in (f"{end}.completed", f"{end}.failed", f"{end}.cancelled")]
    assert ends == [events[-1][0]]
    text = "".join(data["text"] for type, data in events if type == "message.delta")
    last = events[-1][1]
    code = last["error"]["code"] if events[-1][0] == f"{end}.failed" else None
    return Told(code=code, text=text, run=last["run_id"])


def check(case: Case, told: Told, run: Mapping[str, Any], question: int) -> None:
    """Compare what was told, and what is on record, with what must come of the fault."""
    expected = OUTCOMES[case.fault]
    code = expected.code(stream=True)
    assert told.code == code, case
    assert told.run in (None, run["id"])
    if case.stream or code is None:
        assert told.text == (expected.text if code is None else expected.passed_on), case
    assert run["outcome"] == ("completed" if code is None else "failed")
    assert (run["error"] or {}).get("code") == code
    attempts = [step for step in run["steps"] if step["kind"] == "attempt"]
    assert len(attempts) == expected.attempts(RETRIES, stream=True), case
    assert {step["outcome"] for step in attempts} == {code or "ok"}
    if code is not None:
        took = expected.usage(question, stream=True)
        assert {(step["usage"]["input"], step["usage"]["output"]) for step in attempts} == {(took.input, took.output)}
        assert {step["usage"]["estimated"] for step in attempts} == {took.estimated}


def check_sums(run: Mapping[str, Any]) -> None:
    """Steps sum up to their run, to the last digit."""
    for counter in COUNTERS:
        assert sum(step["usage"][counter] for step in run["steps"]) == run["usage"][counter]
    assert sum(Decimal(step["cost"]["amount"]) for step in run["steps"]) == Decimal(run["cost"]["amount"])
    usage, cost = run["usage"], Decimal(run["cost"]["amount"])
    assert cost * 10**6 == 3 * usage["input"] + 7 * usage["output"]
    assert run["cost"]["unknown"] is False


async def check_usage(magnet: Running, runs: list[Mapping[str, Any]]) -> None:
    """Runs sum up to the usage, and to the usage by model, to the last digit."""
    for query in ("/v1/usage", "/v1/usage?by=model", "/v1/usage?by=kind,target,outcome"):
        rows = (await magnet.get(query))["items"]
        for counter in COUNTERS:
            assert sum(row["usage"][counter] for row in rows) == sum(run["usage"][counter] for run in runs), query
        costs = [Decimal(amount) for row in rows for amount in row["costs"].values()]
        assert sum(costs) == sum(Decimal(run["cost"]["amount"]) for run in runs), query
    [whole] = (await magnet.get("/v1/usage"))["items"]
    assert whole["count"] == len(runs)
    assert whole["errors"] == sum(run["outcome"] == "failed" for run in runs)


async def check_calm(magnet: Running, server: ModelServer, before: set[Any]) -> None:
    """Nothing is left running: no task, no request upstream, no lease."""
    await server.until(lambda: all(request.ended for request in server.requests))
    async with asyncio.timeout(PATIENCE):
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)
    async with magnet.container.pool.connection() as connection:
        leases = await (await connection.execute("SELECT count(*) FROM magnet.leases")).fetchone()
    assert leases == (0,)


async def run_of(magnet: Running, query: str) -> Mapping[str, Any]:
    """Return the one run that a query finds."""
    [found] = (await magnet.get(f"/v1/runs?{query}"))["items"]
    run: Mapping[str, Any] = await magnet.get(f"/v1/runs/{found['id']}")
    return run


async def through_the_matrix(
    called: tuple[Running, ModelServer],
    prepare: Callable[[Running, Case], Awaitable[None]],
    meet: Callable[[Running, Case], Awaitable[Told]],
    found: Callable[[Case], str],
    question: int,
) -> None:
    """Meet every fault, and check all that must hold afterwards; `question` is what the input is estimated at."""
    magnet, server = called
    for case in CASES:
        await prepare(magnet, case)
        server.script_for(case.name, *[FAULTS[case.fault]] * (RETRIES + 1))
    before = asyncio.all_tasks()
    told = await asyncio.gather(*(meet(magnet, case) for case in CASES))
    await check_calm(magnet, server, before)
    magnet.position = await magnet.container.log.head()
    runs = []
    for case, each in zip(CASES, told, strict=True):
        run = await run_of(magnet, found(case))
        check(case, each, run, question)
        check_sums(run)
        runs.append(run)
    await check_usage(magnet, runs)


async def test_runs_of_prompts_meet_every_fault(called: tuple[Running, ModelServer]):
    async def prepare(magnet: Running, case: Case) -> None:
        await magnet.do("POST", "/v1/prompts", {"name": case.name, "text": "Hello {{ name }}", "model": case.name})

    async def meet(magnet: Running, case: Case) -> Told:
        body = {"variables": {"name": "Ada"}}
        return await ask(magnet, f"/v1/prompts/{case.name}/run", body, stream=case.stream, end="run")

    await through_the_matrix(called, prepare, meet, lambda case: f"target={case.name}", question=7)


async def test_answers_from_documents_meet_every_fault(called: tuple[Running, ModelServer]):
    magnet, _ = called
    async with library(magnet) as books:
        await books.tools()
        await books.add("a", "Hello Ada")

    async def prepare(magnet: Running, case: Case) -> None:
        await magnet.do("POST", "/v1/rag-tools", {"name": case.name, "retrieval_tool": "find", "model": case.name})

    async def meet(magnet: Running, case: Case) -> Told:
        body = {"question": "Hello Ada?"}
        return await ask(magnet, f"/v1/rag-tools/{case.name}/answer", body, stream=case.stream, end="answer")

    await through_the_matrix(called, prepare, meet, lambda case: f"target={case.name}", question=123)


async def test_turns_of_conversations_meet_every_fault(called: tuple[Running, ModelServer]):
    begun = {}

    async def prepare(magnet: Running, case: Case) -> None:
        await magnet.do("POST", "/v1/agents", {"name": case.name, "instructions": "Help", "model": case.name})
        begun[case] = await magnet.do("POST", "/v1/conversations", {"agent": case.name})

    async def meet(magnet: Running, case: Case) -> Told:
        path = f"/v1/conversations/{begun[case]['id']}"
        told = await ask(magnet, f"{path}/messages", {"content": "Hello Ada"}, stream=case.stream, end="turn")
        seen = await magnet.client.get(path)
        assert seen.json()["messages"][0]["content"] == "Hello Ada"
        assert [turn["state"] for turn in seen.json()["turns"]] == ["completed" if told.code is None else "failed"]
        return told

    await through_the_matrix(called, prepare, meet, lambda case: f"target={case.name}", question=12)
