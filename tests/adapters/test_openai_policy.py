"""How a call is carried through: retries, fallbacks, breakers, limits and time-outs."""

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.openai.failures import retry_after
from adapters.openai.policy import Policy, Timing
from commands.models.model_calls import ChatRequest, ModelCallFailed, ModelCallTimedOut, ModelLimitReached
from domain.pricing import Usage
from tests.support.called_models import HELLO, PATIENT, Caller, calling, model_of, provider_at
from tests.support.faults import BRIEF
from tests.support.model_server import (
    Gate,
    Hang,
    ModelServer,
    Reply,
    Reset,
    html,
    insufficient_quota,
    rate_limited,
    refused,
    server_error,
)

WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


async def failing(caller: Caller, **request: Any) -> ModelCallFailed:
    with pytest.raises(ModelCallFailed) as failure:
        await caller.chat(**request)
    return failure.value


def outcomes(told: Any) -> list[str]:
    return [each.outcome for each in told.attempts]


# Retries -------------------------------------------------------------------------


@WAYS
async def test_what_may_succeed_a_moment_later_is_tried_again_with_growing_pauses(stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=3)) as caller:
            server.script(server_error(), Reset(), rate_limited(), Reply(text="At last"))
            answer = await caller.chat(stream=stream)
            assert caller.clock.slept == [0.5, 1.0, 2.0]
    assert answer.text == "At last"
    assert outcomes(answer) == ["provider_error", "connection_failed", "model_limit_reached", "ok"]
    assert [each.usage.total for each in answer.attempts[:3]] == [0, 0, 0]


@WAYS
async def test_after_the_last_retry_the_last_failure_is_told(stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=1)) as caller:
            server.script(server_error(500), server_error(503))
            failure = await failing(caller, stream=stream)
    assert (failure.error_code, failure.details["upstream_status"]) == ("provider_error", 503)
    assert outcomes(failure) == ["provider_error", "provider_error"]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (insufficient_quota(), "insufficient_quota"),
        (refused(400, "invalid_request_error"), "model_request_refused"),
        (refused(401, "invalid_api_key"), "provider_access_denied"),
        (refused(403, "forbidden"), "provider_access_denied"),
        (refused(404, "model_not_found"), "model_not_found"),
        (refused(422, "unprocessable"), "model_request_refused"),
        (html(), "invalid_response"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@WAYS
async def test_what_waiting_does_not_help_is_not_tried_again(step: Any, code: str, stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=5)) as caller:
            server.script(step)
            failure = await failing(caller, stream=stream)
            assert caller.clock.slept == []
    assert (failure.error_code, len(server.requests)) == (code, 1)


@pytest.mark.parametrize("ending", ["clean", "broken", "reset"])
async def test_nothing_is_tried_again_once_a_token_has_reached_the_caller(ending: str):
    with ModelServer() as server:
        spare = model_of(provider_at(server.url), name="spare")
        async with calling(model_of(provider_at(server.url), retries=5), spare) as caller:
            server.script(Reply(text="one two three", stop_after=1, ending=ending))
            failure = await failing(caller, stream=True)
    assert failure.error_code == "connection_broken"
    assert failure.text == "one"
    assert [each.usage for each in failure.attempts] == [Usage(input=7, output=1, estimated=True)]
    assert len(server.requests) == 1


async def test_a_plain_answer_that_breaks_off_is_tried_again_and_its_input_is_paid_for():
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            server.script(Reply(text="one two three", stop_after=1))
            answer = await caller.chat()
    assert outcomes(answer) == ["connection_broken", "ok"]
    assert answer.attempts[0].usage == Usage(input=7, estimated=True)
    assert answer.usage == Usage(input=9, output=3, estimated=True)


@WAYS
async def test_retry_after_is_honoured_up_to_a_cap(stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url, timeouts=PATIENT | {"total": 600}))) as caller:
            server.script(rate_limited(retry_after="7"), server_error(503, retry_after_ms="2500"))
            await caller.chat(stream=stream)
            assert caller.clock.slept == [7.0, 2.5]
            server.script(rate_limited(retry_after="31"))
            failure = await failing(caller, stream=stream)
    assert isinstance(failure, ModelLimitReached)
    assert failure.details["retry_after"] == 31
    assert len(failure.attempts) == 1


