"""Embeddings over the wire: many texts as several requests, their order kept, and nothing but vectors let in."""

import asyncio
import base64
import json
import math
import struct
from typing import Any

import pytest

from commands.models.model_calls import Attempt, ModelCallFailed
from domain.pricing import Usage
from tests.support.called_models import calling, model_of, nobody_connected, provider_at
from tests.support.model_server import Hang, ModelServer, Raw, Received, answered, server_error
from tests.support.model_server.answers import embeddings
from tests.support.model_server.vectors import by_hash

MANY = [f"text number {n}" for n in range(600)]


def embedding_model(server: ModelServer, **more: Any) -> Any:
    return model_of(provider_at(server.url), kind="embedding", **more)


def vectors(*embeddings: Any, **more: Any) -> Raw:
    """Return an answer with these, as they are."""
    items = [{"index": number, "embedding": each} for number, each in enumerate(embeddings)]
    return answered({"data": items, "usage": {"prompt_tokens": 2, "total_tokens": 2}, **more})


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


async def test_many_texts_are_several_requests_and_come_back_in_their_order():
    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            found = await caller.embed(MANY)
        assert sorted(len(request.body["input"]) for request in server.requests) == [88, 256, 256]
        assert list(found.vectors) == [by_hash(text, 64).tobytes() for text in MANY]
        assert (found.dimensions, found.usage) == (64, Usage(input=1800))
        assert [each.outcome for each in found.attempts] == ["ok"] * 3
        await nobody_connected(server)


async def test_what_requests_took_is_told_where_the_call_is_left_before_the_last_of_them():
    told: list[Attempt] = []

    def good(request: Received) -> Raw:
        return Raw(body=embeddings(request, server.vectors, server.dimensions, apart=False, odd={}))

    with ModelServer() as server:
        async with calling(embedding_model(server, max_concurrency=1)) as caller:
            server.script(good, good, Hang())
            task = asyncio.create_task(caller.embed(MANY, abandoned=told.extend))
            await server.until(lambda: len(server.requests) == 3)  # so two have been answered
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await nobody_connected(server)
    assert [(each.outcome, each.usage.input) for each in told] == [("ok", 768), ("ok", 768), ("cancelled", 0)]


async def test_no_text_is_no_request():
    with ModelServer() as server:
        async with calling(embedding_model(server, dimensions=8)) as caller:
            found = await caller.embed([])
    assert (found.vectors, found.dimensions, found.usage, server.requests) == ([], 8, Usage(), [])


async def test_a_text_longer_than_a_request_goes_alone():
    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            await caller.embed(["a", "b" * 400_000, "c", "d"])
    assert sorted(len(request.body["input"]) for request in server.requests) == [1, 1, 2]


async def test_vectors_are_taken_as_base64_and_as_numbers_and_in_any_order():
    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            server.script(vectors(packed(1, 0.5), [2, -0.25]))
            assert [floats(v) for v in (await caller.embed(["a", "b"])).vectors] == [[1, 0.5], [2, -0.25]]
            turned = {"data": [{"index": 1, "embedding": [2, 2]}, {"index": 0, "embedding": [1, 1]}]}
            server.script(answered(turned))
            assert [floats(v) for v in (await caller.embed(["a", "b"])).vectors] == [[1, 1], [2, 2]]


@pytest.mark.parametrize("field", ["encoding_format", "dimensions"])
async def test_a_server_that_does_not_know_a_field_is_asked_without_it(field: str):
    refusal = answered({"error": {"message": f"unknown field {field}", "type": "invalid_request_error"}}, 400)
    with ModelServer(dimensions=8) as server:
        async with calling(embedding_model(server, dimensions=8)) as caller:
            server.script(refusal)
            assert (await caller.embed(["a"])).vectors == [by_hash("a", 8).tobytes()]
    assert [field in request.body for request in server.requests] == [True, False]


async def test_the_length_that_is_set_is_asked_for_and_checked():
    with ModelServer() as server:
        async with calling(embedding_model(server, dimensions=16)) as caller:
            assert (await caller.embed(["a"])).dimensions == 16
            assert server.last.body["dimensions"] == 16
            server.script(vectors([1.0] * 17))
            with pytest.raises(ModelCallFailed, match="length 17 where 16 is expected"):
                await caller.embed(["a"])


