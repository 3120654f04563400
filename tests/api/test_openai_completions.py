"""Chat completions through the unmodified client of OpenAI, plain and streamed, into its own types."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage

from tests.support.handbook import HOLIDAYS
from tests.support.library import Library, library
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled, refused, server_error
from tests.support.patience import PATIENCE
from tests.support.server import Running

ASKED: Any = [{"role": "user", "content": "Hello there"}]
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}


@pytest.fixture
async def books(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Models, a prompt, two documents, a RAG tool and an agent over them."""
    async with library(magnet) as made:
        await magnet.do("POST", "/v1/prompts", {"name": "greet", "text": "Greet {{ name }}"})
        search = {"type": "rag_tool", "tool": "ask", "function": "look_up"}
        await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "Help.", "actions": [search]})
        yield made


@pytest.fixture(params=["/openai/v1", "/v1"])
async def client(request: pytest.FixtureRequest, books: Library) -> AsyncIterator[AsyncOpenAI]:
    headers = {"Magnet-Min-Position": str(books.magnet.position)}
    url = f"{books.magnet.url}{request.param}"
    async with AsyncOpenAI(base_url=url, api_key="anything", default_headers=headers, max_retries=0) as made:
        yield made


def strict(completion: ChatCompletion) -> ChatCompletion:
    """Return it read once more, by OpenAI's types with all their checks."""
    return ChatCompletion.model_validate(completion.model_dump())


