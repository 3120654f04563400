"""How runs end when something goes wrong: once, on record, told to whoever waits, and the same to who asks again."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.models.model_calls import ModelCallFailed, ModelCallTimedOut, ModelLimitReached, NoModel
from domain.errors import Unavailable
from tests.api.test_prompt_runs import ScriptedModels, events_in
from tests.support.model_server import Gate, Hang, ModelServer, Reply
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving

BODY = {"variables": {"name": "Ada"}}
PATH = "/v1/prompts/greet/run"


@pytest.fixture
def models() -> ScriptedModels:
    return ScriptedModels()


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, models: ScriptedModels) -> AsyncIterator[Running]:
    async with serving(database, tmp_path, chat_models=models) as running:
        await running.do("POST", "/v1/prompts", {"name": "greet", "text": "Hello {{ name }}"})
        yield running


async def newest_run(magnet: Running) -> dict[str, Any]:
    head = await magnet.container.log.head()
    runs = await magnet.get("/v1/runs?limit=1", Magnet_Min_Position=str(head))
    found: dict[str, Any] = await magnet.get(f"/v1/runs/{runs['items'][0]['id']}")
    return found


async def until_ended(magnet: Running) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (run := await newest_run(magnet))["outcome"] == "running":
            pass
    return run


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelCallTimedOut(), 504, "model_call_timed_out"),
        (ModelLimitReached(details={"retry_after": 3}), 429, "model_limit_reached"),
        (ModelCallFailed(code="provider_error"), 502, "provider_error"),
        (NoModel(), 409, "no_model"),
        (Unavailable("The models change too fast."), 503, "database_unavailable"),
        (RuntimeError("a defect"), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_refusal_is_the_same_for_who_asks_again(
    magnet: Running, models: ScriptedModels, error: Exception, status: int, code: str
):
    models.script = ["Hel", error]
    first = await magnet.call("POST", PATH, BODY, Idempotency_Key="k")
    again = await magnet.call("POST", PATH, BODY, Idempotency_Key="k")
    for answer in (first, again):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"] == first.json()["detail"] or status == 500
    assert again.headers.get("Retry-After") == first.headers.get("Retry-After")
    assert len(models.requests) == 1
    run = await newest_run(magnet)
    assert (run["outcome"], run["error"]["code"]) == ("failed", code)


async def test_a_defect_in_a_stream_is_its_one_terminal_event(magnet: Running, models: ScriptedModels):
    models.script = ["Hel", RuntimeError("canary")]
    answer = await magnet.call("POST", PATH, {**BODY, "stream": True})
    events = events_in(answer.text)
    assert [type for type, _ in events] == ["run.started", "message.delta", "run.failed"]
    assert events[-1][1]["error"]["code"] == "internal_error"
    assert "canary" not in answer.text
    assert (await newest_run(magnet))["error"]["code"] == "internal_error"


async def test_who_asks_again_for_a_run_that_its_caller_left_is_told_so_at_once(
    magnet: Running, models: ScriptedModels
):
    models.script = ["Hel", asyncio.Event(), "lo"]
    headers = {"Idempotency-Key": "k"}
    async with magnet.client.stream("POST", PATH, json={**BODY, "stream": True}, headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: message.delta"):
                break
    await until_ended(magnet)
    async with asyncio.timeout(PATIENCE):
        again = await magnet.call("POST", PATH, {**BODY, "stream": True}, Idempotency_Key="k")
    assert (again.status_code, again.json()["code"]) == (409, "run_cancelled")


async def test_who_asks_again_for_a_run_that_was_interrupted_is_told_so_at_once(
    magnet: Running, models: ScriptedModels
):
    gate = asyncio.Event()
    models.script = ["Hel", gate]
    call = asyncio.create_task(magnet.call("POST", PATH, BODY, Idempotency_Key="k"))
    async with asyncio.timeout(PATIENCE):
        while not models.requests:
            await asyncio.sleep(0)
    await _let_leases_run_out(magnet, owner=uuid4())
    async with asyncio.timeout(PATIENCE):
        again = await magnet.call("POST", PATH, BODY, Idempotency_Key="k")
    assert (again.status_code, again.json()["code"]) == (409, "run_interrupted")
    gate.set()
    await asyncio.wait([call])


async def test_a_run_whose_end_could_not_be_recorded_is_interrupted_though_its_process_lives(
    magnet: Running, models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
):
    dispatch = magnet.container.bus.dispatch

    async def away(command: Any, context: Any) -> Any:
        if type(command).__name__ == "FinishRun":
            raise Unavailable
        return await dispatch(command, context)

    monkeypatch.setattr(magnet.container.bus, "dispatch", away)
    answer = await magnet.call("POST", PATH, {**BODY, "stream": True})
    assert [type for type, _ in events_in(answer.text)][-1] == "run.failed"
    assert (await newest_run(magnet))["outcome"] == "running"
    await _let_leases_run_out(magnet)
    assert (await newest_run(magnet))["outcome"] == "interrupted"


async def _let_leases_run_out(magnet: Running, *, owner: UUID | None = None) -> None:
    """Do what happens when nobody renews what is leased, without the wait; `owner` is a process that is gone."""
    query = "UPDATE magnet.leases SET until = now() - interval '1 second', owner = coalesce(%s, owner)"
    async with magnet.container.pool.connection() as connection:
        await connection.execute(query, [owner])
    await magnet.container.leases.sweep()


# With a real provider --------------------------------------------------------------


@pytest.fixture
async def called(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Running, ModelServer]]:
    """Magnet with a model at the model server."""
    with ModelServer() as server:
        async with serving(database, tmp_path) as running:
            provider = {"name": "house", "type": "openai_compatible", "base_url": server.url}
            await running.do("POST", "/v1/providers", provider)
            prices = [{"input": "1", "output": "2"}]
            model = {"name": "small", "provider": "house", "model": "m", "kind": "chat", "default": True}
            await running.do("POST", "/v1/models", {**model, "prices": prices})
            await running.do("POST", "/v1/prompts", {"name": "greet", "text": "Hello {{ name }}"})
            yield running, server


async def test_a_stream_that_its_reader_left_ends_upstream_and_what_it_took_is_on_record(
    called: tuple[Running, ModelServer],
):
    magnet, server = called
    server.script(Reply(text="one two three", gate=Gate()))
    async with magnet.client.stream("POST", PATH, json={**BODY, "stream": True}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: message.delta"):
                break
    await server.until(lambda: server.last.ended == "left")
    run = await until_ended(magnet)
    assert (run["outcome"], run["error"]) == ("cancelled", None)
    assert [(step["kind"], step["outcome"]) for step in run["steps"]] == [
        ("model_call", "cancelled"),
        ("attempt", "cancelled"),
    ]
    assert run["usage"]["input"] > 0
    assert (run["usage"]["output"], run["usage"]["estimated"]) == (1, True)
    assert run["cost"]["amount"] != "0"
    assert run["steps"][1]["cost"] == run["cost"]
    [row] = (await magnet.get("/v1/usage?by=model"))["items"]
    assert row["cost"] == run["cost"]


async def test_a_plain_call_goes_on_without_its_reader(called: tuple[Running, ModelServer]):
    magnet, server = called
    gate = Gate()
    server.script(Reply(text="one", gate=gate))
    call = asyncio.create_task(magnet.client.post(PATH, json=BODY))
    await server.until(lambda: server.requests)
    call.cancel()
    await asyncio.wait([call])
    gate.open()
    assert (await until_ended(magnet))["outcome"] == "completed"


async def test_a_stream_without_an_answer_yet_that_is_left_takes_nothing(called: tuple[Running, ModelServer]):
    magnet, server = called
    server.script(Hang())
    async with magnet.client.stream("POST", PATH, json={**BODY, "stream": True}) as answer:
        lines = answer.aiter_lines()  # an iterator that nobody holds ends, and the stream with it
        await anext(lines)
        await server.until(lambda: server.requests)
    await server.until(lambda: server.last.ended == "left")
    run = await until_ended(magnet)
    assert (run["outcome"], run["usage"]["total"]) == ("cancelled", 0)
    assert json.dumps(run["cost"]) == '{"amount": "0", "currency": "USD", "unknown": false}'
