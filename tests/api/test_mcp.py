"""Magnet as an MCP server, through the official client of MCP, by its newest protocol and those before it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from api.mcp_server import exchange
from api.mcp_server.offers import LONGEST_NAME, TAKEN, name_of
from tests.api.test_access import key_of
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled, server_error
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.talks import Talks

ROOT = Path(__file__).parent.parent.parent
NEWEST, EARLIER = "auto", "legacy"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}
ACCEPTS = {"Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def connected(magnet: Running, mode: str = NEWEST, **headers: str) -> AsyncIterator[Client]:
    """Connect the official client; header names are written with _ for -."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent.setdefault("Magnet-Min-Position", str(await magnet.container.log.head()))
    async with (
        httpx2.AsyncClient(headers=sent, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(f"{magnet.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture(params=[NEWEST, EARLIER])
async def client(request: pytest.FixtureRequest, talk: Talks) -> AsyncIterator[Client]:
    """A client of each protocol, held by a task of its own: it must end in the one in which it began."""
    ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def hold() -> None:
        async with connected(talk.magnet, request.param) as made:
            ready.set_result(made)
            await done.wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait({holding, ready}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if ready.done():
            yield ready.result()
    finally:
        done.set()
        await holding


def text_of(result: Any) -> str:
    [content] = result.content
    return str(content.text)


def asks(question: str = "How many holidays?") -> Reply:
    return Reply(tool_calls=[ToolCalled(name="find_passages", arguments={"query": question}, id="c1")])


async def test_a_client_connects_and_lists_all_there_is(client: Client):
    assert client.server_info.name == "magnet"
    assert client.server_capabilities.tools is not None
    assert client.server_capabilities.prompts is not None
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"search_find", "answer_ask", "ask_helper", "prompt_shout"}
    assert set(tools["search_find"].input_schema["properties"]) == {"query", "limit", "filter"}
    assert tools["answer_ask"].input_schema["required"] == ["question"]
    assert tools["ask_helper"].input_schema["required"] == ["message"]
    assert tools["prompt_shout"].input_schema["required"] == ["words"]
    assert [name for name, tool in tools.items() if not tool.annotations.read_only_hint] == ["ask_helper"]
    [prompt] = (await client.list_prompts()).prompts
    assert (prompt.name, [(each.name, each.required) for each in prompt.arguments]) == ("shout", [("words", True)])


async def test_a_search_gives_passages_as_text_and_as_http_gives_them(client: Client, talk: Talks):
    result = await client.call_tool("search_find", {"query": "holidays", "limit": 1})
    assert not result.is_error
    assert text_of(result) == "[1] Leave\nHolidays are thirty days a year."
    by_http = await talk.books.search("holidays", limit=1)
    assert result.structured_content["passages"] == by_http["passages"]
    run = await talk.run(result.structured_content["run_id"])
    assert (run["kind"], run["channel"], run["target"]["name"]) == ("search", "mcp", "find")


async def test_a_filter_is_passed_on_and_a_wrong_one_refused_with_its_place(client: Client):
    no_such = {"type": "eq", "key": "nothing", "value": 1}
    refused = await client.call_tool("search_find", {"query": "holidays", "filter": no_such})
    assert refused.is_error
    assert refused.structured_content["status"] == 422
    assert refused.structured_content["errors"][0]["pointer"].startswith("/filter")


async def test_an_answer_has_its_citations_and_its_run(client: Client, talk: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(text="Thirty days [1]."))
    result = await client.call_tool("answer_ask", {"question": "How many holidays?"})
    assert text_of(result) == "Thirty days [1].\n\nSources:\n[1] Leave"
    answer = result.structured_content
    assert [each["title"] for each in answer["citations"]] == ["Leave"]
    run = await talk.run(answer["run_id"])
    assert (run["kind"], run["outcome"], run["channel"]) == ("answer", "completed", "mcp")


async def test_an_agent_goes_on_with_its_conversation(client: Client, talk: Talks, server: ModelServer):
    server.script_for("chat-model", asks(), Reply(text="Thirty [1]."), Reply(text="That is what I said."))
    first = await client.call_tool("ask_helper", {"message": "How many holidays?"})
    assert text_of(first) == "Thirty [1].\n\nSources:\n[1] Leave"
    said = first.structured_content
    assert (said["text"], said["confirmations"], said["turn"]["state"]) == ("Thirty [1].", [], "completed")
    again = await client.call_tool("ask_helper", {"message": "Sure?", "conversation": said["conversation"]})
    assert again.structured_content["conversation"] == said["conversation"]
    seen = await talk.see(f"/v1/conversations/{said['conversation']}")
    assert [each["content"] for each in seen["messages"]] == [
        "How many holidays?",
        "Thirty [1].",
        "Sure?",
        "That is what I said.",
    ]
    run = await talk.run(said["run_id"])
    assert (run["kind"], run["channel"]) == ("turn", "mcp")


async def test_a_conversation_with_another_agent_or_of_somebody_else_is_refused(client: Client, talk: Talks):
    await talk.magnet.do("POST", "/v1/agents", {"name": "other", "instructions": "Help."})
    path = await talk.begin("other")
    for conversation, code in (
        (path.rpartition("/")[2], "other_agent"),
        (str(uuid4()), "not_found"),
        ("x", "not_found"),
    ):
        result = await client.call_tool("ask_helper", {"message": "Hi", "conversation": conversation})
        assert (result.is_error, result.structured_content["code"]) == (True, code)


async def test_what_an_agent_waits_for_is_told(talk: Talks, server: ModelServer):
    action = {"type": "prompt", "tool": "shout", "function": "shout", "requires_confirmation": True}
    await talk.magnet.do("POST", "/v1/agents", {"name": "careful", "instructions": "Help.", "actions": [action]})
    server.script_for("chat-model", Reply(tool_calls=[ToolCalled(name="shout", arguments={"words": "ho"}, id="c1")]))
    async with connected(talk.magnet) as client:
        result = await client.call_tool("ask_careful", {"message": "Shout!"})
    assert result.structured_content["turn"]["state"] == "awaiting_confirmation"
    assert [each["function"] for each in result.structured_content["confirmations"]] == ["shout"]
    assert "waits until a person agrees" in text_of(result)


async def test_a_prompt_runs_as_a_tool_and_is_filled_in_as_a_prompt(client: Client, talk: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(text="HO!"))
    result = await client.call_tool("prompt_shout", {"words": "ho"})
    assert (text_of(result), result.structured_content["text"]) == ("HO!", "HO!")
    assert server.last.body["messages"] == [{"role": "user", "content": "Shout: ho"}]
    asked = len(server.requests)
    filled = await client.get_prompt("shout", {"words": "ho"})
    assert [(each.role, each.content.text) for each in filled.messages] == [("user", "Shout: ho")]
    assert len(server.requests) == asked


async def test_arguments_of_a_prompt_are_read_by_their_schema(client: Client, talk: Talks):
    variables = {
        "times": {"schema": {"type": "integer"}, "description": "How often."},
        "words": {"schema": {"$ref": "#/$defs/words", "$defs": {"words": {"type": "array"}}}, "default": ["ho"]},
        "name": {"schema": {"type": "string"}, "required": False},
    }
    text = "{{ times + 1 }} {{ name }} {{ more }}"
    await talk.magnet.do("POST", "/v1/prompts", {"name": "many", "text": text, "variables": variables})
    await talk.magnet.get("/v1/prompts")  # waits until it is listed
    [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "prompt_many"]
    assert tool.input_schema["required"] == ["times"]
    assert tool.input_schema["properties"]["times"] == {"type": "integer", "description": "How often."}
    assert tool.input_schema["properties"]["words"]["$ref"] == "#/properties/words/$defs/words"
    filled = await client.get_prompt("many", {"times": "2", "name": "7", "more": "all"})
    assert filled.messages[0].content.text == "3 7 all"
    for wrong in ({"times": "two"}, {"times": '"2"'}, {}):
        with pytest.raises(MCPError) as refused:
            await client.get_prompt("many", {"more": "", **wrong})
        assert refused.value.code == -32602
        assert refused.value.data["status"] == 422


async def test_live_versions_are_offered_and_run(client: Client, talk: Talks, server: ModelServer):
    change = {"text": "Whisper: {{ softly }}", "variables": {"softly": {}}, "description": "Not yet."}
    await talk.magnet.do("PATCH", "/v1/prompts/shout", change)
    await talk.magnet.get("/v1/prompts")  # waits until it is listed
    [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "prompt_shout"]
    assert tool.input_schema["required"] == ["words"]
    await client.call_tool("prompt_shout", {"words": "ho"})
    assert server.last.body["messages"][0]["content"] == "Shout: ho"
    await talk.magnet.do("DELETE", "/v1/agents/helper")
    await talk.magnet.do("DELETE", "/v1/prompts/shout")
    assert (await client.call_tool("prompt_shout", {"words": "ho"})).structured_content["code"] == "archived"
    with pytest.raises(MCPError, match="no such prompt"):
        await client.get_prompt("shout", {"words": "ho"})


async def test_what_is_archived_is_not_listed(talk: Talks):
    await talk.magnet.do("DELETE", "/v1/agents/helper")
    async with connected(talk.magnet) as client:
        assert "ask_helper" not in {tool.name for tool in (await client.list_tools()).tools}


async def test_names_are_valid_and_unique_and_lead_back(talk: Talks, server: ModelServer):
    names = ["a.b", "a_b", "a-b", "x" * 63, "x" * 62 + "y", f"a_b-{'a' * 10}"]
    for name in names:
        await talk.magnet.do("POST", "/v1/prompts", {"name": name, "text": f"It is {name}"})
    async with connected(talk.magnet) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools if tool.name != "prompt_shout"]
        assert all(TAKEN.match(name) and len(name) <= LONGEST_NAME for name in tools)
        assert len(set(tools)) == len(tools)
        for name in names:
            await client.call_tool(name_of(name, "prompt"), {})
            assert server.last.body["messages"][0]["content"] == f"It is {name}"
            filled = await client.get_prompt(name_of(name))
            assert filled.messages[0].content.text == f"It is {name}"


WRONG_ARGUMENTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("search_find", {}, "missing", "/query"),
    ("search_find", {"query": 5}, "string_type", "/query"),
    ("search_find", {"query": "x", "limit": 101}, "less_than_equal", "/limit"),
    ("search_find", {"query": "x", "version": 1}, "extra_forbidden", "/version"),
    ("answer_ask", {"question": ""}, "string_too_short", "/question"),
    ("ask_helper", {"message": "Hi", "subject": "ada"}, "extra_forbidden", "/subject"),
    ("prompt_shout", {}, "missing_variable", "/variables/words"),
]


async def test_wrong_arguments_are_a_result_that_says_what_and_where(
    subtests: pytest.Subtests, client: Client, talk: Talks
):
    for tool, arguments, code, pointer in WRONG_ARGUMENTS:
        with subtests.test(str((tool, arguments, code, pointer))[:80]):
            before = await talk.magnet.container.log.head()
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            [error] = result.structured_content["errors"]
            assert (error["code"], error["pointer"]) == (code, pointer)
            assert text_of(result).startswith(f"{result.structured_content['code']}: ")
            assert f"- {pointer}: " in text_of(result)
            assert await talk.magnet.container.log.head() == before


UNKNOWN_TOOLS: list[str] = ["nothing", "search_nothing", "ask_a.b", "search_", "prompt_a_b-AAAAAAAAAA", "\u202e"]


async def test_an_unknown_tool_is_refused_as_what_is_not_there(subtests: pytest.Subtests, client: Client):
    for name in UNKNOWN_TOOLS:
        with subtests.test(str(name)[:80]):
            result = await client.call_tool(name, {"query": "x"})
            assert (result.is_error, result.structured_content["code"]) == (True, "not_found")
            assert text_of(result).startswith("not_found: There is no such ")


async def test_a_provider_that_fails_is_told_with_its_code(client: Client, server: ModelServer):
    server.script_for("chat-model", server_error(), server_error())
    for tool, arguments in (("answer_ask", {"question": "How many holidays?"}), ("prompt_shout", {"words": "ho"})):
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert (result.structured_content["status"], result.structured_content["upstream_status"]) == (502, 500)


async def test_who_may_not_use_a_thing_is_not_offered_it(talk: Talks):
    admin = await key_of(talk.magnet, "boss", "admin")
    auditor = await key_of(talk.magnet, "auditor", "auditor", admin=admin)
    user = await key_of(talk.magnet, "user", "user", admin=admin)
    async with connected(talk.magnet, X_API_Key=user) as client:
        assert len((await client.list_tools()).tools) == 4
    refused = await talk.magnet.client.post("/mcp", json=INITIALIZE, headers={"X-API-Key": auditor, **ACCEPTS})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_no_key_a_wrong_one_and_a_revoked_one_are_a_401_with_a_problem_document(talk: Talks):
    admin = await key_of(talk.magnet, "boss", "admin")
    gone = await key_of(talk.magnet, "gone", "user", admin=admin)
    await talk.magnet.do("DELETE", "/v1/api-keys/gone", X_API_Key=admin)
    for headers in ({}, {"Authorization": "Bearer x"}, {"X-API-Key": gone}):
        answer = await talk.magnet.client.post("/mcp", json=INITIALIZE, headers={**headers, **ACCEPTS})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    with pytest.raises(BaseException) as refused:  # noqa: PT011  the client wraps it in groups
        async with connected(talk.magnet):
            pass
    assert refused.group_contains(MCPError) or isinstance(refused.value, MCPError)


async def test_a_document_of_another_group_never_appears(talk: Talks, server: ModelServer):
    def repeated(request: Any) -> Reply:
        return Reply(text=" ".join(str(message["content"]) for message in request.body["messages"]) + " [1] [2] [3]")

    server.default = repeated
    secret = {"title": "canary-title", "metadata": {"kind": "canary-value"}}
    await talk.books.add("canary-id", "canary-text holidays are ninety days a year.", acl=["board"], **secret)
    admin = await key_of(talk.magnet, "boss", "admin")
    guest = await key_of(talk.magnet, "guest", "user", admin=admin, groups=["staff"])
    member = await key_of(talk.magnet, "member", "user", admin=admin, groups=["board"])
    told: dict[str, str] = {}
    for name, key in (("guest", guest), ("member", member)):
        async with connected(talk.magnet, X_API_Key=key) as client:
            seen: list[Any] = [await client.list_tools(), await client.list_prompts()]
            question = "holidays ninety days a year"
            filter = {"type": "contains", "key": "kind", "value": "canary"}
            seen.append(await client.call_tool("search_find", {"query": question, "limit": 100}))
            seen.append(await client.call_tool("search_find", {"query": question, "filter": filter}))
            seen.append(await client.call_tool("answer_ask", {"question": question}))
            server.script_for("chat-model", asks(question))
            seen.append(await client.call_tool("ask_helper", {"message": question}))
        told[name] = " ".join(each.model_dump_json() for each in seen)
    assert "thirty days" in told["guest"]
    for canary in ("canary-text", "canary-title", "canary-id", "canary-value"):
        assert canary not in told["guest"]
        assert canary in told["member"]


async def test_two_clients_at_once_get_what_is_theirs(talk: Talks, server: ModelServer):
    server.default = lambda request: Reply(text=request.body["messages"][-1]["content"])

    async def shouted(name: str) -> list[str]:
        async with connected(talk.magnet, NEWEST if name == "a" else EARLIER) as client:
            words = [f"{name}{number}" for number in range(10)]
            results = await asyncio.gather(*(client.call_tool("prompt_shout", {"words": each}) for each in words))
            return [text_of(result) for result in results]

    for name, texts in zip("ab", await asyncio.gather(shouted("a"), shouted("b")), strict=True):
        assert texts == [f"Shout: {name}{number}" for number in range(10)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


async def outcomes(magnet: Running) -> list[str]:
    head = await magnet.container.log.head()
    runs = await magnet.get("/v1/runs?limit=100", Magnet_Min_Position=str(head))
    return [run["outcome"] for run in runs["items"]]


@pytest.mark.parametrize("mode", [NEWEST, EARLIER])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("answer_ask", {"question": "How many holidays?"}),
        ("prompt_shout", {"words": "ho"}),
        ("ask_helper", {"message": "How many holidays?"}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_a_client_that_goes_leaves_nothing_running(
    talk: Talks,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    tool: str,
    arguments: dict[str, Any],
    late: bool,
):
    if late:
        monkeypatch.setattr(exchange, "HEARTBEAT", 0.01)  # it goes after the stream has begun
    gate = Gate()
    server.script_for("chat-model", Reply(text="It goes on and on.", gate=gate))
    before = asyncio.all_tasks()

    async def call() -> None:
        async with connected(talk.magnet, mode) as client:
            await client.call_tool(tool, arguments)

    calling = asyncio.create_task(call())
    await until(lambda: len([each for each in server.requests if "messages" in each.body]) == 1)
    calling.cancel()
    await asyncio.wait([calling])
    async with asyncio.timeout(PATIENCE):
        while await outcomes(talk.magnet) != ["cancelled"]:
            await asyncio.sleep(0.01)
    gate.open()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not [task for task in left if "mcp" in str(task.get_coro()).lower()]


async def test_a_call_that_is_cancelled_ends_and_its_client_goes_on(talk: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(text="It goes on and on.", gate=Gate()), Reply(text="HO!"))
    async with connected(talk.magnet) as client:
        calling = asyncio.create_task(client.call_tool("prompt_shout", {"words": "ho"}))
        await until(lambda: len([each for each in server.requests if "messages" in each.body]) == 1)
        calling.cancel()
        await asyncio.wait([calling])
        async with asyncio.timeout(PATIENCE):
            while await outcomes(talk.magnet) != ["cancelled"]:
                await asyncio.sleep(0.01)
        assert text_of(await client.call_tool("prompt_shout", {"words": "ho"})) == "HO!"


def test_a_server_that_nobody_asks_over_mcp_has_not_loaded_it():
    loaded = "import sys, api.serve, api.cli; print([name for name in sys.modules if name.partition('.')[0] == 'mcp'])"
    told = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"


async def test_an_answer_that_takes_long_comes_as_a_stream_that_shows_signs_of_life(
    talk: Talks, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "HEARTBEAT", 0.01)
    gate = Gate()
    server.script_for("chat-model", Reply(text="At last.", gate=gate))
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "prompt_shout", "arguments": {"words": "ho"}},
    }
    async with talk.magnet.client.stream("POST", "/mcp", json=message, headers=ACCEPTS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        gate.open()
        [data] = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
    told = json.loads(data.removeprefix("data: "))
    assert (told["id"], told["result"]["structuredContent"]["text"]) == (7, "At last.")
    async with connected(talk.magnet) as client:
        assert not (await client.call_tool("prompt_shout", {"words": "ho"})).is_error


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}', 400, "duplicate_key"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "a\\u0000"}', 422, "invalid_text"),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', 422, "dict_type"),
        (b'{"jsonrpc": "2.0"}', 400, "mcp_refused"),
    ],
)
async def test_a_body_is_read_as_strictly_as_everywhere(magnet: Running, body: bytes, status: int, code: str):
    headers = {"Content-Type": "application/json", **ACCEPTS}
    answer = await magnet.client.post("/mcp", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    "wrong", [{"method": "ping", "params": "canary"}, {"canary": 1}, {"jsonrpc": "canary"}, {"id": ["canary"]}]
)
async def test_what_is_no_message_of_the_protocol_is_refused_without_repeating_it(
    magnet: Running, wrong: dict[str, Any]
):
    body = {"jsonrpc": "2.0", "id": 1, **wrong}
    answer = await magnet.client.post("/mcp", json=body, headers=ACCEPTS)
    assert (answer.status_code, answer.json()["code"]) == (400, "mcp_refused")
    assert "canary" not in answer.text and "pydantic" not in answer.text
    assert "JSON-RPC 2.0" in answer.json()["detail"] == answer.json()["error"]["message"]


