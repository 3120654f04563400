"""Queries rewritten and searched for in several forms: what is asked, what is found, what it takes on record."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.library import Library, library
from tests.support.model_server import FAULTS, ModelServer, Reply, server_error
from tests.support.server import Running

HOLIDAYS, LUNCH, PARKING = "Holidays are thirty days.", "Lunch is at noon.", "Cars are parked behind the house."


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Three documents that are searched by words and vectors, and a chat model."""
    async with library(magnet) as made:
        await made.models(server)
        await made.tools()
        for name, text in (("leave", HOLIDAYS), ("food", LUNCH), ("cars", PARKING)):
            await made.add(name, text)
        server.requests.clear()
        yield made


async def set_to(books: Library, **settings: Any) -> None:
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", settings)


def variants(*queries: Any) -> Reply:
    return Reply(text=json.dumps({"queries": queries}))


def asked(server: ModelServer, path: str) -> list[Any]:
    return [request for request in server.requests if request.path.endswith(path)]


def steps_of(run: Any) -> list[tuple[str, int | None, str]]:
    return [(step["kind"], step["parent"], step["outcome"]) for step in run["steps"]]


async def test_both_are_off_unless_they_are_set(books: Library, server: ModelServer):
    found = await books.search("lunch")
    assert (found["rewrite"], found["translate"], found["multi_query"]) == (None, None, None)
    assert asked(server, "/chat/completions") == []


async def test_a_query_is_rewritten_and_the_new_one_is_searched_for(books: Library, server: ModelServer):
    await set_to(books, rewrite={})
    server.script_for("chat-model", Reply(text=" lunch noon\n"))
    found = await books.search("wen is diner??", limit=1)
    run = await books.last_run()
    assert [passage["text"] for passage in found["passages"]] == [LUNCH]
    assert (found["rewrite"]["query"], found["rewrite"]["model"]["name"]) == ("lunch noon", "chat")
    [request] = asked(server, "/chat/completions")
    assert request.question == "wen is diner??"
    assert [each.body["input"] for each in asked(server, "/embeddings")] == [["lunch noon"]]
    assert steps_of(run) == [
        ("search", None, "completed"),
        ("rewrite", 1, "completed"),
        ("attempt", 2, "ok"),
        ("embedding", 1, "ok"),
    ]
    assert run["steps"][1]["output"] == {"query": "lunch noon"}
    assert run["steps"][1]["model"]["name"] == "chat"
    assert run["input"]["query"] == "wen is diner??"
    assert (run["usage"], run["cost"]) == (found["usage"], found["cost"])
    assert found["usage"]["output"] == 2
    assert found["timings_ms"]["total"] >= found["timings_ms"]["rewrite"] > 0


async def test_a_query_is_rewritten_by_a_prompt_and_a_model_of_ones_own(books: Library, server: ModelServer):
    small = {"name": "small", "provider": "house", "model": "small-model", "kind": "chat"}
    await books.magnet.do("POST", "/v1/models", small)
    prompt = {"name": "in-english", "text": "In English: {{ query }}", "variables": {"query": {}}}
    await books.magnet.do("POST", "/v1/prompts", prompt)
    await set_to(books, rewrite={"prompt": "in-english", "model": "small"})
    server.script_for("small-model", Reply(text="lunch"))
    found = await books.search("Mittagessen {{ x }}")
    run = await books.last_run()
    assert (found["rewrite"]["query"], found["rewrite"]["model"]["name"]) == ("lunch", "small")
    assert asked(server, "/chat/completions")[0].question == "In English: Mittagessen {{ x }}"
    assert [prompt["name"] for prompt in run["versions"]["prompts"]] == ["in-english"]


async def test_a_query_is_translated_and_searched_for_in_both_languages_at_once(books: Library, server: ModelServer):
    await set_to(books, translate={"to": "English"}, multi_query={"queries": 1})
    server.script_for("chat-model", Reply(text="lunch noon"), variants("cars"))
    found = await books.search("Mittagessen parked", highlight=True)
    run = await books.last_run()
    assert (found["translate"]["query"], found["translate"]["model"]["name"]) == ("lunch noon", "chat")
    assert "in this language: English" in asked(server, "/chat/completions")[0].prompt
    [embedded] = asked(server, "/embeddings")
    assert embedded.body["input"] == ["lunch noon", "Mittagessen parked", "cars"]
    assert {passage["text"] for passage in found["passages"][:2]} == {LUNCH, PARKING}
    marked = {passage["text"][start:end] for passage in found["passages"] for start, end in passage["highlights"]}
    assert marked >= {"Lunch", "noon", "parked"}
    assert [step["kind"] for step in run["steps"] if step["parent"] == 1] == ["translate", "multi_query", "embedding"]
    server.requests.clear()
    await set_to(books, multi_query=None)
    server.script_for("chat-model", Reply(text="lunch"))
    await books.search("lunch")
    assert [each.body["input"] for each in asked(server, "/embeddings")] == [["lunch"]]


