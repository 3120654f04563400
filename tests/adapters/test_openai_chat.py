"""Chat models over the wire: what is asked, what comes back, and what it takes, plain and streamed alike."""

import asyncio
import json
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from commands.models.model_calls import Attempt, ChatAnswer, ChatRequest, ModelCallFailed, TextPiece, ToolCall
from domain.pricing import Cost, Usage
from tests.support.called_models import HELLO, PATIENT, calling, model_of, nobody_connected, provider_at
from tests.support.faults import BRIEF
from tests.support.model_server import Gate, Hang, ModelServer, Reply, ToolCalled, answered, stream_of

WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
DETAILED = {
    "prompt_tokens": 1000,
    "completion_tokens": 300,
    "total_tokens": 1300,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_creation_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 200},
}


def chunk(delta: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def end(reason: str = "stop") -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


@WAYS
async def test_an_answer_comes_with_what_it_took(stream: bool):
    with ModelServer() as server:
        model = model_of(provider_at(server.url))
        async with calling(model) as caller:
            server.script(Reply(text="Good day to you"))
            answer = await caller.chat(
                stream=stream, parameters={"temperature": 0.5, "max_tokens": 9, "seed": 3, "stop": ["."], "top_p": None}
            )
        assert (answer.text, answer.finish_reason, answer.tool_calls) == ("Good day to you", "stop", [])
        assert (answer.model.id, answer.model.name, answer.model.model) == (model.id, "small", "chat-model")
        assert answer.usage == Usage(input=2, output=4)
        assert answer.cost == Cost(amount=Decimal("0.000036"), currency="USD", unknown=False)
        assert [(each.outcome, each.upstream_status) for each in answer.attempts] == [("ok", 200)]
        sent = dict(server.last.body)
        assert sent.pop("stream", False) is stream
        assert sent.pop("stream_options", None) == ({"include_usage": True} if stream else None)
        assert sent == {
            "model": "chat-model",
            "messages": HELLO,
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 3,
            "stop": ["."],
        }
        await nobody_connected(server)


@WAYS
async def test_tools_are_called_by_name_with_their_arguments_and_text_beside_them_is_kept(stream: bool):
    said = Reply(
        text="Let me look",
        tool_calls=[ToolCalled(name="weather", arguments={"city": "Zürich"}), ToolCalled(name="time", id="t-1")],
        cut=3,
    )
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(said)
            answer = await caller.chat(stream=stream, tools=[WEATHER], tool_choice="auto")
    assert answer.text == "Let me look"
    assert answer.finish_reason == "tool_calls"
    assert list(answer.tool_calls) == [
        ToolCall(id="call_1", name="weather", arguments=json.dumps({"city": "Zürich"})),
        ToolCall(id="t-1", name="time", arguments="{}"),
    ]
    assert (server.last.body["tools"], server.last.body["tool_choice"]) == ([WEATHER], "auto")


async def test_streamed_tool_calls_without_numbers_are_told_apart_by_their_ids():
    def part(id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        return chunk({"tool_calls": [{"id": id, "function": {"name": name, "arguments": arguments}}]})

    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(
                stream_of(part("a", "one", '{"n":'), part(None, None, "1}"), part("b", "two", "{}"), end("tool_calls"))
            )
            answer = await caller.chat(stream=True)
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("a", "one", '{"n":1}'),
        ("b", "two", "{}"),
    ]


@pytest.mark.parametrize("ending", ["broken", "reset", "hang"])
async def test_an_answer_whose_end_was_said_is_whole_however_its_connection_ends(ending: str):
    waits = PATIENT | ({"idle": BRIEF} if ending == "hang" else {})
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url, timeouts=waits))) as caller:
            server.script(Reply(text="one", stop_after=2, ending=ending))  # all but what it took
            answer = await caller.chat(stream=True)
        await nobody_connected(server)
    assert (answer.text, answer.finish_reason) == ("one", "stop")
    assert answer.usage == Usage(input=7, output=1, estimated=True)
    assert [each.outcome for each in answer.attempts] == ["ok"]


