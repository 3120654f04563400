"""A search that tells how it came to its order: places in each stage and the plans, for those who may see them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Reply, answered
from tests.support.server import Running

SEARCH = "/v1/retrieval-tools/find/search"
TEXTS = {"leave": "Holidays are thirty days a year.", "food": "Lunch is at noon, on thirty tables.", "cars": "Parking."}


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Three documents that are searched by words and vectors, and models that can rerank and chat."""
    async with library(magnet) as made:
        await made.models(server)
        rerank = {"name": "rerank", "provider": "house", "model": "rerank-model", "kind": "rerank"}
        await magnet.do("POST", "/v1/models", rerank)
        await made.tools()
        for name, text in TEXTS.items():
            await made.add(name, text)
        yield made


async def explained(books: Library, query: str, **more: Any) -> Any:
    answer = await books.call(f"{SEARCH}?explain=true", {"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_without_being_asked_nothing_is_explained(books: Library):
    assert "explain" not in await books.search("thirty holidays")


async def test_each_passage_has_its_rank_and_score_in_each_stage_and_each_statement_its_plan(books: Library):
    found = await explained(books, "thirty holidays")
    told = found["explain"]
    assert [each["id"] for each in told["passages"]] == [passage["id"] for passage in found["passages"]]
    for number, (each, passage) in enumerate(zip(told["passages"], found["passages"], strict=True), 1):
        assert each["fused"] == {"rank": number, "score": passage["scores"]["fused"]}
        assert (each["weighed"], each["rerank"], each["factors"]) == (None, None, {})
        [query] = each["queries"]
        assert query["fused"] == each["fused"]
        for side in ("vector", "lexical"):
            assert (query[side] or {}).get("score") == passage["scores"][side]
    assert told["passages"][0]["queries"][0]["vector"]["rank"] == 1
    assert told["passages"][0]["queries"][0]["lexical"]["rank"] == 1
    [statement] = told["statements"]
    assert statement["index_version"] == found["index_version"]
    assert statement["space"]
    assert "actual time" in statement["plan"]
    assert "vectors_0" in statement["plan"]
    assert set(found["timings_ms"]) == {"embed", "sql", "fuse", "explain", "total"}


async def test_each_form_of_a_query_and_the_reranker_have_their_places_and_neighbours_have_none(
    books: Library, server: ModelServer
):
    await books.add("long", "before", "thirty chairs", "after")
    settings = {"multi_query": {"queries": 1}, "rerank": {"model": "rerank"}, "window": 1, "limit": 2}
    await books.magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", {**settings, "mode": "lexical"})
    server.script_for("chat-model", Reply(text='{"queries": ["noon"]}'))
    server.script_for("rerank-model", answered({"results": [{"index": n, "score": -n} for n in range(3)]}))
    found = await explained(books, "thirty")
    told = found["explain"]["passages"]
    assert len(told) == 2
    assert len(found["passages"]) >= 2
    assert sorted(each["rerank"]["rank"] for each in told) == [1, 2]
    assert {each["rerank"]["score"] for each in told} == {0, -1}
    assert [len(each["queries"]) for each in told] == [2, 2]
    places = {each["id"]: each for each in told}
    food = next(p["id"] for p in found["passages"] if p["document"]["external_id"] == "food")
    assert places[food]["queries"][1]["lexical"]["rank"] == 1
    assert places[food]["fused"]["rank"] == 1
    assert places[food]["queries"][0]["vector"] is None


async def test_a_narrowed_search_and_one_of_unsaved_settings_are_explained_as_well(books: Library):
    await books.add("new", "thirty trees", metadata={"n": 1})
    found = await explained(books, "thirty", filter={"type": "eq", "key": "n", "value": 1})
    assert "places" in found["explain"]["statements"][0]["plan"]
    path = "/v1/retrieval-tools:preview?explain=true"
    tried = await books.call(path, {"definition": {"sources": ["handbook"], "mode": "lexical"}, "query": "thirty"})
    assert tried.json()["explain"]["statements"][0]["plan"]
    nothing = await books.call(path, {"definition": {"sources": ["handbook"], "mode": "lexical"}, "query": "?"})
    assert nothing.json()["explain"] == {
        "passages": [],
        "statements": [{**nothing.json()["explain"]["statements"][0], "plan": None}],
    }


async def test_it_needs_a_permission_of_operators_and_who_lacks_it_may_search_all_the_same(books: Library):
    admin = await books.magnet.do("POST", "/v1/api-keys", {"name": "ops", "roles": ["admin"]})
    headers = {"Authorization": f"Bearer {admin['key']}"}
    for role, status in (("user", 403), ("editor", 403), ("operator", 200), ("admin", 200)):
        made = await books.magnet.call("POST", "/v1/api-keys", {"name": f"a-{role}", "roles": [role]}, **headers)
        own = {"Authorization": f"Bearer {made.json()['key']}"}
        asked = await books.call(f"{SEARCH}?explain=true", {"query": "thirty"}, **own)
        assert asked.status_code == status, (role, asked.text)
        if status == 403:
            assert asked.json()["code"] == "forbidden"
            assert "search:explain" in json.dumps(asked.json())
        assert (await books.call(f"{SEARCH}?explain=false", {"query": "thirty"}, **own)).status_code == 200
    wrong = await books.call(f"{SEARCH}?explain=yes", {"query": "thirty"}, **headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/explain")