async def test_several_forms_are_searched_in_one_go_and_become_one_order(books: Library, server: ModelServer):
    await set_to(books, multi_query={"queries": 2})
    server.script_for("chat-model", variants("holidays days", "  Cars  parked "))
    found = await books.search("lunch noon")
    run = await books.last_run()
    assert {passage["text"] for passage in found["passages"][:3]} == {HOLIDAYS, LUNCH, PARKING}
    assert found["multi_query"]["queries"] == ["holidays days", "Cars  parked"]
    [embedded] = asked(server, "/embeddings")
    assert embedded.body["input"] == ["lunch noon", "holidays days", "Cars  parked"]
    assert "Write 2 further queries" in asked(server, "/chat/completions")[0].prompt
    assert steps_of(run) == [
        ("search", None, "completed"),
        ("multi_query", 1, "completed"),
        ("attempt", 2, "ok"),
        ("embedding", 1, "ok"),
    ]
    assert run["steps"][1]["note"] == {"queries": 2}
    assert (run["usage"], run["cost"]) == (found["usage"], found["cost"])
    assert found["timings_ms"]["multi_query"] > 0


async def test_the_query_itself_and_what_comes_twice_or_too_much_is_not_searched_for_again(
    books: Library, server: ModelServer
):
    await set_to(books, multi_query={"queries": 2})
    server.script_for("chat-model", variants("LUNCH", "noon", "Noon", "food", "table"))
    found = await books.search("lunch")
    assert found["multi_query"]["queries"] == ["noon", "food"]


async def test_a_query_is_rewritten_then_multiplied_then_found_then_reranked_by_the_rewritten_one(
    books: Library, server: ModelServer
):
    rerank = {"name": "rerank", "provider": "house", "model": "rerank-model", "kind": "rerank"}
    await books.magnet.do("POST", "/v1/models", rerank)
    await set_to(books, rewrite={}, multi_query={"queries": 1}, rerank={"model": "rerank"}, fusion="rrf", window=1)
    server.script_for("chat-model", Reply(text="lunch noon"), variants("cars"))
    found = await books.search("wen is diner")
    run = await books.last_run()
    assert found["passages"][0]["text"] == LUNCH
    assert asked(server, "/rerank")[0].body["query"] == "lunch noon"
    assert asked(server, "/chat/completions")[1].question == "lunch noon"
    assert [step["kind"] for step in run["steps"] if step["parent"] == 1] == [
        "rewrite",
        "multi_query",
        "embedding",
        "rerank",
    ]
    assert set(found["timings_ms"]) == {"rewrite", "multi_query", "embed", "sql", "fuse", "rerank", "total"}


WRONG_QUERIES = [
    "none",
    "[]",
    "{}",
    '{"queries": []}',
    '{"queries": "noon"}',
    '{"queries": [1]}',
    '{"queries": ["noon", null]}',
    '{"queries": [" "]}',
    '{"queries": ["lunch"]}',
    json.dumps({"queries": ["n" * 10_001]}),
]


async def test_what_a_model_answers_wrongly_leaves_the_search_as_it_was_asked(books: Library, server: ModelServer):
    plain = await books.search("lunch")
    await set_to(books, multi_query={})
    for text in WRONG_QUERIES:
        server.script_for("chat-model", Reply(text=text))
        found = await books.search("lunch")
        assert found["multi_query"] == {"failed": "invalid_output"}, text
        assert found["passages"] == plain["passages"]
        assert "(invalid_output)" in found["notes"][0]
    server.script_for("chat-model", Reply(text='{"queries": ["no\\u0000on"]}'))
    assert (await books.search("lunch"))["multi_query"]["queries"] == ["no\ufffdon"]  # what is no text there is data
    await set_to(books, multi_query=None, rewrite={})
    for reply in (Reply(text=" "), Reply(text="n" * 10_001), Reply(text="lun", finish_reason="length")):
        server.script_for("chat-model", reply)
        found = await books.search("lunch")
        assert found["rewrite"]["failed"] in ("invalid_output", "invalid_response")
        assert found["passages"] == plain["passages"]