async def test_a_pause_that_the_total_time_does_not_hold_is_not_waited_for():
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), timeout=5)) as caller:
            server.script(rate_limited(retry_after="6"))
            failure = await failing(caller)
            assert (failure.details["retry_after"], caller.clock.slept) == (6, [])


@given(
    st.text(max_size=40) | st.sampled_from(["-1", "1e999", "inf", "nan", "9" * 400, "Fri, 31 Dec 9999 23:59:59 -2359"])
)
def test_any_retry_after_is_a_number_of_seconds_or_nothing(value: str):
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: value}, now)
        assert seconds is None or 0 <= seconds < float("inf")


def test_a_date_to_retry_after_is_counted_from_now():
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert retry_after({"retry-after": format_datetime(now + timedelta(seconds=9))}, now) == 9
    assert retry_after({"retry-after": format_datetime(now - timedelta(seconds=9))}, now) == 0


# Fallbacks -----------------------------------------------------------------------


@WAYS
async def test_fallbacks_are_tried_in_their_order_and_each_attempt_is_told(stream: bool):
    with ModelServer() as server:
        first = model_of(provider_at(server.url), model="first", retries=0)
        second = model_of(provider_at(server.url), name="b", model="second", retries=1, prices=[])
        third = model_of(provider_at(server.url), name="c", model="third")
        async with calling(first, second, third) as caller:
            server.script_for("first", insufficient_quota())
            server.script_for("second", server_error(), server_error())
            server.script_for("third", Reply(text="Here I am"))
            answer = await caller.chat(stream=stream)
    assert (answer.text, answer.model.name) == ("Here I am", "c")
    assert [(each.model.name, each.outcome) for each in answer.attempts] == [
        ("small", "insufficient_quota"),
        ("b", "provider_error"),
        ("b", "provider_error"),
        ("c", "ok"),
    ]
    assert answer.cost.unknown is False  # nothing was taken where there is no price


async def test_a_request_that_is_refused_is_not_passed_on_unless_it_is_too_long():
    with ModelServer() as server:
        route = (model_of(provider_at(server.url)), model_of(provider_at(server.url), name="longer"))
        async with calling(*route) as caller:
            server.script(refused(400, "invalid_request_error"))
            await failing(caller)
            server.script(refused(400, "context_length_exceeded"))
            assert (await caller.chat()).model.name == "longer"


@WAYS
async def test_what_a_failed_model_took_in_another_currency_is_known_where_it_is_nothing(stream: bool):
    with ModelServer() as server:
        dollars = model_of(provider_at(server.url), retries=0)
        euros = model_of(
            provider_at(server.url), name="euro", prices=[{"currency": "EUR", "input": "1", "output": "1"}]
        )
        async with calling(dollars, euros) as caller:
            server.script(server_error())
            answer = await caller.chat(stream=stream)
    assert (answer.cost.currency, answer.cost.unknown) == ("EUR", False)


# Breakers ------------------------------------------------------------------------


async def test_a_breaker_opens_after_failures_in_a_row_lets_one_probe_through_and_closes():
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=0)) as caller:
            server.script(*[server_error()] * 5)
            for _ in range(5):
                assert (await failing(caller)).error_code == "provider_error"
            left_alone = await failing(caller)
            assert (left_alone.error_code, left_alone.details["retry_after"]) == ("provider_unavailable", 10.0)
            assert len(server.requests) == 5
            caller.clock.time += 10
            gate = Gate()
            server.script(Reply(text="I am back", gate=gate))
            probe = asyncio.create_task(caller.chat())
            await server.until(lambda: len(server.requests) == 6)
            assert (await failing(caller)).error_code == "provider_unavailable"
            gate.open()
            assert (await probe).text == "I am back"
            assert (await caller.chat()).text == "echo: Hello there"