async def in_chunks(client: AsyncOpenAI, **asked: Any) -> list[ChatCompletionChunk]:
    """Return the chunks of a stream, each read by OpenAI's types."""
    stream = await client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked)
    return [ChatCompletionChunk.model_validate(chunk.model_dump()) async for chunk in stream]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_a_model_answers_by_its_own_name_plain_and_streamed_alike(client: AsyncOpenAI, books: Library):
    asked = {"model": "chat", "messages": ASKED, "user": "u1"}
    plain = strict(await client.chat.completions.create(**asked))
    run = await books.last_run()
    assert plain.choices[0].message.content == "echo: Hello there"
    assert (plain.model, plain.object, plain.choices[0].finish_reason) == ("chat", "chat.completion", "stop")
    assert plain.id == f"chatcmpl-{run['id']}"
    assert (run["kind"], run["outcome"], run["subject"], run["channel"]) == ("completion", "completed", "u1", "openai")
    assert plain.usage is not None
    assert plain.usage.prompt_tokens == run["usage"]["input"] == 2
    assert plain.usage.total_tokens == run["usage"]["total"] == 5
    chunks = await in_chunks(client, **asked)
    assert text_of(chunks) == "echo: Hello there"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], plain.usage)
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{(await books.last_run())['id']}"}
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_usage_is_told_in_a_stream_only_where_it_is_asked_for(client: AsyncOpenAI, books: Library):
    stream = await client.chat.completions.create(model="chat", messages=ASKED, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_usage_is_told_in_openais_own_counters(client: AsyncOpenAI, books: Library, server: ModelServer):
    told = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    server.script_for("chat-model", Reply(text="a", usage=told), Reply(text="a", usage=told))
    plain = strict(await client.chat.completions.create(model="chat", messages=ASKED))
    run = await books.last_run()
    assert (run["usage"]["input"], run["usage"]["output"]) == (30, 30)
    streamed = (await in_chunks(client, model="chat", messages=ASKED))[-1]
    for usage in (plain.usage, streamed.usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 50, 150)
        assert usage.prompt_tokens_details is not None and usage.completion_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == 60
        assert usage.prompt_tokens_details.cache_write_tokens == 10
        assert usage.completion_tokens_details.reasoning_tokens == 20


async def test_the_sync_client_is_answered_as_well(books: Library):
    def ask() -> tuple[ChatCompletion, str]:
        with OpenAI(base_url=f"{books.magnet.url}/openai/v1", api_key="x", max_retries=0) as client:
            plain = client.chat.completions.create(model="chat", messages=ASKED)
            streamed = client.chat.completions.create(model="chat", messages=ASKED, stream=True)
            return plain, "".join(chunk.choices[0].delta.content or "" for chunk in streamed)

    plain, streamed = await asyncio.to_thread(ask)
    assert strict(plain).choices[0].message.content == streamed == "echo: Hello there"


async def test_a_rag_tool_answers_with_its_citations_as_annotations(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    text = "You get thirty days [1]. Lunch, too [1, 2]."
    server.script_for("chat-model", Reply(text=text), Reply(text=text))
    asked: Any = {"model": "rag:ask", "messages": [{"role": "user", "content": "How many holidays?"}]}
    message = strict(await client.chat.completions.create(**asked)).choices[0].message
    run = await books.last_run()
    assert (run["kind"], run["target"]["name"]) == ("answer", "ask")
    assert message.content == text
    assert message.annotations is not None
    cited = [each.url_citation for each in message.annotations]
    assert [text[each.start_index : each.end_index] for each in cited] == ["[1]", "[1, 2]", "[1, 2]"]
    assert {each.title for each in cited} == {"Leave", "Canteen"}
    beside: Any = message.annotations[0].model_extra
    assert beside["citation"] == run["output"]["citations"][0]
    assert beside["citation"]["document_version"] == 1
    chunks = await in_chunks(client, **asked)
    assert text_of(chunks) == text
    last: Any = chunks[-2].choices[0].delta.model_extra
    assert last["annotations"] == [each.model_dump() for each in message.annotations]
    assert chunks[-2].model_extra is not None and chunks[-2].model_extra["resolution"] == "answered"


async def test_an_agent_acts_and_answers_without_a_conversation(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    turn = [
        Reply(tool_calls=[ToolCalled(name="look_up", arguments={"question": "How many holidays?"})]),
        Reply(text="Thirty [1]."),
        Reply(text="You have thirty days [1]."),
    ]
    asked: Any = {
        "model": "agent:helper",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": [{"type": "text", "text": "How many"}, {"type": "text", "text": "holidays?"}]},
        ],
    }
    server.script_for("chat-model", *turn, *turn)
    plain = strict(await client.chat.completions.create(**asked))
    run = await books.last_run()
    message = plain.choices[0].message
    assert message.content == "You have thirty days [1]."
    assert message.annotations is not None and message.annotations[0].url_citation.title == "Leave"
    assert (message.tool_calls, plain.choices[0].finish_reason) == (None, "stop")
    assert (run["kind"], run["target"]["name"], run["outcome"]) == ("turn", "helper", "completed")
    assert {"agent", "rag_tool", "retrieval_tool", "index", "model"} <= set(run["versions"])
    assert plain.usage is not None and plain.usage.total_tokens == run["usage"]["total"]
    told = server.last.body["messages"]
    assert [each["role"] for each in told] == ["system", "user", "assistant", "user", "assistant", "tool"]
    assert told[3]["content"] == "How many\nholidays?"
    chunks = await in_chunks(client, **asked)
    assert text_of(chunks) == message.content
    assert (await books.magnet.get("/v1/events?kind=conversation"))["items"] == []


async def test_a_prompt_is_rendered_before_the_messages_that_are_given(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    asked: Any = {"model": "prompt:greet", "messages": ASKED, "extra_body": {"variables": {"name": "Ada"}}}
    plain = strict(await client.chat.completions.create(**asked, metadata={"a": "b"}, temperature=1))
    run = await books.last_run()
    assert plain.choices[0].message.content == "echo: Hello there"
    assert server.last.body["messages"] == [{"role": "user", "content": "Greet Ada"}, *ASKED]
    assert "temperature" not in server.last.body
    assert (run["kind"], run["versions"]["prompt"]["version"]) == ("prompt", 1)
    assert run["input"] == {"variables": {"name": "Ada"}, "messages": ASKED, "metadata": {"a": "b"}}
    assert text_of(await in_chunks(client, **asked)) == "echo: Hello there"


@pytest.mark.parametrize("model", ["chat", "prompt:greet"])
async def test_the_tools_of_models_and_prompts_are_called_by_the_client(
    client: AsyncOpenAI, books: Library, server: ModelServer, model: str
):
    variables = {"variables": {"name": "Ada"}} if model == "prompt:greet" else {}
    asked: Any = {"model": model, "messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    asked["extra_body"] = variables
    calling = Reply(text="Wait.", tool_calls=[ToolCalled(name="weather", arguments={"place": "Rome"}, id="c1")])
    server.script_for("chat-model", calling, calling, Reply(text="Sunny."))
    plain = strict(await client.chat.completions.create(**asked, tool_choice="auto", parallel_tool_calls=False))
    message = plain.choices[0].message
    assert (message.content, plain.choices[0].finish_reason) == ("Wait.", "tool_calls")
    run = await books.last_run()
    told = [{"id": "c1", "name": "weather", "arguments": '{"place": "Rome"}'}]
    assert run["output"] == {"text": "Wait.", "tool_calls": told}
    assert server.last.body["tools"] == asked["tools"] and server.last.body["parallel_tool_calls"] is False
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function" and call.function.arguments == '{"place": "Rome"}'
    assert server.last.body["tool_choice"] == "auto"
    chunks = await in_chunks(client, **asked)
    [streamed] = [delta for c in chunks if c.choices for delta in c.choices[0].delta.tool_calls or ()]
    assert (streamed.index, streamed.id) == (0, "c1")
    assert streamed.function is not None and streamed.function.arguments == '{"place": "Rome"}'
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]}
    history: Any = [*ASKED, message.model_dump(), result]
    final = await client.chat.completions.create(model=model, messages=history, extra_body=variables)
    assert final.choices[0].message.content == "Sunny."
    given = server.last.body["messages"][len(variables) :]
    assert given[1]["tool_calls"][0]["id"] == "c1"
    assert given[2] == {"role": "tool", "tool_call_id": "c1", "content": "sunny"}


async def test_an_agent_calls_tools_of_the_client_besides_its_own_actions(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    own = ToolCalled(name="look_up", arguments={"question": "How many holidays?"}, id="o1")
    theirs = ToolCalled(name="weather", arguments={"place": "Rome"}, id="c1")
    asks = [Reply(tool_calls=[own]), Reply(text="Thirty [1]."), Reply(text="Wait [1].", tool_calls=[own, theirs])]
    server.script_for("chat-model", *asks, *asks, Reply(text="Sunny."))
    asked: Any = {"model": "agent:helper", "messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    choice = strict(await client.chat.completions.create(**asked, tool_choice="required")).choices[0]
    sent = [received.body for received in server.requests if received.body.get("tools")]
    assert [body.get("tool_choice") for body in sent] == ["required", None]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Wait [1].")
    assert choice.message.tool_calls is not None and [call.id for call in choice.message.tool_calls] == ["c1"]
    assert choice.message.annotations is not None and choice.message.annotations[0].url_citation.title == "Leave"
    run = await books.last_run()
    assert run["output"]["tool_calls"] == [{"id": "c1", "name": "weather", "arguments": '{"place": "Rome"}'}]
    chunks = await in_chunks(client, **asked)
    [streamed] = [delta for c in chunks if c.choices for delta in c.choices[0].delta.tool_calls or ()]
    assert (streamed.id, chunks[-2].choices[0].finish_reason) == ("c1", "tool_calls")
    result = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
    history: Any = [*ASKED, choice.message.model_dump(), result]
    final = await client.chat.completions.create(**{**asked, "messages": history})
    assert final.choices[0].message.content == "Sunny."
    assert [message["role"] for message in server.last.body["messages"]] == ["system", "user", "assistant", "tool"]
    same = {"type": "function", "function": {"name": "look_up"}}
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.chat.completions.create(**{**asked, "tools": [same]})
    assert (raised.value.code, raised.value.param) == ("not_supported", "tools")


async def test_a_prompt_that_wants_json_may_call_tools_before_it_answers(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    schema = {"type": "object", "required": ["sky"]}
    form = {"type": "json_schema", "schema": schema}
    await books.magnet.do("POST", "/v1/prompts", {"name": "sky", "text": "Say.", "response_format": form})
    calling = Reply(tool_calls=[ToolCalled(name="weather", arguments={}, id="c1")])
    server.script_for("chat-model", calling, Reply(text="Sunny."), Reply(text='{"sky": "blue"}'))
    asked: Any = {"model": "prompt:sky", "tools": [{"type": "function", "function": WEATHER}]}
    choice = strict(await client.chat.completions.create(**asked, messages=ASKED)).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    history: Any = [*ASKED, choice.message.model_dump(), {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
    final = await client.chat.completions.create(**asked, messages=history)
    assert final.choices[0].message.content == '{"sky": "blue"}'
    assert [message["role"] for message in server.last.body["messages"][1:4]] == ["user", "assistant", "tool"]
    assert server.last.body["tools"] == asked["tools"]


async def test_functions_are_called_as_they_were_before_tools(client: AsyncOpenAI, books: Library, server: ModelServer):
    calling = Reply(tool_calls=[ToolCalled(name="weather", arguments="{}")])
    server.script_for("chat-model", calling, calling)
    asked: Any = {"model": "chat", "messages": ASKED, "functions": [WEATHER], "function_call": {"name": "weather"}}
    choice = strict(await client.chat.completions.create(**asked)).choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None and choice.message.function_call.name == "weather"
    assert server.last.body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    chunks = await in_chunks(client, **asked)
    assert chunks[-3].choices[0].delta.function_call is not None
    assert chunks[-2].choices[0].finish_reason == "function_call"


EVERYTHING: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 100,
    "metadata": {"k": "v"},
    "modalities": ["text"],
    "n": 1,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -0.5,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "text"},
    "safety_identifier": "u2",
    "seed": 7,
    "service_tier": "auto",
    "stop": ["\n"],
    "store": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": WEATHER}],
    "top_logprobs": 3,
    "top_p": 0.5,
    "user": "u1",
    "verbosity": "low",
    "web_search_options": {},
}


ANSWERING: list[str] = ["chat", "prompt:greet", "rag:ask", "agent:helper"]


async def test_every_documented_field_is_accepted(subtests: pytest.Subtests, books: Library, server: ModelServer):
    for model in ANSWERING:
        with subtests.test(str(model)[:80]):
            extra = {"moderation": {"model": "m"}, "prompt_cache_options": {"mode": "implicit"}}
            if model == "prompt:greet":
                extra["variables"] = {"name": "Ada"}
            async with AsyncOpenAI(base_url=f"{books.magnet.url}/v1", api_key="x", max_retries=0) as client:
                await client.chat.completions.create(model=model, messages=ASKED, **EVERYTHING, extra_body=extra)
            assert (await books.last_run())["subject"] == "u2"
            if model == "chat":
                sent = server.last.body
                assert (sent["max_tokens"], sent["seed"], sent["stop"], sent["top_p"]) == (100, 7, ["\n"], 0.5)
                assert sent["logit_bias"] == {"50256": -100}
                assert "logprobs" not in sent and "audio" not in sent
            elif model == "agent:helper":
                assert [tool["function"]["name"] for tool in server.last.body["tools"]] == ["look_up", "weather"]


WRONG: list[tuple[dict[str, Any], str | None]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "strange": 1}]}, "messages[0].strange"),
    ({"temperature": "1"}, "temperature"),
    ({"n": 2}, "n"),
    ({"stop": [5]}, "stop"),
    ({"modalities": ["audio"]}, "modalities[0]"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"strange": 1}, "strange"),
    ({"message": "why"}, "message"),
    ({"variables": {"a": 1}}, "variables"),
    ({"model": "rag:ask", "messages": [{"role": "user", "content": " "}]}, "messages"),
    ({"model": "rag:ask", "messages": [{"role": "user", "content": "x" * 10_001}]}, "messages"),
    ({"model": "rag:ask", "filter": {"type": "eq", "key": "a"}}, None),
    ({"model": "agent:helper", "messages": [{"role": "assistant", "content": "x"}]}, "messages"),
    ({"model": "agent:helper", "response_format": {"type": "json_object"}}, "response_format"),
    (
        {"model": "agent:helper", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages[0].content",
    ),
    ({"model": "prompt:greet"}, None),
    ({"model": "embedding"}, "model"),
]


async def test_what_is_wrong_is_refused_with_its_place_before_anything_is_recorded(
    subtests: pytest.Subtests, client: AsyncOpenAI, books: Library
):
    for change, param in WRONG:
        with subtests.test(str((change, param))[:80]):
            head = await books.magnet.container.log.head()
            body = {"model": "chat", "messages": ASKED, **change}
            for stream in (False, True):
                with pytest.raises(openai.UnprocessableEntityError) as raised:
                    await client.post("/chat/completions", body={**body, "stream": stream}, cast_to=ChatCompletion)
                error: Any = raised.value.body
                assert error["type"] == "invalid_request_error"
                assert param is None or error["param"] == param, error
                problem = raised.value.response.json()
                assert problem["code"] == error["code"] and problem["status"] == 422
            assert await books.magnet.container.log.head() == head


NOT_THERE: list[str] = ["nothing", "agent:nothing", "rag:nothing", "prompt:nothing", "robot:x", "agent:"]


async def test_a_model_that_is_not_there_is_not_found(subtests: pytest.Subtests, client: AsyncOpenAI):
    for model in NOT_THERE:
        with subtests.test(str(model)[:80]):
            with pytest.raises(openai.NotFoundError) as raised:
                await client.chat.completions.create(model=model, messages=ASKED)
            assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


FAILURES: list[tuple[Any, type[openai.APIStatusError], str]] = [
    (refused(429, "rate_limit_exceeded"), openai.RateLimitError, "model_limit_reached"),
    (refused(401, "invalid_api_key"), openai.InternalServerError, "provider_access_denied"),
    (server_error(), openai.InternalServerError, "provider_error"),
]


async def test_a_provider_that_fails_raises_openais_own_errors(
    subtests: pytest.Subtests, client: AsyncOpenAI, books: Library, server: ModelServer
):
    for step, kind, code in FAILURES:
        with subtests.test(str((step, kind, code))[:80]):
            server.script_for("chat-model", step, step)
            with pytest.raises(kind) as raised:
                await client.chat.completions.create(model="chat", messages=ASKED)
            assert raised.value.code == code
            assert (await books.last_run())["error"]["code"] == code
            with pytest.raises(openai.APIError) as streamed:
                await in_chunks(client, model="chat", messages=ASKED)
            assert streamed.value.code == code
            assert (await books.last_run())["outcome"] == "failed"


async def test_what_was_tried_again_here_is_not_tried_again_by_the_client(books: Library, server: ModelServer):
    server.script_for("chat-model", server_error())
    async with AsyncOpenAI(base_url=f"{books.magnet.url}/v1", api_key="x") as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="chat", messages=ASKED)
    assert len(server.requests) == 1