@pytest.mark.parametrize("settings", [{"rewrite": {}}, {"multi_query": {}}, {"translate": {"to": "en"}}])
async def test_a_model_that_fails_leaves_the_search_as_it_was_asked_and_its_attempts_are_on_record(
    subtests: pytest.Subtests, books: Library, server: ModelServer, settings: Any
):
    await set_to(books, **settings)
    for fault in ("server_error", "html", "reset", "unauthorized", "insufficient_quota"):
        with subtests.test(fault):
            server.script_for("chat-model", FAULTS[fault])
            found = await books.search("lunch noon", limit=1)
            run = await books.last_run()
            [stage] = settings
            code = found[stage]["failed"]
            assert [passage["text"] for passage in found["passages"]] == [LUNCH]
            assert steps_of(run)[:3] == [("search", None, "completed"), (stage, 1, code), ("attempt", 2, code)]
            assert run["steps"][0]["note"][stage] == {"failed": code}
            assert f"({code})" in found["notes"][0]
            assert (run["outcome"], run["usage"]) == ("completed", found["usage"])


async def test_without_a_chat_model_the_search_goes_on_and_says_so(books: Library):
    await books.magnet.do("PATCH", "/v1/models/chat", {"default": False})
    await set_to(books, rewrite={}, multi_query={})
    found = await books.search("lunch noon", limit=1)
    assert (found["rewrite"], found["multi_query"]) == ({"failed": "no_model"}, {"failed": "no_model"})
    assert [passage["text"] for passage in found["passages"]] == [LUNCH]


async def test_a_prompt_that_can_not_be_rendered_leaves_the_search_as_it_was_asked(books: Library):
    prompt = {"name": "more", "text": "{{ more }}", "variables": {"more": {}}}
    await books.magnet.do("POST", "/v1/prompts", prompt)
    await set_to(books, rewrite={"prompt": "more"})
    found = await books.search("lunch")
    assert found["rewrite"]["failed"]
    assert found["passages"][0]["text"] == LUNCH


async def test_an_answer_is_found_by_the_rewritten_query_and_given_to_the_question_as_it_was_asked(
    books: Library, server: ModelServer
):
    await set_to(books, rewrite={}, limit=1)
    server.script_for("chat-model", Reply(text="lunch noon"), Reply(text="At noon [1]."))
    answer = await books.ask("wen is diner?")
    assert (answer["text"], answer["rewrite"]["query"]) == ("At noon [1].", "lunch noon")
    assert asked(server, "/chat/completions")[1].question.endswith("Question: wen is diner?")


async def test_embeddings_that_fail_leave_all_forms_to_the_words(books: Library, server: ModelServer):
    await set_to(books, multi_query={})
    server.script_for("chat-model", variants("cars"))
    server.script_for("embedding-model", server_error())
    found = await books.search("lunch")
    assert found["retrieval"] == "lexical"
    assert {passage["text"] for passage in found["passages"]} == {LUNCH, PARKING}


async def test_what_is_made_of_a_query_is_sealed_in_the_log(books: Library, server: ModelServer):
    await set_to(books, rewrite={}, multi_query={})
    server.script_for("chat-model", Reply(text="canary-one"), variants("canary-two"))
    await books.search("lunch")
    async with books.magnet.container.pool.connection() as connection:
        cursor = await connection.execute("SELECT convert_from(state, 'UTF8') FROM magnet.magnet_events")
        assert not [row for row in await cursor.fetchall() if "canary" in row[0]]
    assert "canary-two" in json.dumps(await books.last_run())


async def test_settings_that_make_no_sense_are_refused(books: Library):
    for wrong, code, pointer in (
        ({"rewrite": {"model": "embedding"}}, "wrong_model_kind", "/rewrite/model"),
        ({"rewrite": {"prompt": "nothing"}}, "unknown_reference", "/rewrite/prompt"),
        ({"multi_query": {"model": "embedding"}}, "wrong_model_kind", "/multi_query/model"),
        ({"multi_query": {"queries": 0}}, "greater_than_equal", "/multi_query/queries"),
        ({"multi_query": {"queries": 11}}, "less_than_equal", "/multi_query/queries"),
        ({"fusion": "best"}, "literal_error", "/fusion"),
        ({"variants": {"b": {"rewrite": {"model": "embedding"}}}}, "wrong_model_kind", "/variants/b/rewrite/model"),
    ):
        saved = await books.magnet.call("PATCH", "/v1/retrieval-tools/find", wrong)
        assert saved.status_code == 422, (wrong, saved.text)
        assert [(e["code"], e["pointer"]) for e in saved.json()["errors"]] == [(code, pointer)]