@pytest.mark.parametrize(
    "wrong",
    [
        [1.0, math.nan],
        [1.0, math.inf],
        [1.0, -math.inf],
        [1.0, 1e39],
        [1.0],
        [1.0, 2.0, 3.0],
        [],
        [0.1] * 16_001,
        ["1", "2"],
        [[1.0, 2.0]],
        [None, 1.0],
        None,
        7,
        {"0": 1.0},
        "",
        "!!!!",
        "AAA",
        "ÄÖÜ=",
        packed(1.0, math.nan),
        packed(1.0, math.inf),
        packed(1.0),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_vector_of_the_right_length_is_refused(wrong: Any):
    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            server.script(vectors([0.5, 0.5], wrong))
            with pytest.raises(ModelCallFailed) as refused:
                await caller.embed(["a", "b"])
    assert refused.value.error_code == "invalid_response"
    assert [(each.outcome, each.usage.estimated) for each in refused.value.attempts] == [("invalid_response", True)]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [{"embedding": [1.0]}]},
        {"data": [{"embedding": [1.0]}] * 3},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": "0", "embedding": [1.0]}, {"index": "1", "embedding": [1.0]}]},
        {"data": [{"index": False, "embedding": [1.0]}, {"index": True, "embedding": [1.0]}]},
        {"data": [1, 2]},
        {"data": "none"},
        {},
        [],
        None,
        "vectors",
        {"error": {"message": "no", "code": "overloaded"}},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
async def test_an_answer_that_is_not_one_vector_for_each_text_is_refused(answer: Any):
    with ModelServer() as server:
        async with calling(embedding_model(server, retries=0)) as caller:
            server.script(answered(answer))
            with pytest.raises(ModelCallFailed):
                await caller.embed(["a", "b"])


async def test_vectors_of_different_lengths_in_two_requests_are_refused():
    def of_the_batch(request: Received) -> Raw:
        length = 3 if MANY[0] in request.body["input"] else 2
        return vectors(*[[1.0] * length] * len(request.body["input"]))

    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            server.script(of_the_batch, of_the_batch)
            with pytest.raises(ModelCallFailed, match="different lengths") as refused:
                await caller.embed(MANY[:300])
    assert len(refused.value.attempts) == 2


async def test_one_request_that_fails_is_tried_again_and_the_others_are_not():
    with ModelServer() as server:
        async with calling(embedding_model(server)) as caller:
            server.script(server_error())
            found = await caller.embed(MANY)
    assert sorted(each.outcome for each in found.attempts) == ["ok", "ok", "ok", "provider_error"]
    assert list(found.vectors) == [by_hash(text, 64).tobytes() for text in MANY]


async def test_where_one_request_fails_for_good_the_others_end_and_what_they_took_is_told():
    with ModelServer() as server:
        async with calling(embedding_model(server, retries=0)) as caller:

            def first_hangs(request: Received) -> Any:
                return Hang() if MANY[0] in request.body["input"] else server_error()

            server.script(first_hangs, first_hangs)
            with pytest.raises(ModelCallFailed) as refused:
                await caller.embed(MANY[:300])
            await server.until(lambda: all(request.ended for request in server.requests))
        assert sorted(each.outcome for each in refused.value.attempts) == ["cancelled", "provider_error"]
        await nobody_connected(server)


async def test_only_the_same_model_takes_over():
    with ModelServer() as server:
        first = embedding_model(server, retries=0)
        other = embedding_model(server, name="other", model="another")
        same = embedding_model(server, name="same")
        async with calling(first, other, same) as caller:
            server.script(server_error())
            assert (await caller.embed(["a"])).model.name == "same"
            server.script(server_error(), server_error(), server_error(), server_error())
            with pytest.raises(ModelCallFailed):
                await caller.embed(["a"])


async def test_a_cancelled_call_leaves_nothing_behind():
    with ModelServer() as server:
        async with calling(embedding_model(server, max_concurrency=1)) as caller:
            server.script(Hang())
            task = asyncio.create_task(caller.embed(MANY))
            await server.until(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.until(lambda: server.requests[0].ended == "left")
            assert len((await caller.embed(["a"])).vectors) == 1