async def test_a_stream_that_breaks_tells_its_text_and_then_the_error(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    server.script_for("chat-model", Reply(text="one two three", stop_after=1, ending="broken"))
    stream = await client.chat.completions.create(model="chat", messages=ASKED, stream=True)
    said = [(await anext(stream)).choices[0].delta.content or "" for _ in range(2)]
    with pytest.raises(openai.APIError) as raised:
        await anext(stream)
    assert ("".join(said), raised.value.code) == ("one", "connection_broken")
    assert (await books.last_run())["error"]["code"] == "connection_broken"


@pytest.mark.parametrize("model", ["chat", "prompt:greet", "rag:ask", "agent:helper"])
async def test_a_client_that_leaves_ends_the_call_upstream_and_the_run_says_so(
    books: Library, server: ModelServer, model: str
):
    server.script_for("chat-model", Reply(text="one two three", gate=Gate()))
    extra = {"variables": {"name": "Ada"}} if model == "prompt:greet" else {}
    headers = {"Magnet-Min-Position": str(books.magnet.position)}
    async with AsyncOpenAI(base_url=f"{books.magnet.url}/v1", api_key="x", default_headers=headers) as client:
        asked: Any = {"model": model, "messages": [{"role": "user", "content": "How many holidays?"}]}
        async with await client.chat.completions.create(**asked, stream=True, extra_body=extra) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
        await server.until(lambda: server.last.ended == "left")
    async with asyncio.timeout(PATIENCE):
        while (run := await books.last_run())["outcome"] == "running":
            pass
    assert run["outcome"] == "cancelled"


async def test_without_any_model_a_rag_tool_and_an_agent_still_answer(magnet: Running):
    async with library(magnet) as books:
        await books.tools()
        await books.add("a", HOLIDAYS, title="Leave")
        search = {"type": "rag_tool", "tool": "ask", "function": "look_up"}
        await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "Help.", "actions": [search]})
        headers = {"Magnet-Min-Position": str(magnet.position)}
        async with AsyncOpenAI(base_url=f"{magnet.url}/v1", api_key="x", default_headers=headers) as client:
            for model in ("rag:ask", "agent:helper"):
                asked: Any = {"model": model, "messages": [{"role": "user", "content": "How many holidays?"}]}
                message = (await client.chat.completions.create(**asked)).choices[0].message
                assert message.content is not None and HOLIDAYS in message.content
                assert message.annotations is not None and message.annotations[0].url_citation.title == "Leave"
                assert message.content in text_of(await in_chunks(client, **asked))


