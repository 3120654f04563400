"""Reranking over HTTP: a new order of what was found, what it takes on record, and no passage lost whatever a model says."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.faults import BRIEF, timeouts
from tests.support.library import Library, library
from tests.support.model_server import (
    FAULTS,
    ModelServer,
    Raw,
    Reply,
    answered,
    insufficient_quota,
    server_error,
)
from tests.support.server import Running

PRICES = [{"input": "2", "output": "8"}]
TEXTS = ["needle one", "needle two two", "needle three three three", "needle four four four four"]


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Four documents that are found by words, in the order of TEXTS, and models that can rerank."""
    async with library(magnet) as made:
        await magnet.do("POST", "/v1/providers", {"name": "house", "type": "openai_compatible", "base_url": server.url})
        for kind in ("rerank", "chat"):
            model = {"name": kind, "provider": "house", "model": f"{kind}-model", "kind": kind, "prices": PRICES}
            await magnet.do("POST", "/v1/models", {**model, "routing": {"retries": 0}})
        await made.tools(mode="lexical")
        for number, text in enumerate(TEXTS):
            await made.add(f"{number}", text)
        yield made


async def set_to(books: Library, **settings: Any) -> None:
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", settings)


def texts_of(found: Any) -> list[str]:
    return [passage["text"] for passage in found["passages"]]


def scores(*values: Any) -> Raw:
    """Return an answer that gives the documents these scores, in their order."""
    return answered({"results": [{"index": n, "relevance_score": v} for n, v in enumerate(values)]})


def said(*values: Any) -> Reply:
    """Return what a chat model says that gives the passages these scores, in their order."""
    return Reply(text=json.dumps({"scores": [{"passage": n, "score": v} for n, v in enumerate(values, 1)]}))


async def test_without_a_reranker_nothing_is_asked_and_the_order_is_that_of_the_search(
    books: Library, server: ModelServer
):
    found = await books.search("needle")
    assert (texts_of(found), found["rerank"], server.requests) == (TEXTS, None, [])
    assert {passage["scores"]["rerank"] for passage in found["passages"]} == {None}
    assert "rerank" not in found["timings_ms"]


async def test_the_best_are_put_into_a_new_order_with_scores_of_each_stage_and_the_step_on_record(
    books: Library, server: ModelServer
):
    await set_to(books, rerank={"model": "rerank"})
    server.script(scores(0.1, 0.9, -3.5, 0.4))
    found = await books.search("needle")
    run = await books.last_run()
    assert texts_of(found) == [TEXTS[1], TEXTS[3], TEXTS[0], TEXTS[2]]
    assert [passage["scores"]["rerank"] for passage in found["passages"]] == [0.9, 0.4, 0.1, -3.5]
    assert [passage["score"] for passage in found["passages"]] == [0.9, 0.4, 0.1, -3.5]
    assert all(passage["scores"]["fused"] > 0 for passage in found["passages"])
    assert (found["rerank"]["model"]["name"], found["rerank"]["passages"], found["rerank"]["unscored"]) == (
        "rerank",
        4,
        0,
    )
    assert found["timings_ms"]["total"] >= found["timings_ms"]["rerank"] > 0
    [request] = server.requests
    assert request.body == {"model": "rerank-model", "query": "needle", "documents": TEXTS, "top_n": 4}
    assert [(s["kind"], s["parent"], s["outcome"]) for s in run["steps"]] == [
        ("search", None, "completed"),
        ("rerank", 1, "completed"),
        ("attempt", 2, "ok"),
    ]
    assert run["steps"][1]["model"]["name"] == "rerank"
    assert run["steps"][1]["output"] == {"scores": [0.1, 0.9, -3.5, 0.4]}
    assert (run["usage"], run["cost"]) == (found["usage"], found["cost"])
    assert (found["usage"]["input"], found["usage"]["estimated"], found["cost"]["unknown"]) == (28, True, False)


async def test_only_so_many_are_given_to_the_reranker_and_the_rest_follows(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "rerank", "top_n": 2})
    server.script(scores(0.1, 0.9))
    found = await books.search("needle")
    assert texts_of(found) == [TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[3]]
    assert [passage["scores"]["rerank"] for passage in found["passages"]] == [0.9, 0.1, None, None]
    assert server.last.body["documents"] == TEXTS[:2]