async def test_a_probe_that_fails_opens_the_breaker_again_and_one_that_is_left_lets_the_next_try():
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=0)) as caller:
            server.script(*[Reset()] * 5, server_error(), Hang())
            for _ in range(5):
                await failing(caller)
            caller.clock.time += 10
            assert (await failing(caller)).error_code == "provider_error"
            assert (await failing(caller)).error_code == "provider_unavailable"
            caller.clock.time += 10
            probe = asyncio.create_task(caller.chat())
            await server.until(lambda: len(server.requests) == 7)
            probe.cancel()
            await asyncio.wait([probe])
            assert (await caller.chat()).text == "echo: Hello there"


async def test_a_late_failure_of_an_old_call_does_not_end_a_probe_that_runs():
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=0)) as caller:
            old_gate, gate = Gate(), Gate()
            server.script(Reply(text="one two three", stop_after=2, gate=old_gate))
            old = asyncio.create_task(failing(caller, stream=True))
            await server.until(lambda: server.requests)
            server.script(*[server_error()] * 5, Reply(text="probing", gate=gate))
            for _ in range(5):
                await failing(caller)
            caller.clock.time += 10
            probe = asyncio.create_task(caller.chat())
            await server.until(lambda: len(server.requests) == 7)
            old_gate.open()
            await old
            assert (await failing(caller)).error_code == "provider_unavailable"
            gate.open()
            assert (await probe).text == "probing"


async def test_refusals_keep_a_breaker_closed_and_a_fallback_is_asked_while_one_is_open():
    with ModelServer() as server, ModelServer() as other:
        first = model_of(provider_at(server.url), retries=0)
        async with calling(first, model_of(provider_at(other.url), name="spare")) as caller:
            server.script(*[refused(401, "invalid_api_key")] * 9)
            for _ in range(9):
                await caller.chat()
            server.script(*[server_error()] * 5)
            for _ in range(5):
                await caller.chat()
            answer = await caller.chat()
    assert outcomes(answer) == ["provider_unavailable", "ok"]
    assert (len(server.requests), len(other.requests)) == (14, 15)


# Limits --------------------------------------------------------------------------


async def test_no_more_calls_run_at_once_than_max_concurrency_allows():
    gate = Gate()
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), max_concurrency=2)) as caller:
            server.script(*[Reply(text="one two", gate=gate)] * 5)
            calls = [asyncio.create_task(caller.chat(stream=number % 2 == 0)) for number in range(5)]
            await server.until(lambda: len(server.requests) == 2)
            calls[3].cancel()  # one that waits for its turn leaves the queue
            await asyncio.wait([calls[3]])
            assert len(server.requests) == 2
            gate.open()
            answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers].count("ChatAnswer") == 4
    assert len(server.requests) == 4
    assert max(request.connection for request in server.requests) <= 4


async def test_who_waits_too_long_for_a_place_is_told_so_and_a_fallback_is_tried():
    gate = Gate()
    with ModelServer() as server:
        patient = provider_at(server.url, timeouts=PATIENT | {"first_token": BRIEF})
        limited = model_of(patient, max_concurrency=1)
        async with calling(limited) as caller:
            server.script(Reply(text="one two", gate=gate))
            running = caller.models.stream(ChatRequest(model=None, messages=HELLO))
            await anext(running)
            failure = await failing(caller)
            assert isinstance(failure, ModelLimitReached)
            assert "max_concurrency" in str(failure)
            gate.open()
            async for _ in running:
                pass
            assert (await caller.chat()).text


async def test_requests_per_minute_are_waited_for_or_refused():
    with ModelServer() as server:
        provider = provider_at(server.url, timeouts=PATIENT | {"first_token": 120, "total": 600})
        async with calling(model_of(provider, requests_per_minute=2)) as caller:
            for _ in range(3):
                await caller.chat()
            assert caller.clock.slept == [61.0]
        async with calling(model_of(provider_at(server.url), requests_per_minute=1, retries=4)) as caller:
            await caller.chat()
            failure = await failing(caller)
    assert isinstance(failure, ModelLimitReached)
    assert failure.details["retry_after"] == 61
    assert outcomes(failure) == ["model_limit_reached"]