async def test_what_the_protocol_refuses_is_a_problem_document_that_its_clients_can_read(magnet: Running):
    headers = {"MCP-Protocol-Version": "2099-01-01", **ACCEPTS}
    ping = {"jsonrpc": "2.0", "id": 3, "method": "ping"}
    answer = await magnet.client.post("/mcp", json=ping, headers=headers)
    refused = answer.json()
    assert (answer.status_code, refused["status"], refused["code"]) == (400, 400, "mcp_refused")
    assert (refused["jsonrpc"], refused["id"]) == ("2.0", 3)
    assert refused["detail"] == refused["error"]["message"]
    unacceptable = await magnet.client.post("/mcp", json=ping, headers={"Accept": "text/html"})
    assert (unacceptable.status_code, unacceptable.json()["code"]) == (406, "not_acceptable")
    patch = {"Content-Type": "application/merge-patch+json", **ACCEPTS}
    for headers in (patch, {**patch, "MCP-Protocol-Version": "2026-07-28"}):
        answer = await magnet.client.post("/mcp", content=json.dumps(ping), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "mcp_refused")
    for method in ("GET", "DELETE"):
        answer = await magnet.client.request(method, "/mcp", headers=ACCEPTS)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_notification_is_taken_and_there_is_one_page_only(magnet: Running):
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = await magnet.client.post("/mcp", json=told, headers=ACCEPTS)
    assert (answer.status_code, answer.content) == (202, b"")
    more = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}
    answer = await magnet.client.post("/mcp", json=more, headers=ACCEPTS)
    assert answer.json()["error"]["code"] == -32602


async def test_a_repeated_call_with_the_same_key_is_one_run(talk: Talks, server: ModelServer):
    texts = []
    for _ in range(2):
        async with connected(talk.magnet, Idempotency_Key="once") as client:
            said = (await client.call_tool("ask_helper", {"message": "Hello"})).structured_content
            texts.append((said["conversation"], said["run_id"]))
    assert texts[0] == texts[1]
    assert await outcomes(talk.magnet) == ["completed"]


@pytest.mark.parametrize(
    ("side", "tools", "prompts"),
    [("queries", {"search_find"}, 1), ("commands", {"answer_ask", "ask_helper", "prompt_shout"}, 0)],
)
async def test_each_side_offers_what_is_its_own(
    talk: Talks, database: Database, side: str, tools: set[str], prompts: int
):
    home = Path(talk.magnet.container.settings.home)
    async with serving(database, home, side=side) as alone, connected(alone) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == tools
        assert len((await client.list_prompts()).prompts) == prompts
        refused = await client.call_tool(next(iter({"search_find", "answer_ask"} - tools)), {"query": "x"})
        assert refused.structured_content["code"] == "not_found"
