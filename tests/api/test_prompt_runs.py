"""Running prompts: recorded before the answer is given out, plain and streamed alike."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from commands.models.model_calls import (
    Attempt,
    ChatAnswer,
    ChatRequest,
    ModelCallFailed,
    ModelUsed,
    TextPiece,
)
from domain.pricing import Cost, Usage
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving

MODEL = ModelUsed(id=uuid4(), name="small", version=3, model="gpt-small", provider="house")


class ScriptedModels:
    """Says what it is told to, piece by piece; an exception among the pieces is raised there."""

    def __init__(self) -> None:
        self.script: list[Any] = ["Hello", " there"]
        self.requests: list[ChatRequest] = []
        self.closed = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        self.requests.append(request)
        script = self.script.pop(0) if self.script and isinstance(self.script[0], list) else self.script
        usage = Usage(input=10, output=len(script))
        cost = Cost(amount=Decimal("0.001"), currency="USD", unknown=False)
        ok = Attempt(model=MODEL, outcome="ok", upstream_status=200, duration_ms=1.0, usage=usage, cost=cost)
        said = ""
        try:
            for piece in script:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, asyncio.Event):
                    await piece.wait()
                    continue
                said += piece
                yield TextPiece(text=piece)
        finally:
            self.closed.set()
        yield ChatAnswer(
            text=said,
            tool_calls=(),
            finish_reason="stop",
            model=MODEL,
            usage=usage,
            cost=cost,
            attempts=(ok,),
            first_token_ms=1.0,
            duration_ms=2.0,
        )

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        async for piece in self.stream(request):
            if isinstance(piece, ChatAnswer):
                return piece
        raise AssertionError("a stream ends with an answer")


@pytest.fixture
def models() -> ScriptedModels:
    return ScriptedModels()


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, models: ScriptedModels) -> AsyncIterator[Running]:
    async with serving(database, tmp_path, chat_models=models) as running:
        await running.do("POST", "/v1/prompts", {"name": "greet", "text": "Hello {{ name }}"})
        yield running


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (type, data) of each server-sent event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_a_run_answers_and_is_on_record_with_the_exact_versions(magnet: Running):
    await magnet.do("PATCH", "/v1/prompts/greet", {"text": "Hi {{ name }}"})
    answer = await magnet.do("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}, "subject": "u1"})
    assert answer["text"] == "Hello there"
    assert answer["usage"] == {
        "input": 10,
        "cache_read": 0,
        "cache_write": 0,
        "output": 2,
        "reasoning": 0,
        "total": 12,
        "estimated": False,
    }
    assert answer["cost"] == {"amount": "0.001", "currency": "USD", "unknown": False}
    run = await magnet.get(f"/v1/runs/{answer['run_id']}")
    assert (run["kind"], run["outcome"], run["subject"]) == ("prompt", "completed", "u1")
    assert run["versions"]["prompt"]["version"] == 1
    assert run["versions"]["model"]["name"] == "small"
    assert run["usage"] == answer["usage"]
    assert run["input"]["variables"] == {"name": "Ada"}
    assert run["output"] == "Hello there"
    assert [step["kind"] for step in run["steps"]] == ["model_call", "attempt"]
    assert run["steps"][0]["input"]["messages"] == [{"role": "user", "content": "Hello Ada"}]


async def test_a_stream_has_its_pieces_and_one_terminal_event_with_the_same_accounting(magnet: Running):
    plain = await magnet.do("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}})
    streamed = await magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}, "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = events_in(streamed.text)
    assert [type for type, _ in events] == ["run.started", "message.delta", "message.delta", "run.completed"]
    assert [data["sequence"] for _, data in events] == [1, 2, 3, 4]
    assert "".join(data["text"] for type, data in events if type == "message.delta") == plain["text"]
    assert events[-1][1]["usage"] == plain["usage"]
    assert events[-1][1]["cost"] == plain["cost"]


async def test_what_is_wrong_with_the_request_is_refused_before_anything_is_recorded(magnet: Running):
    head = await magnet.container.log.head()
    for body, code in (({}, "missing_variable"), ({"variables": {"name": 1}, "label": "no"}, "unknown_label")):
        for stream in (False, True):
            answer = await magnet.call("POST", "/v1/prompts/greet/run", {**body, "stream": stream})
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == code
    assert await magnet.container.log.head() == head


async def test_a_provider_that_fails_is_a_502_and_a_recorded_run(magnet: Running, models: ScriptedModels):
    half = Attempt(
        model=MODEL,
        outcome="connection_lost",
        upstream_status=200,
        duration_ms=5.0,
        usage=Usage(input=10, output=1, estimated=True),
        cost=Cost(amount=Decimal("0.0005"), currency="USD", unknown=False),
    )
    failure = ModelCallFailed(
        code="connection_lost", details={"provider": "house", "upstream_status": 200}, attempts=(half,), text="Hel"
    )
    models.script = ["Hel", failure]
    answer = await magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}})
    assert answer.status_code == 502
    assert (answer.json()["code"], answer.json()["provider"]) == ("connection_lost", "house")
    events = events_in(
        (await magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}, "stream": True})).text
    )
    assert [type for type, _ in events] == ["run.started", "message.delta", "run.failed"]
    assert events[-1][1]["error"]["code"] == "connection_lost"
    head = await magnet.container.log.head()
    runs = await magnet.get("/v1/runs?outcome=failed", Magnet_Min_Position=str(head))
    assert [run["error"] for run in runs["items"]] == ["connection_lost", "connection_lost"]
    [row] = (await magnet.get("/v1/usage"))["items"]
    assert row["cost"] == {"amount": "0.001", "currency": "USD", "unknown": False}
    assert row["errors"] == 2


async def test_a_client_that_leaves_ends_the_call_upstream_and_the_run_says_so(magnet: Running, models: ScriptedModels):
    models.script = ["Hel", asyncio.Event(), "lo"]
    body = {"variables": {"name": "Ada"}, "stream": True}
    async with magnet.client.stream("POST", "/v1/prompts/greet/run", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: message.delta"):
                break
    await asyncio.wait_for(models.closed.wait(), PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while True:
            head = await magnet.container.log.head()
            runs = await magnet.get("/v1/runs", Magnet_Min_Position=str(head))
            if runs["items"][0]["outcome"] != "running":
                break
    assert runs["items"][0]["outcome"] == "cancelled"


async def test_the_same_key_runs_once_and_answers_the_same_bytes(magnet: Running, models: ScriptedModels):
    gate = asyncio.Event()
    models.script = ["Hel", gate, "lo"]
    body = {"variables": {"name": "Ada"}}
    calls = [
        asyncio.create_task(magnet.call("POST", "/v1/prompts/greet/run", body, Idempotency_Key="k")) for _ in range(5)
    ]
    async with asyncio.timeout(PATIENCE):
        while not models.requests:
            await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert len({answer.content for answer in answers}) == 1
    assert len(models.requests) == 1
    assert sorted(answer.headers.get("Idempotent-Replay", "") for answer in answers) == ["", *["true"] * 4]
    other = await magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "B"}}, Idempotency_Key="k")
    assert other.status_code == 422


async def test_a_stream_of_the_same_key_says_that_it_is_one_again_and_has_the_text(magnet: Running):
    body = {"variables": {"name": "Ada"}, "stream": True}
    told, again = [await magnet.call("POST", "/v1/prompts/greet/run", body, Idempotency_Key="k") for _ in range(2)]
    assert ("Idempotent-Replay" in told.headers, again.headers["Idempotent-Replay"]) == (False, "true")
    first, second = events_in(told.text), events_in(again.text)
    assert {**first[-1][1], "sequence": 0} == {**second[-1][1], "sequence": 0}
    assert [type for type, _ in second] == ["run.started", "message.delta", "run.completed"]
    assert second[1][1]["text"] == first[-1][1]["text"]


async def test_an_answer_that_is_given_again_names_the_position_that_its_run_had_come_to(magnet: Running):
    body = {"variables": {"name": "Ada"}}
    told, again = [await magnet.call("POST", "/v1/prompts/greet/run", body, Idempotency_Key="k") for _ in range(2)]
    assert told.headers["Magnet-Position"] == again.headers["Magnet-Position"]


async def test_runs_are_listed_in_either_order_page_by_page(magnet: Running):
    made = [
        (await magnet.do("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}}))["run_id"] for _ in range(3)
    ]
    for order, expected in (("", made[::-1]), ("&order=desc", made[::-1]), ("&order=asc", made)):
        first = await magnet.get(f"/v1/runs?limit=2{order}")
        rest = await magnet.get(f"/v1/runs?limit=2&cursor={first['next_cursor']}{order}")
        assert [run["id"] for run in first["items"] + rest["items"]] == expected
        assert rest["next_cursor"] is None
    assert (await magnet.call("GET", "/v1/runs?order=up")).status_code == 422


async def test_an_answer_that_does_not_fit_its_schema_is_asked_for_once_more(magnet: Running, models: ScriptedModels):
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    form = {"type": "json_schema", "schema": schema}
    await magnet.do("POST", "/v1/prompts", {"name": "count", "text": "Count", "response_format": form})
    models.script = [['{"n": "x"}'], ['{"n": 3}']]
    answer = await magnet.do("POST", "/v1/prompts/count/run", {})
    assert answer["parsed"] == {"n": 3}
    assert answer["usage"]["input"] == 20
    models.script = [["no"], ["no"]]
    refused = await magnet.call("POST", "/v1/prompts/count/run", {})
    assert (refused.status_code, refused.json()["code"]) == (502, "invalid_output")


async def test_a_prompt_that_is_not_observed_keeps_no_word(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "quiet", "text": "Hush {{ s }}", "observability": "metadata"})
    answer = await magnet.do("POST", "/v1/prompts/quiet/run", {"variables": {"s": "canary-1"}})
    run = await magnet.get(f"/v1/runs/{answer['run_id']}")
    assert (run["input"], run["output"]) == (None, None)
    assert "canary-1" not in json.dumps(run)


async def test_what_was_said_is_sealed_in_the_log(magnet: Running):
    await magnet.do("POST", "/v1/prompts/greet/run", {"variables": {"name": "canary-2"}, "subject": "u1"})
    async with magnet.container.pool.connection() as connection:
        cursor = await connection.execute("SELECT convert_from(state, 'UTF8') FROM magnet.magnet_events")
        assert not [row for row in await cursor.fetchall() if "canary-2" in row[0]]
    events = await magnet.get("/v1/events?kind=run")
    assert events["items"][0]["data"]["input"] == "[personal]"


async def test_a_run_whose_process_is_gone_is_interrupted(magnet: Running, models: ScriptedModels):
    gate = asyncio.Event()
    models.script = ["Hel", gate]
    call = asyncio.create_task(magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "Ada"}}))
    async with asyncio.timeout(PATIENCE):
        while not models.requests:
            await asyncio.sleep(0)
    async with magnet.container.pool.connection() as connection:
        await connection.execute(
            "UPDATE magnet.leases SET until = now() - interval '1 second', owner = gen_random_uuid()"
        )
    await magnet.container.leases.sweep()
    head = await magnet.container.log.head()
    runs = await magnet.get("/v1/runs", Magnet_Min_Position=str(head))
    assert (runs["items"][0]["outcome"], runs["items"][0]["cost"]["unknown"]) == ("interrupted", True)
    gate.set()
    await asyncio.wait([call])
