"""Sample questions: each with the passage that answers it, of what the caller may find, and on record."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Received, Reply, server_error
from tests.support.server import Running

PATH = "/v1/knowledge-sources/handbook/sample-questions"


def one_each(request: Received) -> Reply:
    """Ask about each passage by its own words."""
    passages = [json.loads(line) for line in request.body["messages"][1]["content"].splitlines()]
    asked = [{"passage": each["passage"], "question": f"What of {each['text']}?"} for each in reversed(passages)]
    return Reply(text=json.dumps({"questions": asked}))


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words", default=one_each) as running:
        yield running


@pytest.fixture
async def books(magnet: Running) -> AsyncIterator[Library]:
    """Four documents, one of them for a group."""
    async with library(magnet) as made:
        await made.tools()
        await made.add("long", *(f"needle number {number} of the long document, on and on" for number in range(20)))
        for name in ("a", "b"):
            await made.add(name, f"needle {name} of a short document, which is one passage", title=f"Title {name}")
        await made.add("secret", "needle secret of the board, which nobody else may find", acl=["board"])
        yield made


async def with_a_model(books: Library, server: ModelServer) -> None:
    """Configure a chat model, and none for embeddings: the index stays as it is."""
    provider = {"name": "house", "type": "openai_compatible", "base_url": server.url}
    await books.magnet.do("POST", "/v1/providers", provider)
    model = {"name": "chat", "provider": "house", "model": "chat-model", "kind": "chat", "default": True}
    await books.magnet.do("POST", "/v1/models", {**model, "routing": {"retries": 0}})


async def questions(books: Library, status: int = 200, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"X_API_Key": key}
    answer = await books.call(PATH, body, **headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_model_makes_one_question_of_each_passage_spread_over_the_documents_and_on_record(
    books: Library, server: ModelServer
):
    await with_a_model(books, server)
    made = await questions(books, count=23)
    run = await books.last_run()
    assert len(made["questions"]) == 23
    for each in made["questions"]:
        assert each["made_from"] == "model"
        assert each["question"] == f"What of {each['passage']['text']}?"
    few = await questions(books, count=4)
    assert {each["passage"]["document"]["external_id"] for each in few["questions"]} == {"long", "a", "b", "secret"}
    assert len([request for request in server.requests if request.path.endswith("/chat/completions")]) == 4
    assert (run["kind"], run["outcome"], run["target"]["name"]) == ("sample_questions", "completed", "handbook")
    assert [step["kind"] for step in run["steps"]] == ["model_call", "attempt"] * 3
    assert (run["usage"], run["cost"]) == (made["usage"], made["cost"])
    assert run["output"]["questions"][0]["passage"] == made["questions"][0]["passage"]["id"]
    assert run["versions"]["index"] == made["index_version"]


async def test_without_a_model_headings_stand_for_questions_and_that_is_told(books: Library):
    first, again = [await questions(books, count=5, seed=3) for _ in range(2)]
    assert first["questions"] == again["questions"]
    assert first["model"] is None
    other = await questions(books, count=5, seed=4)
    assert [each["passage"]["id"] for each in other["questions"]] != [
        each["passage"]["id"] for each in first["questions"]
    ]
    made = {each["passage"]["document"]["external_id"]: each for each in first["questions"]}
    assert (made["a"]["question"], made["a"]["made_from"]) == ("Title a", "title")
    assert made["long"]["made_from"] == "text"
    assert made["long"]["question"] == made["long"]["passage"]["text"]


async def test_only_passages_that_the_caller_may_find_are_asked_about_and_only_of_the_documents_named(books: Library):
    magnet = books.magnet
    listed = await magnet.get("/v1/knowledge-sources/handbook/documents")
    ids = {each["external_id"]: each["id"] for each in listed["items"]}
    key = (await magnet.do("POST", "/v1/api-keys", {"name": "boss", "roles": ["admin"], "groups": []}))["key"]
    admin = {"X_API_Key": key}
    guest = {"name": "guest", "roles": ["editor"], "groups": ["staff"]}
    member = {"name": "member", "roles": ["editor"], "groups": ["board"]}
    guest_key = (await magnet.do("POST", "/v1/api-keys", guest, **admin))["key"]
    member_key = (await magnet.do("POST", "/v1/api-keys", member, **admin))["key"]
    seen = await questions(books, key=guest_key, count=100)
    assert len(seen["questions"]) == 22
    assert "secret" not in json.dumps(seen)
    [only] = (await questions(books, key=member_key, documents=[ids["secret"]]))["questions"]
    assert only["passage"]["document"]["id"] == ids["secret"]
    for documents in ([ids["secret"]], [ids["a"], "00000000-0000-0000-0000-000000000000"], ["x"]):
        await questions(books, 404, guest_key, documents=documents)
    for wrong in ({"count": 0}, {"count": 101}, {"count": "5"}, {"seed": -1}, {"more": 1}):
        await questions(books, 422, guest_key, **wrong)
    await questions(books, 404, guest_key, model="none")


async def test_a_model_that_leaves_a_passage_out_is_told_once_and_then_the_run_has_failed(
    books: Library, server: ModelServer
):
    await with_a_model(books, server)
    half = Reply(text='{"questions": []}')
    server.script_for("chat-model", half)
    assert len((await questions(books, count=3))["questions"]) == 3
    server.script_for("chat-model", half, half)
    await questions(books, 502, count=3)
    assert (await books.last_run())["outcome"] == "failed"
    server.script_for("chat-model", server_error())
    await questions(books, 502, count=3)
