"""Searching over HTTP: what is found, how it is narrowed, what is recorded, and who finds what."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.retrieval.searcher import PostgresSearcher
from domain.errors import Unavailable
from tests.support.library import Library, library
from tests.support.model_server import ModelServer, server_error
from tests.support.server import Running

SEARCH = "/v1/retrieval-tools/find/search"
HOLIDAYS, LUNCH = "Holidays are thirty days a year.", "Lunch is at noon, on thirty tables."


@pytest.fixture
async def books(magnet: Running) -> AsyncIterator[Library]:
    """A source that is searched by words, since there is no model."""
    async with library(magnet) as made:
        await made.tools()
        yield made


async def test_a_search_has_passages_scores_timings_and_a_run_with_exact_versions(magnet: Running):
    with ModelServer(vectors="words") as server:
        async with library(magnet) as books:
            await books.models(server, chat=False)
            await books.tools()
            document = await books.add("a", HOLIDAYS, title="Leave", metadata={"year": 2026})
            await books.add("b", LUNCH)
            found = await books.search("thirty holidays", subject="u1")
            run = await books.last_run()
    first = found["passages"][0]
    assert set(first) >= {"id", "text", "score", "scores", "document", "start", "end", "page", "metadata"}
    assert (first["text"], first["start"], first["end"], first["page"]) == (HOLIDAYS, 0, len(HOLIDAYS), None)
    assert first["document"] == {
        "id": str(document.id),
        "version": 1,
        "external_id": "a",
        "title": "Leave",
        "url": None,
    }
    assert first["metadata"] == {"year": 2026}
    assert set(first["scores"]) == {"vector", "lexical", "fused", "weighed", "rerank"}
    assert (first["also_in"], first["highlights"], found["facets"]) == ([], None, None)
    assert (found["retrieval"], found["filter"], found["notes"]) == ("hybrid", None, [])
    assert found["index_version"] == {document.source: 1}
    assert set(found["timings_ms"]) == {"embed", "sql", "fuse", "total"}
    assert found["usage"]["input"] == 2
    assert found["cost"] == {"amount": "0.000004", "currency": "USD", "unknown": False}
    assert run["id"] == found["run_id"]
    assert (run["kind"], run["outcome"], run["subject"]) == ("search", "completed", "u1")
    assert (run["versions"]["retrieval_tool"]["name"], run["versions"]["retrieval_tool"]["version"]) == ("find", 1)
    assert run["versions"]["index"] == {document.source: 1}
    assert run["versions"]["model"]["name"] == "embedding"
    assert [(step["kind"], step["parent"]) for step in run["steps"]] == [("search", None), ("embedding", 1)]
    assert (run["usage"], run["cost"]) == (found["usage"], found["cost"])
    assert run["output"] == {"passages": [passage["id"] for passage in found["passages"]]}


async def test_without_a_model_words_are_searched_and_the_answer_says_so(books: Library):
    await books.add("a", HOLIDAYS)
    found = await books.search("thirty holidays")
    assert (found["retrieval"], found["passages"][0]["text"]) == ("lexical", HOLIDAYS)
    assert found["cost"] == {"amount": "0", "currency": None, "unknown": False}


async def test_a_caller_may_ask_for_fewer_passages_and_for_another_version(books: Library):
    for number in range(3):
        await books.add(f"{number}", f"needle {number}")
    assert len((await books.search("needle", limit=2))["passages"]) == 2
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find", {"limit": 1})
    assert len((await books.search("needle"))["passages"]) == 3
    newest = await books.call(SEARCH, {"query": "needle", "version": 2})
    assert len(newest.json()["passages"]) == 1
    run = await books.last_run()
    assert (run["versions"]["retrieval_tool"]["version"], run["target"]["version"]) == (2, 2)


async def test_a_variant_is_taken_by_name_or_by_subject_always_the_same(books: Library):
    variants = {"short": {"weight": 1, "limit": 1}}
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", {"variants": variants})
    for number in range(3):
        await books.add(f"{number}", f"needle {number}")
    assert len((await books.search("needle", variant="short"))["passages"]) == 1
    assert len((await books.search("needle", variant="default"))["passages"]) == 3
    counts = {
        subject: {len((await books.search("needle", subject=subject))["passages"]) for _ in range(2)}
        for subject in "abcdefghij"
    }
    assert all(len(each) == 1 for each in counts.values())
    assert set.union(*counts.values()) == {1, 3}
    unknown = await books.call(SEARCH, {"query": "needle", "variant": "long"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_variant")


async def test_a_filter_is_understood_in_the_fields_types_and_echoed(books: Library):
    await books.add("old", "needle one", metadata={"at": "2024-05-01", "n": 1})
    await books.add("new", "needle two", metadata={"at": "2026-05-01", "n": 2})
    asked = {"type": "and", "filters": [{"type": "gte", "key": "n", "value": 2}, {"type": "exists", "key": "at"}]}
    found = await books.search("needle", filter=asked)
    assert [passage["document"]["external_id"] for passage in found["passages"]] == ["new"]
    assert found["filter"]["filters"][0] == {"type": "gte", "key": "n", "value": 2}
    assert found["filter"]["filters"][1] == {"type": "exists", "key": "at", "value": True}


HOSTILE: list[tuple[Any, str, str]] = [
    ({"type": "eq", "key": "x') OR '1'='1", "value": 1}, "unknown_field", "/filter/key"),
    ({"type": "eq", "key": "a\"}'::jsonb", "value": 1}, "unknown_field", "/filter/key"),
    ({"type": "eq", "key": "$.x", "value": 1}, "unknown_field", "/filter/key"),
    ({"type": "eq", "key": "a->b", "value": 1}, "unknown_field", "/filter/key"),
    ({"type": "eq", "key": "%s%n", "value": 1}, "unknown_field", "/filter/key"),
    ({"type": "eq", "key": "k" * 65, "value": 1}, "invalid_key", "/filter/key"),
    ({"type": "eq", "key": "", "value": 1}, "invalid_key", "/filter/key"),
    ({"type": "eq", "key": ["n"], "value": 1}, "invalid_key", "/filter/key"),
    ({"type": "$where", "key": "n", "value": 1}, "unknown_operator", "/filter/type"),
    ({"type": "regex", "key": "n", "value": ".*"}, "unknown_operator", "/filter/type"),
    ({"type": "or", "filters": [{"type": "eq", "key": "n", "value": 1}] * 10_000}, "filter_too_large", "/filter"),
    ({"type": "in", "key": "n", "value": list(range(100_000))}, "list_type", "/filter/value"),
    ({"type": "eq", "key": "n", "value": "1"}, "wrong_type", "/filter/value"),
    ({"type": "eq", "key": "n", "value": True}, "wrong_type", "/filter/value"),
    ({"type": "eq", "key": "n", "value": None}, "wrong_type", "/filter/value"),
    ({"type": "eq", "key": "n", "value": {"$gt": 0}}, "wrong_type", "/filter/value"),
    ({"type": "eq", "key": "n", "value": 1, "more": 1}, "extra_forbidden", "/filter"),
    ({"type": "not", "filters": []}, "list_type", "/filter/filters"),
    ({}, "unknown_operator", "/filter/type"),
]


@pytest.mark.parametrize(("path", "word"), [(SEARCH, "query"), ("/v1/rag-tools/ask/answer", "question")])
async def test_a_hostile_filter_is_a_422_that_points_at_it_and_nothing_is_recorded(
    books: Library, path: str, word: str
):
    await books.add("a", "needle", metadata={"n": 1})
    await books.search("needle")
    head = await books.magnet.container.log.head()
    for filter, code, pointer in HOSTILE:
        answer = await books.call(path, {word: "needle", "filter": filter})
        assert answer.status_code == 422, (filter, answer.text)
        [error] = answer.json()["errors"]
        assert error["code"] == code, (str(filter)[:100], error)
        assert error["pointer"].startswith(pointer), (str(filter)[:100], error)
        assert "OR '1'" not in answer.text
    assert await books.magnet.container.log.head() == head


async def test_a_hostile_key_that_documents_really_have_is_data(books: Library):
    keys = ["x') OR '1'='1", "a\"}'::jsonb", "$.x", "a->b", "%s", "{}", "__proto__", "{{7*7}}"]
    await books.add("a", "needle one", metadata=dict.fromkeys(keys, "yes"))
    await books.add("b", "needle two", metadata=dict.fromkeys(keys, "no"))
    for key in keys:
        found = await books.search("needle", filter={"type": "eq", "key": key, "value": "yes"})
        assert [passage["document"]["external_id"] for passage in found["passages"]] == ["a"], key


NO_SEARCHES: list[dict[str, Any]] = [
    {},
    {"query": ""},
    {"query": 5},
    {"query": "n" * 10_001},
    {"query": "needle", "limit": 0},
    {"query": "needle", "limit": 10**9},
    {"query": "needle", "limit": "5"},
    {"query": "needle", "limit": True},
    {"query": "needle", "limit": 1.0},
    {"query": "needle", "filter": "n = 1"},
    {"query": "needle", "filter": []},
    {"query": "needle", "groups": ["board"]},
    {"query": "needle", "run_id": "x"},
    {"query": "needle", "version": 1, "label": None},
]


async def test_what_a_search_can_not_mean_is_a_422(subtests: pytest.Subtests, books: Library):
    for body in NO_SEARCHES:
        with subtests.test(str(body)[:80]):
            answer = await books.call(SEARCH, body)
            assert answer.status_code == 422
            assert answer.json()["errors"]


async def test_words_that_look_like_operators_are_words(books: Library):
    await books.add("a", "needle & | ! <-> :* ' \\ thread")
    for query in ("needle & !thread", "'; DROP TABLE x; --", "needle:*", "\\", "' | '", "%s%n", "\u202eeldeen needle"):
        assert (await books.search(query))["retrieval"] == "lexical", query


async def test_a_tool_that_takes_no_filter_says_so(books: Library):
    await books.add("a", "needle", metadata={"n": 1})
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", {"allow_filter": False})
    filter = {"type": "eq", "key": "n", "value": 1}
    for path, word in ((SEARCH, "query"), ("/v1/rag-tools/ask/answer", "question")):
        refused = await books.call(path, {word: "needle", "filter": filter})
        assert (refused.status_code, refused.json()["code"]) == (422, "no_filter")
        assert refused.json()["errors"][0]["pointer"] == "/filter"
    assert len((await books.search("needle"))["passages"]) == 1


async def test_a_tool_that_is_absent_or_archived_does_not_search(books: Library):
    absent = await books.call("/v1/retrieval-tools/other/search", {"query": "needle"})
    assert absent.status_code == 404
    label = await books.call(SEARCH, {"query": "needle", "label": "staging"})
    assert (label.status_code, label.json()["code"]) == (404, "unknown_label")
    await books.magnet.do("DELETE", "/v1/rag-tools/ask")
    await books.magnet.do("DELETE", "/v1/retrieval-tools/find")
    archived = await books.call(SEARCH, {"query": "needle"})
    assert (archived.status_code, archived.json()["code"]) == (409, "archived")


async def test_a_provider_that_fails_is_a_recorded_run_and_an_error_only_where_there_is_no_other_way(magnet: Running):
    with ModelServer(vectors="words") as server:
        async with library(magnet) as books:
            await books.models(server, chat=False)
            await books.tools(mode="vector")
            await books.add("a", HOLIDAYS)
            server.script(server_error(), server_error())
            failed = await books.call(SEARCH, {"query": "holidays"})
            run = await books.last_run()
            await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", {"mode": "hybrid"})
            found = await books.search("holidays")
            noted = await books.last_run()
    assert (failed.status_code, failed.json()["upstream_status"]) == (502, 500)
    assert (run["outcome"], run["error"]["code"]) == ("failed", failed.json()["code"])
    assert found["retrieval"] == "lexical"
    assert "could not be embedded" in found["notes"][0]
    assert [step["outcome"] for step in noted["steps"]] == ["completed", failed.json()["code"]]


async def test_settings_are_tried_before_they_are_saved(books: Library):
    await books.add("a", "needle one")
    await books.add("b", "needle two")
    path = "/v1/retrieval-tools:preview"
    settings = {"sources": ["handbook"], "limit": 1}
    found = (await books.call(path, {"definition": settings, "query": "needle"})).json()
    assert len(found["passages"]) == 1
    run = await books.last_run()
    assert run["id"] == found["run_id"]
    assert run["target"]["id"] is None
    for wrong, code, pointer in (
        ({"sources": []}, "too_short", "/definition/sources"),
        ({"sources": ["nowhere"]}, "unknown_reference", "/definition/sources/0"),
        ({"sources": [5]}, "string_type", "/definition/sources/0"),
        ({"sources": ["handbook"], "filter": {"type": "regex"}}, "value_error", "/definition/filter"),
        ({**settings, "id": "x"}, "extra_forbidden", "/definition/id"),
    ):
        refused = await books.call(path, {"definition": wrong, "query": "needle"})
        assert refused.status_code == 422, refused.text
        assert (refused.json()["errors"][0]["code"], refused.json()["errors"][0]["pointer"]) == (code, pointer)
    await books.magnet.do("POST", "/v1/knowledge-sources", {"name": "old", "type": "files"})
    await books.magnet.do("DELETE", "/v1/knowledge-sources/old")
    archived = await books.call(path, {"definition": {"sources": ["old"]}, "query": "needle"})
    assert (archived.status_code, archived.json()["code"]) == (409, "archived")


async def test_what_is_searched_for_is_sealed_in_the_log(books: Library):
    await books.add("a", "needle")
    await books.search("canary-query")
    async with books.magnet.container.pool.connection() as connection:
        cursor = await connection.execute("SELECT convert_from(state, 'UTF8') FROM magnet.magnet_events")
        assert not [row for row in await cursor.fetchall() if "canary-query" in row[0]]
    assert "canary-query" in json.dumps(await books.last_run())


async def test_a_caller_may_ask_for_facets_matched_words_and_an_index_of_a_source(books: Library):
    await books.add("a", HOLIDAYS, metadata={"year": 2026})
    document = await books.add("b", LUNCH, metadata={"year": 2025})
    found = await books.search("thirty holidays lunch", facets=["year"], highlight=True, index_version={"handbook": 1})
    assert found["facets"]["year"]["values"] == [
        {"value": 2025, "documents": 1},
        {"value": 2026, "documents": 1},
    ]
    for passage in found["passages"]:
        assert passage["highlights"]
        words = {passage["text"][start:end].lower() for start, end in passage["highlights"]}
        assert words <= {"thirty", "holidays", "lunch"}
    assert found["index_version"] == {document.source: 1}
    asked = {"query": "lunch", "index_version": {"handbook": 1, document.source: 7}, "facets": ["month"]}
    refusals = [
        (asked, "/facets/0", "unknown_field"),
        (asked | {"facets": []}, f"/index_version/{document.source}", "unknown_index"),
        (asked | {"facets": [], "index_version": {"other": 1}}, None, "unknown_source"),
        (asked | {"index_version": {"handbook": 0}}, "/index_version/handbook", "greater_than_equal"),
    ]
    for body, pointer, code in refusals:
        refused = await books.call("/v1/retrieval-tools/find/search", body)
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["code"]) == (422, code), refused.text
        assert pointer is None or error["pointer"] == pointer
    question = {"question": "lunch", "index_version": {document.source: 7}}
    refused = await books.call("/v1/rag-tools/ask/answer", question)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_index")
    assert (await books.ask("lunch", index_version={document.source: 1}))["index_version"] == {document.source: 1}


async def test_what_embedding_a_query_took_is_on_record_also_where_the_search_fails_after_it(
    magnet: Running, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: Any) -> None:
        raise Unavailable("The database is away.")

    with ModelServer(vectors="words") as server:
        async with library(magnet) as books:
            await books.models(server, chat=False)
            await books.tools()
            await books.add("a", HOLIDAYS)
            monkeypatch.setattr(PostgresSearcher, "_candidates", away)
            failed = await books.call(SEARCH, {"query": "thirty holidays"})
            run = await books.last_run()
    assert (failed.status_code, run["outcome"]) == (503, "failed")
    assert [(step["kind"], step["outcome"]) for step in run["steps"]] == [
        ("search", "database_unavailable"),
        ("embedding", "ok"),
    ]
    assert (run["usage"]["input"], run["cost"]["amount"]) == (2, "0.000004")