async def test_the_limit_cuts_after_reranking_and_the_window_widens_after_that(books: Library, server: ModelServer):
    await books.add("long", "before all", "needle five five five five five", "after all")
    await set_to(books, rerank={"model": "rerank"}, limit=1, window=1)
    server.script(scores(0, 0, 0, 0, 1))
    found = await books.search("needle")
    assert texts_of(found) == ["before all", "needle five five five five five", "after all"]
    assert [passage["scores"]["rerank"] for passage in found["passages"]] == [None, 1.0, None]
    assert len(server.last.body["documents"]) == 5


async def test_the_instruction_goes_before_the_query_and_a_title_before_the_text(books: Library, server: ModelServer):
    await books.add("titled", "haystack", title="Barn")
    await set_to(books, rerank={"model": "rerank", "instruction": "Prefer short ones."})
    await books.search("haystack")
    assert server.last.body["query"] == "Prefer short ones.\nhaystack"
    assert server.last.body["documents"] == ["Barn\nhaystack"]


async def test_nothing_found_is_nothing_to_be_asked(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "rerank"})
    found = await books.search("haystack")
    assert (found["passages"], found["rerank"]) == ([], {"model": None, "passages": 0, "unscored": 0})
    assert server.requests == []


async def test_what_a_reranker_leaves_out_follows_in_the_order_in_which_it_was_found(
    books: Library, server: ModelServer
):
    await set_to(books, rerank={"model": "rerank"})
    server.script(answered({"results": [{"index": 2, "relevance_score": 0.2}]}))
    found = await books.search("needle")
    assert texts_of(found) == [TEXTS[2], TEXTS[0], TEXTS[1], TEXTS[3]]
    assert found["rerank"]["unscored"] == 3


FAILING: list[str] = ["server_error", "bad_json", "html", "reset", "unauthorized", "rate_limited"]


async def test_a_reranker_that_fails_leaves_the_order_and_says_so(
    subtests: pytest.Subtests, books: Library, server: ModelServer
):
    for fault in FAILING:
        with subtests.test(str(fault)[:80]):
            await set_to(books, rerank={"model": "rerank"})
            server.script(FAULTS[fault])
            found = await books.search("needle")
            run = await books.last_run()
            code = found["rerank"]["failed"]
            assert found["rerank"] == {"failed": code}
            assert texts_of(found) == TEXTS
            assert f"({code})" in found["notes"][0]
            assert [(s["kind"], s["outcome"]) for s in run["steps"]] == [
                ("search", "completed"),
                ("rerank", code),
                ("attempt", code),
            ]
            assert (run["outcome"], run["usage"]) == ("completed", found["usage"])


async def test_a_reranker_that_does_not_answer_in_time_leaves_the_order(books: Library, server: ModelServer):
    await books.magnet.do("PATCH", "/v1/models/rerank", {"routing": {"timeout": BRIEF}})
    await set_to(books, rerank={"model": "rerank"})
    server.script(FAULTS["hang_before_headers"])
    found = await books.search("needle")
    assert (texts_of(found), found["rerank"]) == (TEXTS, {"failed": "model_call_timed_out"})


async def test_a_reranker_that_is_switched_off_leaves_the_order(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "rerank"})
    await books.magnet.do("PATCH", "/v1/models/rerank", {"active": False})
    found = await books.search("needle")
    assert (texts_of(found), found["rerank"], server.requests) == (TEXTS, {"failed": "model_inactive"}, [])


async def test_a_fallback_of_the_reranker_takes_over_and_both_attempts_are_on_record(
    books: Library, server: ModelServer
):
    other = {"name": "other", "provider": "house", "model": "other-model", "kind": "rerank", "prices": PRICES}
    await books.magnet.do("POST", "/v1/models", other)
    await books.magnet.do("PATCH", "/v1/models/rerank", {"routing": {"fallbacks": ["other"]}})
    await set_to(books, rerank={"model": "rerank"})
    server.script_for("rerank-model", insufficient_quota())
    found = await books.search("three")
    assert found["rerank"]["model"]["name"] == "other"
    steps = (await books.last_run())["steps"]
    assert [(s["kind"], s["name"], s["outcome"]) for s in steps[2:]] == [
        ("attempt", "rerank", "insufficient_quota"),
        ("attempt", "other", "ok"),
    ]


