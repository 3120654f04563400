"""A document of another group never appears in any byte of an answer, stream, run or error."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import operations
from domain.document import Document
from domain.references import identify
from domain.retrieval import passage_id
from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Received, Reply, ToolCalled, server_error
from tests.support.server import Running

CANARIES = ("canary-text", "canary-title", "canary-id", "canary-value")
COMPLETE = "/v1/chat/completions"
NEAR = frozenset(
    {
        "search:run",
        "tools:preview",
        "answers:run",
        "completions:run",
        "mcp:use",
        "conversations:use",
        "conversations:read",
        "conversations:replay",
        "pipelines:run",
        "documents:read",
        "documents:write",
        "runs:read",
    }
)
"""Permissions whose routes may come near a document."""

GIVES = {"POST /v1/knowledge-sources/{ref}/documents"}
"""What takes documents and shows none but those that it was given."""

FIND, ASK = "/v1/retrieval-tools/find/search", "/v1/rag-tools/ask/answer"


def repeated(request: Received) -> Reply:
    """Say all that the model was given: what it is told leaks."""
    if request.body.get("tools") and request.body["messages"][-1]["role"] == "user":
        question = {"question": "how many holidays are ninety days?"}
        return Reply(tool_calls=[ToolCalled(name="look_up", arguments=question)])
    said = " ".join(str(message["content"]) for message in request.body["messages"])
    return Reply(text=f"{said} [1] [2] [3] [4] [5]")


@pytest.fixture
def server(models_port: int) -> Any:
    with ModelServer(vectors="words", default=repeated, port=models_port) as running:
        yield running


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    async with library(magnet) as made:
        await made.models(server)
        await made.tools(window=2)
        search = {"type": "rag_tool", "tool": "ask", "function": "look_up"}
        await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "Help.", "actions": [search]})
        items = [
            {"name": "find", "type": "retrieval_tool", "tool": "find", "inputs": {"query": {"input": "question"}}},
            {"name": "ask", "type": "rag_tool", "tool": "ask", "inputs": {"question": {"input": "question"}}},
        ]
        steps = [{"name": "look", "parallel": items}]
        inputs = {"question": {"schema": {"type": "string"}}}
        await magnet.do("POST", "/v1/pipelines", {"name": "both", "inputs": inputs, "steps": steps})
        await made.add("open", "Holidays are thirty days a year.", "More on holidays.")
        secret = ("canary-text holidays are ninety days a year.", "canary-text more on holidays.")
        values = {"kind": "canary-value"}
        await made.add("canary-id", *secret, title="canary-title holidays", metadata=values, acl=["board"])
        await made.add("canary-id-closed", *secret, title="canary-title", metadata=values, acl=[])
        yield made


async def key_of(magnet: Running, name: str, *, admin: str | None = None, **more: Any) -> str:
    headers = {"X_API_Key": admin} if admin else {}
    return str((await magnet.do("POST", "/v1/api-keys", {"name": name, **more}, **headers))["key"])


def requests() -> list[tuple[str, dict[str, Any]]]:
    """Return every way in which a caller may come near a document; none says one of the canaries itself."""
    question = "canary-question: how many holidays are ninety days, as canary-t says?"
    filters = [
        None,
        {"type": "eq", "key": "kind", "value": "canary"},
        {"type": "contains", "key": "kind", "value": "canary"},
        {"type": "not", "filters": [{"type": "eq", "key": "kind", "value": "x"}]},
        {"type": "gt", "key": "kind", "value": 5},
        {"type": "eq", "key": "unknown", "value": 5},
    ]
    made: list[tuple[str, dict[str, Any]]] = []
    for filter in filters:
        for mode in ("hybrid", "vector", "lexical"):
            definition = {"sources": ["handbook"], "mode": mode, "window": 3, "limit": 100}
            made.append(
                ("/v1/retrieval-tools:preview", {"definition": definition, "query": question, "filter": filter})
            )
        made.append((FIND, {"query": question, "limit": 100, "filter": filter}))
        made.append(
            (
                "/v1/rag-tools:preview",
                {"definition": {"retrieval_tool": "find"}, "question": question, "filter": filter},
            )
        )
        made += [(ASK, {"question": question, "filter": filter, "stream": stream}) for stream in (False, True)]
        asked = {"messages": [{"role": "user", "content": question}], "filter": filter}
        made += [(COMPLETE, {"model": "rag:ask", **asked, "stream": stream}) for stream in (False, True)]
        made.append((f"/openai{COMPLETE}", {"model": "rag:ask", **asked}))
    asked = {"model": "agent:helper", "messages": [{"role": "user", "content": question}]}
    made += [(COMPLETE, {**asked, "stream": stream}) for stream in (False, True)]
    tools = {
        "search_find": {"query": question},
        "answer_ask": {"question": question},
        "ask_helper": {"message": question},
    }
    for name, arguments in tools.items():
        called = {"method": "tools/call", "params": {"name": name, "arguments": arguments}}
        made.append(("/mcp", {"jsonrpc": "2.0", "id": 1, **called}))
    made.append(("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
    return made


async def talked(books: Library, key: str) -> list[httpx.Response]:
    """Return all that a conversation gives."""
    magnet, question = books.magnet, "canary-question: how many holidays are ninety days?"

    async def call(method: str, path: str, body: Any = None) -> httpx.Response:
        return await magnet.call(method, path, body, X_API_Key=key)

    begun = await call("POST", "/v1/conversations", {"agent": "helper"})
    path = f"/v1/conversations/{begun.json()['id']}"
    said = [await call("POST", f"{path}/messages", {"content": question, "stream": stream}) for stream in (False, True)]
    seen = await call("GET", path)
    turns = [f"{path}/turns/{turn['id']}" for turn in seen.json()["turns"]]
    streams = [await call("GET", f"{turn}/stream") for turn in turns]
    ended = [await call("POST", f"{turns[0]}/{what}") for what in ("retry", "cancel")]
    magnet.position = await magnet.container.log.head()
    lists = [await call("GET", f"/v1/conversations?q={text}") for text in ("ninety", "nothing")]
    rated = {"message_id": seen.json()["messages"][1]["id"], "rating": "up"}
    answered = rated["message_id"]
    exports = [await call("GET", f"{path}/export?format={form}") for form in ("json", "markdown")]
    exports += [await call("GET", f"{path}/attachments{which}") for which in ("", f"/{UUID(int=1)}")]
    exports += [await call("POST", f"{path}/replay", {"mode": mode}) for mode in ("recorded", "live")]
    exports.append(await call("POST", f"{path}/tokens"))
    rest = [
        await call("POST", f"{path}/fork", {"message_id": answered}),
        await call("POST", f"{path}/title", {"title": "Holidays"}),
        await call("POST", f"{path}/copied", {"message_id": answered}),
        await call("POST", f"{path}/confirmations", {"id": str(UUID(int=1)), "approved": True}),
        await call("POST", f"{path}/feedback", rated),
        await call("POST", f"{path}/close"),
    ]
    return [begun, *said, seen, *streams, *ended, *lists, *exports, *rest]


async def responded(books: Library, key: str) -> list[httpx.Response]:
    """Return all that responses give."""
    magnet, question = books.magnet, "canary-question: how many holidays are ninety days?"
    answers: list[httpx.Response] = []
    for root in ("", "/openai"):
        path = f"{root}/v1/responses"
        for model in ("agent:helper", "rag:ask"):
            for stream in (False, True):
                body = {"model": model, "input": question, "stream": stream}
                answers.append(await books.call(path, body, X_API_Key=key))
            id = f"{path}/{answers[-2].json()['id']}"
            answers += [await magnet.call("GET", f"{id}{how}", X_API_Key=key) for how in ("", "?stream=true")]
            answers.append(await magnet.call("POST", f"{id}/cancel", X_API_Key=key))
            answers.append(await magnet.call("DELETE", id, X_API_Key=key))
    return answers


async def piped(books: Library, key: str) -> list[httpx.Response]:
    """Return all that runs of a pipeline give."""
    magnet = books.magnet
    inputs = {"question": "canary-question: how many holidays are ninety days?"}
    answers = [
        await books.call("/v1/pipelines/both/run", {"inputs": inputs, "stream": stream}, X_API_Key=key)
        for stream in (False, True)
    ]
    run = f"/v1/pipelines/runs/{answers[0].json()['run_id']}"
    answers += [await magnet.call("GET", f"{run}{what}", X_API_Key=key) for what in ("", "/stream")]
    answers.append(await magnet.call("POST", f"{run}/cancel", X_API_Key=key))
    return answers


async def looked_at(books: Library, key: str) -> list[httpx.Response]:
    """Return all that documents and jobs give, also those of others, which are asked for by their ids."""
    magnet, path = books.magnet, "/v1/knowledge-sources/handbook/documents"

    async def call(method: str, path: str) -> httpx.Response:
        return await magnet.call(method, path, X_API_Key=key)

    answers = [await call("GET", f"{path}?limit=500"), await call("GET", f"{path}?q=canary&status=indexed")]
    passages = path.replace("documents", "passages")
    answers += [await call("GET", f"{passages}?limit=500"), await call("GET", f"{passages}?q=canary")]
    source = identify("knowledge_source", "handbook")
    for id in (Document.create_id(str(source), name) for name in ("open", "canary-id", "canary-id-closed")):
        answers += [await call("GET", f"{path}/{id}"), await call("GET", f"{path}/{id}/content")]
        answers.append(await call("GET", f"{passages}/{passage_id(id, 1, 1, 0)}"))
    answers.append(await call("POST", f"{path}/{Document.create_id(str(source), 'canary-id-closed')}/retry"))
    answers.append(await call("DELETE", f"{path}/{UUID(int=1)}"))
    answers.append(await call("GET", f"/v1/jobs/{UUID(int=1)}"))
    questions = "/v1/knowledge-sources/handbook/sample-questions"
    closed = str(Document.create_id(str(source), "canary-id-closed"))
    answers += [await magnet.call("POST", questions, body, X_API_Key=key) for body in ({}, {"documents": [closed]})]
    hidden = f"{passages}/{passage_id(Document.create_id(str(source), 'canary-id-closed'), 1, 1, 0)}"
    previewed = {"document": {"text": "Holidays."}}
    answers += [
        await magnet.call("POST", passages, {}, X_API_Key=key),
        await magnet.call("PATCH", hidden, {"disabled": True}, X_API_Key=key),
        await magnet.call("DELETE", hidden, X_API_Key=key),
        await magnet.call("POST", "/v1/knowledge-sources:preview", previewed, X_API_Key=key),
    ]
    return answers


def not_gone_near(answers: list[httpx.Response]) -> set[str]:
    """Return the routes that may come near a document and that nobody has called."""
    called = {(answer.request.method, answer.request.url.path) for answer in answers}
    return {
        f"{each.method} {each.path}"
        for each in operations()
        if each.permission in NEAR
        and not any(m == each.method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", each.path), path) for m, path in called)
    }


async def everything_seen(books: Library, server: ModelServer, key: str) -> list[httpx.Response]:
    """Return all that a key's holder is answered, also where the model's provider fails."""
    magnet = books.magnet
    answers = [await books.call(path, body, X_API_Key=key) for path, body in requests()]
    for stream in (False, True):
        server.script_for("chat-model", server_error())
        answers.append(await books.call(ASK, {"question": "holidays", "stream": stream}, X_API_Key=key))
    answers += await talked(books, key)
    answers += await responded(books, key)
    answers += await looked_at(books, key)
    answers += await piped(books, key)
    magnet.position = await magnet.container.log.head()
    runs = await magnet.call("GET", "/v1/runs?limit=500", X_API_Key=key)
    answers.append(runs)
    answers += [await magnet.call("GET", f"/v1/runs/{run['id']}", X_API_Key=key) for run in runs.json()["items"]]
    assert len(runs.json()["items"]) > 20
    return answers


async def test_a_document_of_another_group_never_appears_in_any_byte(
    books: Library, server: ModelServer, capfd: pytest.CaptureFixture[str]
):
    admin = await key_of(books.magnet, "boss", roles=["admin"])
    guest = await key_of(books.magnet, "guest", admin=admin, roles=["editor"], groups=["staff"])
    member = await key_of(books.magnet, "member", admin=admin, roles=["editor"], groups=["board"])
    before = len(server.requests)
    answers = await everything_seen(books, server, guest)
    assert not_gone_near(answers) == GIVES, "a new route that comes near documents belongs into this test"
    assert {answer.status_code for answer in answers} == {200, 201, 404, 409, 422, 502}
    assert sum(b"thirty days" in answer.content for answer in answers) > 5
    told = [
        str([request.body["messages"] for request in server.requests[before:] if "messages" in request.body]),
        *[f"{answer.headers} {answer.text}" for answer in answers],
    ]
    for canary in CANARIES:
        said = [text for text in told if canary in text]
        assert not said, said[0][:500]
    events = await books.magnet.call("GET", "/v1/events?kind=run&limit=500", X_API_Key=admin)
    assert events.status_code == 200
    logged = capfd.readouterr()
    assert not [canary for canary in CANARIES if canary in events.text + logged.out + logged.err]
    seen = [answer.text for answer in await everything_seen(books, server, member)]
    assert any("canary-text" in text for text in seen)
    assert not [text for text in seen if "canary-id-closed" in text]


async def test_what_an_admin_was_answered_is_not_read_by_others(books: Library):
    admin = await key_of(books.magnet, "boss", roles=["admin"])
    guest = await key_of(books.magnet, "guest", admin=admin, roles=["user"], groups=["staff"])
    answer = await books.call(ASK, {"question": "ninety holidays"}, X_API_Key=admin, Idempotency_Key="k")
    assert "canary-text" in answer.text
    books.magnet.position = await books.magnet.container.log.head()
    run = answer.json()["run_id"]
    assert (await books.magnet.call("GET", f"/v1/runs/{run}", X_API_Key=guest)).status_code == 404
    same = await books.call(ASK, {"question": "ninety holidays"}, X_API_Key=guest, Idempotency_Key="k")
    assert same.status_code == 200
    assert "Idempotent-Replay" not in same.headers
    assert "canary-text" not in same.text
