"""Every fault of a provider, met by plain and streamed calls: a typed refusal or a right answer, and nothing left over."""

import pytest

from commands.models.model_calls import ModelCallFailed
from domain.pricing import Usage
from tests.support.called_models import Clock, calling, model_of, nobody_connected, provider_at
from tests.support.faults import OUTCOMES, timeouts
from tests.support.model_server import FAULTS, ModelServer, Reply

WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
RETRIES = 2
OF_CHAT = {name for name, step in FAULTS.items() if isinstance(step, Reply)} | {"long_line"}
"""Faults that only an answer in words can have."""

AGAIN = {"model_limit_reached", "provider_error", "connection_failed", "connection_broken"}
"""Codes of what is tried again where time is left."""

INPUT = 7
"""Tokens that the question is estimated at."""


def test_what_must_come_of_each_fault_is_known():
    assert OUTCOMES.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS)
@WAYS
async def test_a_fault_is_a_typed_refusal_or_a_right_answer(fault: str, stream: bool):
    expected = OUTCOMES[fault]
    with ModelServer() as server:
        model = model_of(
            provider_at(server.url, timeouts=timeouts(fault, stream=stream)), retries=RETRIES, max_concurrency=1
        )
        async with calling(model, clock=Clock(runs=True)) as caller:
            server.script(*[FAULTS[fault]] * (RETRIES + 1))
            code = expected.code(stream=stream)
            if code is None:
                answer = await caller.chat(stream=stream)
                attempts, said = answer.attempts, answer.text
                assert answer.replaced > 0
            else:
                with pytest.raises(ModelCallFailed) as refused:
                    await caller.chat(stream=stream)
                attempts, said = refused.value.attempts, refused.value.text
                assert refused.value.error_code == code
                assert refused.value.details["provider"] == "house"
                assert "upstream_status" in refused.value.details
                assert {each.outcome for each in attempts} == {code}
                assert {each.usage for each in attempts} == {expected.usage(INPUT, stream=stream)}
            assert said == (expected.text if code is None else expected.passed_on if stream else "")
            assert len(attempts) == len(server.requests) == expected.attempts(RETRIES, stream=stream)
            # Its place is free again, and the provider is called as if nothing had been.
            server._script.clear()
            server.script(Reply(text="Good again"))
            assert (await caller.chat(stream=stream)).text == "Good again"
        await nobody_connected(server)
        assert [request for request in server.requests if request.ended is None] == []


@WAYS
async def test_a_fault_that_passes_is_answered_with_all_attempts_accounted_for(stream: bool):
    passing = [name for name, outcome in OUTCOMES.items() if outcome.again[stream] and "hang" not in name]
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=RETRIES)) as caller:
            for fault in passing:
                server.script(FAULTS[fault], Reply(text="After all"))
                answer = await caller.chat(stream=stream)
                assert [each.outcome for each in answer.attempts] == [OUTCOMES[fault].code(stream=stream), "ok"]
                failed = OUTCOMES[fault].usage(INPUT, stream=stream)
                assert answer.usage == Usage(input=2 + failed.input, output=2, estimated=failed.estimated), fault
                assert answer.cost.amount == sum(each.cost.amount for each in answer.attempts)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in OF_CHAT])
async def test_a_fault_met_by_embeddings_is_a_typed_refusal(fault: str):
    with ModelServer() as server:
        model = model_of(
            provider_at(server.url, timeouts=timeouts(fault, stream=False)),
            kind="embedding",
            retries=0,
            max_concurrency=1,
        )
        async with calling(model) as caller:
            server.script(FAULTS[fault])
            with pytest.raises(ModelCallFailed) as refused:
                await caller.embed(["a"])
            assert len(refused.value.attempts) == 1
            assert len((await caller.embed(["a"])).vectors) == 1
        await nobody_connected(server)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in OF_CHAT])
async def test_a_fault_met_by_reranking_is_a_typed_refusal_with_its_attempts_and_what_they_took(fault: str):
    with ModelServer() as server:
        model = model_of(
            provider_at(server.url, timeouts=timeouts(fault, stream=False)), kind="rerank", retries=1, max_concurrency=1
        )
        async with calling(model, clock=Clock(runs=True)) as caller:
            server.script(FAULTS[fault], FAULTS[fault])
            with pytest.raises(ModelCallFailed) as refused:
                await caller.rerank("a", ["b"])
            attempts = refused.value.attempts
            assert len(attempts) == len(server.requests) == (2 if attempts[0].outcome in AGAIN else 1)
            assert {each.usage for each in attempts} <= {Usage(), Usage(input=2, estimated=True)}
            server._script.clear()
            assert (await caller.rerank("a", ["a"])).scores == [1.0]
        await nobody_connected(server)