async def test_tokens_per_minute_count_what_was_really_taken():
    def reply(total: int) -> Reply:
        return Reply(text="Hm", usage={"prompt_tokens": total, "completion_tokens": 0})

    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), tokens_per_minute=1000)) as caller:
            server.script(reply(500), reply(480))
            await caller.chat(parameters={"max_tokens": 900})  # taken for 907, and 500 in the end
            await caller.chat()
            failure = await failing(caller, parameters={"max_tokens": 100})
            assert isinstance(failure, ModelLimitReached)
            assert "tokens_per_minute" in str(failure)
            caller.clock.time += 61
            assert (await caller.chat(parameters={"max_tokens": 100})).text
            # What is larger than the limit fits into an empty minute, and nothing that failed counts.
            caller.clock.time += 61
            server.script(insufficient_quota())
            await failing(caller, parameters={"max_tokens": 5000})
            assert (await caller.chat(parameters={"max_tokens": 5000})).text


async def test_tokens_are_estimated_only_where_a_model_has_a_limit_of_them():
    def estimate() -> int:
        raise AssertionError("nobody asks how many they are")

    provider = provider_at("http://127.0.0.1:1")
    async with await anext(Policy(Timing()).call([model_of(provider, requests_per_minute=5)], estimate)) as trial:
        trial.usage = Usage(input=3)
    with pytest.raises(AssertionError):
        await anext(Policy(Timing()).call([model_of(provider, tokens_per_minute=5)], estimate))


# Time-outs -----------------------------------------------------------------------


def impatient(server: ModelServer, **timeouts: float) -> Any:
    return provider_at(server.url, timeouts=PATIENT | timeouts)


@pytest.mark.parametrize(
    ("timeouts", "reply", "stream", "phase"),
    [
        ({"first_token": BRIEF}, Hang(), True, "first_token"),
        ({"first_token": BRIEF}, Reply(text="one two", first_after=60), True, "first_token"),
        ({"idle": BRIEF}, Reply(text="one two", stop_after=1, ending="hang"), True, "idle"),
        ({"idle": BRIEF}, Reply(text="one two", stop_after=1, ending="hang"), False, "idle"),
        ({"total": BRIEF}, Hang(), False, "total"),
        ({"total": BRIEF}, Hang(), True, "total"),
        ({"total": BRIEF}, Reply(text="w " * 500, between=0.02), True, "total"),
    ],
)
async def test_each_time_out_is_told_by_its_name(timeouts: Any, reply: Any, stream: bool, phase: str):
    with ModelServer() as server:
        async with calling(model_of(impatient(server, **timeouts), retries=0)) as caller:
            server.script(reply)
            failure = await failing(caller, stream=stream)
            await server.until(lambda: server.last.ended == "left")
    assert isinstance(failure, ModelCallTimedOut)
    assert failure.details["phase"] == phase
    assert outcomes(failure) == ["model_call_timed_out"]


async def test_a_plain_answer_may_take_longer_than_a_first_token():
    with ModelServer() as server:
        async with calling(model_of(impatient(server, first_token=0.05))) as caller:
            server.script(Reply(text="Slowly", first_after=0.15))
            assert (await caller.chat()).text == "Slowly"


async def test_the_models_own_time_out_goes_before_the_providers():
    with ModelServer() as server:
        async with calling(model_of(impatient(server, total=600), timeout=0.05)) as caller:
            server.script(Hang())
            failure = await failing(caller)
    assert failure.details["phase"] == "total"


async def test_a_provider_that_nobody_reaches_is_told_so():
    with ModelServer() as server:
        gone = server.url
    async with calling(model_of(provider_at(gone), retries=1)) as caller:
        failure = await failing(caller)
    assert failure.error_code == "connection_failed"
    assert outcomes(failure) == ["connection_failed", "connection_failed"]
    assert failure.details["upstream_status"] is None


async def test_the_time_to_connect_is_bounded():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as waiting:
        address = deaf.getsockname()
        for _ in range(4):  # nobody accepts: further connections are not even established
            caller_before = waiting.enter_context(socket.socket())
            caller_before.setblocking(False)
            caller_before.connect_ex(address)
        provider = provider_at(f"http://127.0.0.1:{address[1]}/v1", timeouts=PATIENT | {"connect": 0.05})
        async with calling(model_of(provider, retries=0)) as caller:
            failure = await failing(caller, stream=True)
    assert isinstance(failure, ModelCallTimedOut)
    assert failure.details["phase"] == "connect"