async def test_a_chat_model_is_asked_once_for_scores_as_json(books: Library, server: ModelServer):
    await books.magnet.do("PATCH", "/v1/models/chat", {"capabilities": {"json_schema": True}})
    await set_to(books, rerank={"model": "chat", "instruction": "Prefer short ones."})
    server.script(said(1, 9.5, 0, 5))
    found = await books.search("needle")
    run = await books.last_run()
    assert texts_of(found) == [TEXTS[1], TEXTS[3], TEXTS[0], TEXTS[2]]
    assert [passage["scores"]["rerank"] for passage in found["passages"]] == [0.95, 0.5, 0.1, 0.0]
    assert (found["rerank"]["model"]["name"], found["rerank"]["unscored"]) == ("chat", 0)
    [request] = server.requests
    assert request.body["response_format"]["type"] == "json_schema"
    assert "Prefer short ones." in request.body["messages"][0]["content"]
    lines = [json.loads(line) for line in request.question.splitlines()]
    assert lines[0] == {"query": "needle"}
    assert [line["text"] for line in lines[1:]] == TEXTS
    assert [(s["kind"], s["parent"], s["outcome"]) for s in run["steps"][1:]] == [
        ("rerank", 1, "completed"),
        ("attempt", 2, "ok"),
    ]
    assert found["cost"]["amount"] != "0"
    assert (run["usage"], run["cost"]) == (found["usage"], found["cost"])


async def test_json_within_a_fence_is_read_and_what_is_left_out_follows(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "chat"})
    server.script(Reply(text='Here you are:\n```json\n{"scores": [{"passage": 4, "score": 10}]}\n```'))
    found = await books.search("needle")
    assert (texts_of(found), found["rerank"]["unscored"]) == ([TEXTS[3], *TEXTS[:3]], 3)
    assert "response_format" not in server.last.body


WRONG = [
    "I would rather not.",
    "{}",
    "[1, 2]",
    '{"scores": []}',
    '{"scores": "high"}',
    '{"scores": [7]}',
    '{"scores": [{"passage": 0, "score": 1}]}',
    '{"scores": [{"passage": 5, "score": 1}]}',
    '{"scores": [{"passage": "1", "score": 1}]}',
    '{"scores": [{"passage": true, "score": 1}]}',
    '{"scores": [{"passage": 1, "score": 11}]}',
    '{"scores": [{"passage": 1, "score": -1}]}',
    '{"scores": [{"passage": 1, "score": null}]}',
    '{"scores": [{"passage": 1, "score": "9"}]}',
    '{"scores": [{"passage": 1, "score": 1}, {"passage": 1, "score": 2}]}',
    '{"scores": [{"passage": 1, "score": 1}',
    "[" * 10_000,
]


async def test_a_chat_model_that_answers_wrongly_loses_no_passage(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "chat"})
    cut = Reply(text=said(1, 2, 3, 4).text, finish_reason="length")
    for reply in (*(Reply(text=text) for text in WRONG), Reply(text=""), cut):
        server.script(reply)
        found = await books.search("needle")
        failed = found["rerank"].get("failed")
        assert failed in ("invalid_output", "invalid_response"), (reply, found["rerank"])
        assert texts_of(found) == TEXTS
        steps = (await books.last_run())["steps"]
        assert steps[1]["outcome"] == failed
        assert found["usage"]["input"] > 0, "what was answered wrongly is paid for all the same"


async def test_an_answer_is_made_of_the_passages_in_their_new_order(books: Library, server: ModelServer):
    await books.magnet.do("PATCH", "/v1/models/chat", {"default": True})
    await set_to(books, rerank={"model": "rerank"}, limit=2)
    server.script_for("rerank-model", scores(0, 0, 0.5, 1))
    server.script_for("chat-model", Reply(text="It is four [1]."))
    answer = await books.ask("needle")
    run = await books.last_run()
    assert texts_of(answer) == [TEXTS[3], TEXTS[2]]
    assert answer["citations"][0]["passage_id"] == answer["passages"][0]["id"]
    assert answer["rerank"]["model"]["name"] == "rerank"
    assert (run["usage"], run["cost"]) == (answer["usage"], answer["cost"])
    said_by = next(step for step in run["steps"] if step["kind"] == "model_call")
    assert said_by["model"]["name"] == "chat"
    assert answer["timings_ms"]["search"] >= answer["timings_ms"]["rerank"] > 0