async def test_the_same_key_runs_once_and_answers_the_same_bytes(books: Library, server: ModelServer):
    body = {"model": "chat", "messages": ASKED}
    first = await books.call("/v1/chat/completions", body, Idempotency_Key="k")
    again = await books.call("/v1/chat/completions", body, Idempotency_Key="k")
    assert first.content == again.content
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(server.requests) == 1
    streaming = {**body, "stream": True}
    whole = [await books.call("/v1/chat/completions", streaming, Idempotency_Key="s") for _ in range(2)]
    assert ['"content":"' in each.text and each.text.endswith("[DONE]\n\n") for each in whole] == [True, True]
    assert [each.headers.get("Idempotent-Replay") for each in whole] == [None, "true"]
    responding = {"model": "chat", "input": "How many holidays?", "stream": True}
    whole = [await books.call("/v1/responses", responding, Idempotency_Key="r") for _ in range(2)]
    assert [each.headers.get("Idempotent-Replay") for each in whole] == [None, "true"]
    assert len(server.requests) == 3
    other = await books.call("/v1/chat/completions", {**body, "n": 1}, Idempotency_Key="k")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_answers_parse_into_a_given_type(client: AsyncOpenAI, books: Library, server: ModelServer):
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    server.script_for("chat-model", Reply(text='{"n": 3}'))
    asked: Any = {"model": "chat", "messages": ASKED, "response_format": form}
    answer = await client.chat.completions.create(**asked)
    assert answer.choices[0].message.content == '{"n": 3}'
    assert server.last.body["response_format"] == form
    assert ChatCompletionMessage.model_validate(answer.choices[0].message.model_dump())