async def test_streamed_calls_that_have_all_the_same_number_are_told_apart_by_their_ids():
    def part(id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": 0, "id": id, "function": {"name": name, "arguments": arguments}}]})

    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(
                stream_of(
                    part("a", "one", '{"n":'),
                    part(None, None, "1}"),
                    part("b", "two", '{"n":'),
                    part("b", None, "2}"),
                    part("c", "two", "{}"),
                    end("tool_calls"),
                )
            )
            answer = await caller.chat(stream=True)
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("a", "one", '{"n":1}'),
        ("b", "two", '{"n":2}'),
        ("c", "two", "{}"),
    ]


@WAYS
async def test_calls_that_a_provider_names_alike_have_ids_of_their_own(stream: bool):
    calls = [ToolCalled(name=name, id=id) for name, id in (("one", "a"), ("two", "a"), ("three", "a_1"), ("four", "b"))]
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(Reply(tool_calls=calls))
            answer = await caller.chat(stream=stream)
    assert [call.name for call in answer.tool_calls] == ["one", "two", "three", "four"]
    assert len({call.id for call in answer.tool_calls}) == 4


@WAYS
async def test_a_json_schema_is_passed_on(stream: bool):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            answer = await caller.chat(stream=stream, response_format=form)
    assert json.loads(answer.text) == {"echo": "echo: Hello there"}
    assert server.last.body["response_format"] == form


@WAYS
async def test_a_refusal_is_text(stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(Reply(refusal="I would rather not"))
            answer = await caller.chat(stream=stream)
    assert answer.text == "I would rather not"


async def test_counters_are_disjoint_and_a_streamed_call_and_a_plain_call_cost_the_same():
    answers = []
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            for stream in (False, True):
                server.script(Reply(text="Hm", usage=DETAILED))
                answers.append(await caller.chat(stream=stream))
    plain, streamed = answers
    assert plain.usage == streamed.usage == Usage(input=300, cache_read=600, cache_write=100, output=100, reasoning=200)
    assert plain.usage.total == 1300
    assert plain.cost == streamed.cost == Cost(amount=Decimal("0.0040"), currency="USD", unknown=False)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            Usage(input=6, cache_read=4, output=5),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "cache_creation_input_tokens": 4},
            Usage(input=6, cache_write=4, output=5),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(input=10, output=5, reasoning=7),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(cache_read=3, output=5),
        ),
        ({"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(input=3, output=1)),
    ],
)
@WAYS
async def test_the_dialects_of_counting_are_understood(reported: Any, expected: Usage, stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(Reply(text="Hm", usage=reported))
            answer = await caller.chat(stream=stream)
    assert answer.usage == expected


@pytest.mark.parametrize(
    "reported",
    [
        None,
        {},
        "many",
        [],
        {"prompt_tokens": "3"},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        {"prompt_tokens": 1000.0},
        {"prompt_tokens": 10**12},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    ],
    ids=str,
)
@WAYS
async def test_usage_that_is_missing_or_makes_no_sense_is_estimated_and_marked(reported: Any, stream: bool):
    reply = Reply(text="x" * 40) if reported is None else Reply(text="x" * 40, usage=reported)
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(reply if reported is not None else Reply(text="x" * 40, sends_usage=False))
            answer = await caller.chat(stream=stream)
    assert answer.usage == Usage(input=7, output=10, estimated=True)
    assert answer.cost == Cost(amount=Decimal("0.000094"), currency="USD", unknown=False)


@WAYS
async def test_the_price_of_the_day_counts_and_an_unknown_price_is_marked_unknown_never_zero(stream: bool):
    prices = [
        {"valid_from": "2026-01-01", "input": "1", "output": "1"},
        {"valid_from": "2026-07-01", "input": "3", "output": "3", "currency": "EUR"},
        {"valid_from": "2027-01-01", "input": "5"},
    ]
    costs = []
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), prices=prices)) as caller:
            for day in (date(2025, 12, 31), date(2026, 6, 30), date(2026, 7, 1), date(2027, 2, 1)):
                caller.clock.day = day
                server.script(Reply(text="Hm", usage={"prompt_tokens": 10, "completion_tokens": 10}))
                costs.append((await caller.chat(stream=stream)).cost)
    assert costs == [
        Cost(amount=Decimal(0), currency=None, unknown=True),
        Cost(amount=Decimal("0.00002"), currency="USD", unknown=False),
        Cost(amount=Decimal("0.00006"), currency="EUR", unknown=False),
        Cost(amount=Decimal("0.00005"), currency="USD", unknown=True),
    ]