async def test_settings_are_checked_where_they_are_saved_and_where_they_are_tried(books: Library):
    embedding = {"name": "vectors", "provider": "house", "model": "v", "kind": "embedding"}
    await books.magnet.do("POST", "/v1/models", embedding)
    for wrong, code, pointer in (
        ({"model": "vectors"}, "wrong_model_kind", "/rerank/model"),
        ({"model": "nothing"}, "unknown_reference", "/rerank/model"),
        ({"model": "rerank", "top_n": 0}, "greater_than_equal", "/rerank/top_n"),
        ({"model": "rerank", "top_n": 101}, "less_than_equal", "/rerank/top_n"),
        ({"model": "rerank", "instruction": ""}, "string_too_short", "/rerank/instruction"),
        ({"model": "rerank", "more": 1}, "extra_forbidden", "/rerank/more"),
        ({}, "missing", "/rerank/model"),
    ):
        saved = await books.magnet.call("PATCH", "/v1/retrieval-tools/find", {"rerank": wrong})
        assert saved.status_code == 422, (wrong, saved.text)
        assert [(e["code"], e["pointer"]) for e in saved.json()["errors"]] == [(code, pointer)]
        definition = {"sources": ["handbook"], "rerank": wrong}
        tried = await books.call("/v1/retrieval-tools:preview", {"definition": definition, "query": "needle"})
        assert [(e["code"], e["pointer"]) for e in tried.json()["errors"]] == [(code, f"/definition{pointer}")]


async def test_a_variant_may_rerank_and_a_model_that_reranks_is_not_archived(books: Library, server: ModelServer):
    variants = {"better": {"weight": 0, "rerank": {"model": "rerank"}}}
    await set_to(books, variants=variants)
    server.script(scores(0, 0, 0, 1))
    assert texts_of(await books.search("needle", variant="better"))[0] == TEXTS[3]
    assert texts_of(await books.search("needle", variant="default")) == TEXTS
    refused = await books.magnet.call("DELETE", "/v1/models/rerank")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")


async def test_who_may_not_find_a_document_has_it_neither_found_nor_given_to_the_reranker(
    books: Library, server: ModelServer
):
    await books.add("board", "needle of the board", acl=["board"])
    await set_to(books, rerank={"model": "rerank"}, window=2)
    admin = await books.magnet.do("POST", "/v1/api-keys", {"name": "ops", "roles": ["admin"]})
    headers = {"Authorization": f"Bearer {admin['key']}"}
    made = await books.magnet.call("POST", "/v1/api-keys", {"name": "reader", "roles": ["user"]}, **headers)
    key = made.json()["key"]
    found = await books.call(
        "/v1/retrieval-tools/find/search", {"query": "needle board"}, Authorization=f"Bearer {key}"
    )
    assert "board" not in json.dumps(found.json()["passages"])
    assert "needle of the board" not in server.last.body["documents"]


async def test_a_provider_that_is_down_is_not_asked_again_and_searches_go_on(books: Library, server: ModelServer):
    await set_to(books, rerank={"model": "rerank"})
    server.script(*[server_error()] * 5)
    codes = [(await books.search("needle"))["rerank"]["failed"] for _ in range(6)]
    assert codes == ["provider_error"] * 5 + ["provider_unavailable"]
    assert len(server.requests) == 5


@pytest.mark.parametrize("kind", ["rerank", "chat"])
async def test_whatever_fault_a_reranker_has_no_passage_is_lost_and_what_it_took_sums_up(
    books: Library, server: ModelServer, kind: str
):
    faults = [
        name for name, step in FAULTS.items() if kind == "chat" or not (isinstance(step, Reply) or "long" in name)
    ]
    for name in faults:
        named = {"name": name.replace("_", "-")}
        waits = {"timeouts": timeouts(name, stream=False)}
        provider = {**named, "type": "openai_compatible", "base_url": server.url} | waits
        await books.magnet.do("POST", "/v1/providers", provider)  # of its own: none meets the breaker of another
        model = {**named, "provider": provider["name"], "model": name, "kind": kind, "prices": PRICES}
        await books.magnet.do("POST", "/v1/models", {**model, "routing": {"retries": 0}})
        await set_to(books, rerank={"model": model["name"]})
        server.script_for(name, FAULTS[name])
        found = await books.search("needle")
        run = await books.last_run()
        assert texts_of(found) == TEXTS, name
        failed = found["rerank"]["failed"]
        assert [(s["kind"], s["outcome"]) for s in run["steps"][:2]] == [("search", "completed"), ("rerank", failed)]
        assert sum(step["usage"]["total"] for step in run["steps"]) == run["usage"]["total"] == found["usage"]["total"]
        assert run["outcome"] == "completed"
    await server.until(lambda: all(request.ended for request in server.requests))
    assert server.left == 0
    rows = (await books.magnet.get("/v1/usage?by=kind"))["items"]
    assert [(row["count"], row["errors"]) for row in rows] == [(len(faults), 0)]