HOSTILE = [
    "\u202e",
    "\ufffe",
    "\u0301" * 1000,
    "{{7*7}}",
    "'\";--",
    "%s%n",
    " " * 5_000,
    "\r\nX: y",
    "[1][2]",
    "=cmd|x",
]


async def test_hostile_texts_are_data(books: Library, server: ModelServer):
    for text in HOSTILE:
        message = {"role": "user", "content": text or "x", "name": text[:100]}
        for model in ("chat", "prompt:greet", "agent:helper", "rag:ask", f"agent:{text}", text):
            body = {
                "model": model[:200],
                "messages": [{**message, "content": f"a{text}"}],
                "user": text[:200],
                "metadata": {text[:60]: text},
                "stop": [text],
            }
            if model == "prompt:greet":
                body["variables"] = {"name": text}
            answer = await books.call("/openai/v1/chat/completions", body)
            assert answer.status_code == (404 if text in model else 200), (model, text, answer.text)
            if model in ("chat", "prompt:greet"):
                assert answer.json()["choices"][0]["message"]["content"] == f"echo: a{text}"


NO_REQUESTS: list[tuple[bytes, int]] = [
    (b'{"model":"chat","messages":[{"role":"user","content":"\\ud800"}]}', 422),
    (b'{"model":"chat","messages":[{"role":"user","content":[{"type":"text","text":"a\\u0000"}]}]}', 422),
    (b'{"model":"agent:\\u0000","messages":[{"role":"user","content":"a"}]}', 422),
    (b'{"model":"chat","messages":[{"role":"user","content":"a"}],"temperature":NaN}', 422),
    (b'{"model":"chat","messages":[{"role":"user","content":"a"}],"seed":18446744073709551616}', 422),
    (b'{"model":"chat","messages":[{"role":"user","content":"a"}],"n":true}', 422),
    (b'{"model":"chat","messages":[{"role":"user","content":"a"}],"logit_bias":{"1":1e999}}', 422),
    (b'{"model":"chat","model":"chat","messages":[{"role":"user","content":"a"}]}', 400),
    (b'{"model":"chat","messages":' + b"[" * 70 + b"]" * 70 + b"}", 400),
    (b'{"model":"chat","messages":[{"role":"user","content":"a"}],"run_id":"x","usage":{}}', 422),
    (b"[]", 422),
    (b"", 400),
]


async def test_what_is_no_request_is_refused_in_openais_form(subtests: pytest.Subtests, books: Library):
    for body, status in NO_REQUESTS:
        with subtests.test(str((body, status))[:80]):
            head = await books.magnet.container.log.head()
            for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
                headers = {"Content-Type": "application/json"}
                answer = await books.magnet.client.post(path, content=body, headers=headers)
                assert answer.status_code == status, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
            assert await books.magnet.container.log.head() == head
