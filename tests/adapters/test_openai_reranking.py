"""Reranking over the wire: the form that servers share, what they call things otherwise, and nothing but scores let in."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from commands.models.model_calls import Attempt, ModelCallFailed
from domain.pricing import Usage
from tests.support.called_models import calling, model_of, nobody_connected, provider_at
from tests.support.model_server import Hang, ModelServer, Raw, Received, answered, server_error

FRUIT = ["pears and plums", "apples and pears", "stones"]


def reranker(server: ModelServer, **more: Any) -> Any:
    return model_of(provider_at(server.url), kind="rerank", **more)


def scored(*items: Any, **more: Any) -> Raw:
    """Return an answer with these results, as they are."""
    return answered({"results": list(items), **more})


async def test_documents_are_scored_in_their_order_by_one_request_and_what_it_took_is_counted():
    with ModelServer() as server:
        async with calling(reranker(server)) as caller:
            found = await caller.rerank("apples pears", FRUIT)
        [request] = server.requests
        await nobody_connected(server)
    assert request.path == "/v1/rerank"
    assert request.body == {"model": "rerank-model", "query": "apples pears", "documents": FRUIT, "top_n": 3}
    assert found.scores == [0.5, 1.0, 0.0]
    assert (found.usage, found.cost.amount) == (Usage(input=13), Decimal("0.000026"))
    assert [(each.outcome, each.usage) for each in found.attempts] == [("ok", Usage(input=13))]


@pytest.mark.parametrize(
    "answer",
    [
        {"results": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": -2}]},
        {"results": [{"index": 1, "score": 0.5, "document": {"text": "b"}}, {"index": 0, "score": -2}]},
        {"data": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": -2}], "object": "list"},
        [{"index": 1, "score": 0.5}, {"index": 0, "score": -2}],
    ],
)
async def test_the_forms_in_which_servers_tell_scores_are_all_understood(answer: Any):
    with ModelServer() as server:
        async with calling(reranker(server)) as caller:
            server.script(answered(answer))
            found = await caller.rerank("a", ["a", "b"])
    assert found.scores == [-2.0, 0.5]
    assert found.usage == Usage(input=4, estimated=True)


async def test_a_server_that_calls_documents_texts_is_asked_so_from_then_on():
    refusal = Raw(
        status=422, body=b"Failed to deserialize the JSON body: missing field `texts`", content_type="text/plain"
    )
    with ModelServer() as server:
        async with calling(reranker(server)) as caller:
            server.script(refusal)
            assert (await caller.rerank("a", ["a", "b"])).scores == [1.0, 0.0]
            assert (await caller.rerank("b", ["a", "b"])).scores == [0.0, 1.0]
        names = [next(name for name in ("documents", "texts") if name in each.body) for each in server.requests]
    assert names == ["documents", "texts", "texts"]


async def test_a_document_that_is_left_out_has_no_score():
    with ModelServer() as server:
        async with calling(reranker(server)) as caller:
            server.script(scored({"index": 2, "relevance_score": 0.25}, usage={"prompt_tokens": 5}))
            found = await caller.rerank("a", FRUIT)
    assert (found.scores, found.usage) == ([None, None, 0.25], Usage(input=5))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": []},
        {"results": "none"},
        {"results": [1]},
        {"results": [{"index": 3, "relevance_score": 1}]},
        {"results": [{"index": -1, "relevance_score": 1}]},
        {"results": [{"index": True, "relevance_score": 1}]},
        {"results": [{"index": 1.0, "relevance_score": 1}]},
        {"results": [{"index": "1", "relevance_score": 1}]},
        {"results": [{"relevance_score": 1}]},
        {"results": [{"index": 1}]},
        {"results": [{"index": 1, "relevance_score": None}]},
        {"results": [{"index": 1, "relevance_score": True}]},
        {"results": [{"index": 1, "relevance_score": "0.5"}]},
        {"results": [{"index": 1, "relevance_score": 1e300}]},
        {"results": [{"index": 1, "relevance_score": float("nan")}]},
        {"results": [{"index": 1, "relevance_score": float("inf")}]},
        {"results": [{"index": 1, "relevance_score": 10**400}]},
        {"results": [{"index": 1, "relevance_score": 1}, {"index": 1, "relevance_score": 2}]},
    ],
)
async def test_an_answer_that_makes_no_sense_is_refused_and_paid_for(answer: Any):
    with ModelServer() as server:
        async with calling(reranker(server, retries=2)) as caller:
            server.script(answered(answer))
            with pytest.raises(ModelCallFailed) as refused:
                await caller.rerank("a", FRUIT)
    assert refused.value.error_code == "invalid_response"
    assert [each.usage.estimated for each in refused.value.attempts] == [True]


async def test_a_failing_model_is_tried_again_and_then_its_fallback_answers():
    with ModelServer() as server:
        first, second = reranker(server, retries=1), reranker(server, model="other-model", name="other")
        async with calling(first, second) as caller:
            server.script(server_error(), server_error())
            found = await caller.rerank("stones", FRUIT)
        asked = [request.model for request in server.requests]
    assert asked == ["rerank-model", "rerank-model", "other-model"]
    assert (found.scores, found.model.name) == ([0.0, 0.0, 1.0], "other")
    assert [each.outcome for each in found.attempts] == ["provider_error", "provider_error", "ok"]


async def test_a_provider_that_is_down_is_left_alone_after_some_failures():
    with ModelServer() as server:
        async with calling(reranker(server, retries=0)) as caller:
            server.script(*[server_error()] * 5)
            for _ in range(5):
                with pytest.raises(ModelCallFailed):
                    await caller.rerank("a", FRUIT)
            with pytest.raises(ModelCallFailed) as refused:
                await caller.rerank("a", FRUIT)
        assert (refused.value.error_code, len(server.requests)) == ("provider_unavailable", 5)


async def test_a_call_that_is_left_ends_upstream_and_tells_what_was_tried():
    told: list[Attempt] = []
    with ModelServer() as server:
        async with calling(reranker(server)) as caller:
            server.script(Hang())
            task = asyncio.create_task(caller.rerank("a", FRUIT, abandoned=told.extend))
            await server.until(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.until(lambda: server.last.ended == "left")
    assert [each.outcome for each in told] == ["cancelled"]


async def test_azure_is_asked_at_the_deployment():
    def step(request: Received) -> Raw:
        assert request.path == "/openai/deployments/rerank-model/rerank"
        return scored({"index": 0, "relevance_score": 1})

    with ModelServer() as server:
        provider = provider_at(server.origin, type="azure_openai", api_key="k")
        async with calling(model_of(provider, kind="rerank")) as caller:
            server.script(step)
            assert (await caller.rerank("a", ["b"])).scores == [1.0]