@WAYS
async def test_what_is_no_text_is_replaced_and_counted(stream: bool):
    # A pair of surrogates that is cut in two is one character; what stands alone is none.
    pieces = ["a\x00b", "\ud83d", "\ude00", "\ude00", "c\ud800"]
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(Reply(text="".join(pieces), pieces=pieces))
            answer = await caller.chat(stream=stream)
    assert (answer.text, answer.replaced) == ("a\ufffdb\U0001f600\ufffdc\ufffd", 3)


async def test_a_server_that_answers_plainly_where_a_stream_was_asked_for_does_as_well():
    whole = {"choices": [{"message": {"content": "All at once"}, "finish_reason": "stop"}], "usage": None}
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(answered(whole))
            assert (await caller.chat(stream=True)).text == "All at once"


@pytest.mark.parametrize("field", ["stream_options", "max_completion_tokens"])
async def test_a_field_that_a_provider_does_not_know_is_left_out_from_then_on(field: str):
    message = f"Unrecognized request argument supplied: {field}"
    refusal = answered({"error": {"message": message, "type": "invalid_request_error"}}, 400)
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), capabilities={"reasoning": True})) as caller:
            server.script(refusal)
            first = await caller.chat(stream=True, parameters={"max_tokens": 5})
            await caller.chat(stream=True, parameters={"max_tokens": 5})
    assert [each.outcome for each in first.attempts] == ["model_request_refused", "ok"]
    assert [field in request.body for request in server.requests] == [True, False, False]
    assert ("max_tokens" in server.last.body) is (field == "max_completion_tokens")


async def test_an_error_beside_choices_is_an_error_all_the_same():
    failed = chunk({"content": ""}) | {"error": {"code": 502, "message": "Upstream went away"}}
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(*[stream_of(chunk({"content": "Hel"}), failed, end("error"))] * 3)
            with pytest.raises(ModelCallFailed) as refused:
                await caller.chat(stream=True)
    assert refused.value.error_code == "provider_error"
    assert [each.usage.output for each in refused.value.attempts] == [1, 1, 1]


async def test_closing_a_stream_closes_the_call_upstream_and_what_it_took_is_told():
    told: list[Attempt] = []
    request = ChatRequest(model=None, messages=HELLO, abandoned=told.extend)
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), max_concurrency=1)) as caller:
            server.script(Reply(text="one two three", gate=Gate()))
            async with aclosing(caller.models.stream(request)) as pieces:
                assert await anext(pieces) == TextPiece(text="one")
            await server.until(lambda: server.last.ended == "left")
            await nobody_connected(server)
            assert (await caller.chat()).text == "echo: Hello there"  # its place is free again
    assert [(each.outcome, each.upstream_status) for each in told] == [("cancelled", 200)]
    assert told[0].usage == Usage(input=7, output=1, estimated=True)
    assert told[0].cost.amount == Decimal("0.000022")


@WAYS
async def test_a_call_that_is_cancelled_before_an_answer_began_took_nothing_that_is_known_of(stream: bool):
    told: list[Attempt] = []
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), max_concurrency=1)) as caller:
            server.script(Hang())
            task = asyncio.create_task(caller.chat(stream=stream, abandoned=told.extend))
            await server.until(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.until(lambda: server.last.ended == "left")
            assert isinstance(await caller.chat(stream=stream), ChatAnswer)
    assert [(each.outcome, each.usage) for each in told] == [("cancelled", Usage())]
