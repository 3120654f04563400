"""Responses through the unmodified client of OpenAI: turns of conversations, and runs of all else that answers."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import openai
import orjson
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.library import Library
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled, server_error
from tests.support.patience import PATIENCE
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, talks

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FUNCTION: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
SEARCHED = ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="s1")
ENDS = ("response.completed", "response.failed", "response.incomplete")
MESSAGE = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.annotation.added",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
"""The types of the events of an answer that cites something, in order, each as often as it may come."""


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent that must ask before it shouts, a RAG tool, prompts and models."""
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, server, actions=actions) as made:
        await magnet.do("POST", "/v1/prompts", {"name": "greet", "text": "Greet {{ name }}"})
        await magnet.do("POST", "/v1/agents", {"name": "other", "instructions": "You are another."})
        yield made


@pytest.fixture
def books(talk: Talks) -> Library:
    return talk.books


def connected(magnet: Running, root: str = "/openai/v1", **more: Any) -> AsyncOpenAI:
    headers = {"Magnet-Min-Position": str(magnet.position), **more.pop("headers", {})}
    asked = {"api_key": "anything", "max_retries": 0, **more}
    return AsyncOpenAI(base_url=f"{magnet.url}{root}", default_headers=headers, **asked)


@pytest.fixture(params=["/openai/v1", "/v1"])
async def either(request: pytest.FixtureRequest, talk: Talks) -> AsyncIterator[AsyncOpenAI]:
    async with connected(talk.magnet, request.param) as made:
        yield made


@pytest.fixture
async def client(talk: Talks) -> AsyncIterator[AsyncOpenAI]:
    async with connected(talk.magnet) as made:
        yield made


def strict(response: Response) -> Response:
    """Return it read once more, by OpenAI's types with all their checks."""
    return Response.model_validate(response.model_dump())


def beside(value: Any, name: str) -> Any:
    """Return what is ours beside OpenAI's fields."""
    return value.model_extra[name]


async def streamed(client: AsyncOpenAI, **asked: Any) -> list[Any]:
    """Return the events of a stream, each read by OpenAI's types with all their checks."""
    stream = await client.responses.create(stream=True, **asked)
    return checked([event async for event in stream])


def checked(events: list[Any]) -> list[Any]:
    """Return events that are numbered without a gap and of which exactly the last one ends."""
    found = [EVENT.validate_python(event.model_dump()) for event in events]
    numbers = [event.sequence_number for event in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [event.type in ENDS for event in found] == [False] * (len(found) - 1) + [True]
    return found


def types(events: list[Any]) -> list[str]:
    """Return the types of events, each once where it comes several times in a row."""
    found = [event.type for event in events]
    return [type for number, type in enumerate(found) if number == 0 or found[number - 1] != type]


def text_of(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


async def test_an_agent_answers_in_a_conversation_that_goes_on_by_the_response(
    either: AsyncOpenAI, talk: Talks, server: ModelServer
):
    first = strict(
        await either.responses.create(
            model="agent:helper", input="Hello there", user="u1", metadata={"a": "b"}, instructions="Be brief."
        )
    )
    assert (first.output_text, first.status, first.model) == ("echo: Hello there", "completed", "agent:helper")
    assert server.last.body["messages"] == [
        {"role": "system", "content": "You help."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there"},
    ]
    assert first.conversation is not None and first.previous_response_id is None
    second = strict(
        await either.responses.create(model="agent:helper", input="And now?", previous_response_id=first.id)
    )
    assert (second.conversation, second.previous_response_id) == (first.conversation, first.id)
    third = await either.responses.create(
        model="agent:helper",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Once more"}]}],
        conversation=first.conversation.id,
    )
    told = [message["content"] for message in server.last.body["messages"]]
    assert told == ["You help.", "Hello there", "echo: Hello there", "And now?", "echo: And now?", "Once more"]
    assert third.previous_response_id == second.id
    path = f"/v1/conversations/{UUID(first.conversation.id.removeprefix('conv_'))}"
    seen = await talk.see(path)
    assert (seen["subject"], [turn["state"] for turn in seen["turns"]]) == ("u1", ["completed"] * 3)
    run = await talk.run(str(beside(first, "run_id")))
    assert (run["kind"], run["channel"], run["subject"]) == ("turn", "openai", "u1")
    assert run["input"] == {"content": "Hello there", "instructions": "Be brief.", "metadata": {"a": "b"}}
    assert first.usage is not None and first.usage.total_tokens == run["usage"]["total"]
    read = strict(await either.responses.retrieve(first.id))
    assert read.model_dump(exclude={"instructions"}) == first.model_dump(exclude={"instructions"})


async def test_a_stream_tells_the_answer_in_openais_own_events(either: AsyncOpenAI, talk: Talks, server: ModelServer):
    server.script_for(
        "chat-model",
        Reply(tool_calls=[ToolCalled(name="find_passages", arguments={"query": "holidays"})]),
        Reply(text="You have thirty days [1]."),
    )
    events = await streamed(either, model="agent:helper", input="How many holidays?")
    assert types(events) == MESSAGE
    assert [events[0].sequence_number, events[0].response.status] == [0, "in_progress"]
    response = strict(events[-1].response)
    assert text_of(events) == response.output_text == "You have thirty days [1]."
    [message] = response.output
    assert message.type == "message" and message.content[0].type == "output_text"
    [annotation] = message.content[0].annotations
    assert annotation.type == "file_citation" and annotation.filename == "Leave"
    assert beside(annotation, "citation")["document_version"] == 1
    [told] = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert told.annotation.model_dump() == annotation.model_dump()
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {message.id}
    again = checked([event async for event in await either.responses.retrieve(response.id, stream=True)])
    assert (text_of(again), types(again)) == (response.output_text, MESSAGE)
    last = events[-1].sequence_number
    rest = await either.responses.retrieve(response.id, stream=True, starting_after=last - 2)
    assert [event.type async for event in rest] == ["response.output_item.done", "response.completed"]
    beyond = await either.responses.retrieve(response.id, stream=True, starting_after=last + 50)
    [end] = [event async for event in beyond]
    assert (end.type, end.sequence_number) == ("response.completed", last + 51)


async def test_the_clients_own_helper_follows_a_stream(client: AsyncOpenAI, server: ModelServer):
    async with client.responses.stream(model="agent:helper", input="Hello there") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == "echo: Hello there"
    assert kinds[-1] == "response.completed"


async def test_a_stream_is_server_sent_events_named_by_their_types(talk: Talks):
    body = {"model": "agent:helper", "input": "Hello", "stream": True}
    answer = await talk.books.call("/v1/responses", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.text.strip().split("\n\n")
    for number, frame in enumerate(frames):
        name, data = frame.split("\n")
        told = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {told['type']}" and told["sequence_number"] == number
    assert "[DONE]" not in answer.text


async def test_a_rag_tool_responds_with_its_citations(client: AsyncOpenAI, books: Library, server: ModelServer):
    text = "You get thirty days [1]. Lunch, too [1, 2]."
    server.script_for("chat-model", Reply(text=text), Reply(text=text))
    plain = strict(await client.responses.create(model="rag:ask", input="How many holidays?", metadata={"a": "b"}))
    run = await books.last_run()
    assert (run["kind"], run["channel"], plain.id) == ("answer", "openai", f"resp_{run['id'].replace('-', '')}")
    [message] = plain.output
    assert message.type == "message" and message.content[0].type == "output_text"
    cited = message.content[0].annotations
    assert [text[each.index :][:2] for each in cited if each.type == "file_citation"] == ["[1", "[1", "[1"]
    assert beside(cited[0], "citation") == run["output"]["citations"][0]
    assert (plain.conversation, plain.metadata, beside(plain, "resolution")) == (None, {"a": "b"}, "answered")
    events = await streamed(client, model="rag:ask", input="How many holidays?")
    assert (types(events), text_of(events)) == (MESSAGE, text)
    assert events[-1].response.output[0].content == message.content
    read = strict(await client.responses.retrieve(plain.id))
    assert (read.output, read.usage, read.metadata, read.model) == (plain.output, plain.usage, {"a": "b"}, "rag:ask")


async def test_a_prompt_and_a_model_respond_and_call_functions_of_the_client(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    extra: Any
    own: Any
    greeting = {"role": "user", "content": "Greet Ada"}
    for model, extra, own in (
        ("prompt:greet", {"variables": {"name": "Ada"}}, [greeting]),
        ("chat", {}, []),
        ("agent:other", {"store": False}, [{"role": "system", "content": "You are another."}]),
    ):
        calling = Reply(text="Wait.", tool_calls=[ToolCalled(name="weather", arguments={"place": "Rome"}, id="c1")])
        server.script_for("chat-model", calling, calling, Reply(text="Sunny."))
        asked: Any = {"model": model, "tools": [FUNCTION], "extra_body": extra, "max_output_tokens": 50}
        plain = strict(await client.responses.create(**asked, input="Weather?", tool_choice="auto"))
        message, call = plain.output
        assert message.type == "message" and call.type == "function_call"
        assert (call.call_id, call.name, call.arguments) == ("c1", "weather", '{"place": "Rome"}')
        named = {"name": "weather", "parameters": {"type": "object"}, "strict": False}
        assert server.last.body["tools"] == [{"type": "function", "function": named}]
        assert server.last.body.get("max_tokens") == (50 if model == "chat" else None)
        assert strict(await client.responses.retrieve(plain.id)).output == plain.output
        events = await streamed(client, **asked, input="Weather?")
        assert [event.type for event in events[-5:-1]] == [
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        assert events[-1].response.output[1].arguments == call.arguments
        history: Any = [
            {"role": "user", "content": "Weather?"},
            *(item.model_dump() for item in plain.output),
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ]
        final = await client.responses.create(model=model, input=history, extra_body=extra, instructions="Be brief.")
        assert final.output_text == "Sunny."
        function = {"name": "weather", "arguments": '{"place": "Rome"}'}
        assert server.last.body["messages"] == [
            *own,
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "Wait.",
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ]
    assert (await books.magnet.get("/v1/events?kind=conversation"))["items"] == []


async def test_what_a_model_could_not_say_in_full_is_incomplete(client: AsyncOpenAI, server: ModelServer):
    cut = Reply(text="one two", finish_reason="length")
    server.script_for("chat-model", cut, cut)
    plain = strict(await client.responses.create(model="chat", input="Hello"))
    assert (plain.status, plain.output[0].status) == ("incomplete", "incomplete")  # type: ignore[union-attr]
    assert plain.incomplete_details is not None and plain.incomplete_details.reason == "max_output_tokens"
    assert (await client.responses.retrieve(plain.id)).status == "incomplete"
    events = await streamed(client, model="chat", input="Hello")
    assert (events[-1].type, events[-1].response.output_text) == ("response.incomplete", "one two")


@pytest.mark.parametrize("model", ["rag:ask", "agent:other"])
async def test_an_answer_that_was_cut_off_is_told_as_that_whoever_gives_it(
    client: AsyncOpenAI, server: ModelServer, model: str
):
    cut = Reply(text="one two", finish_reason="length")
    server.script_for("chat-model", cut, cut)
    plain = strict(await client.responses.create(model=model, input="How many holidays?", store=False))
    read = strict(await client.responses.retrieve(plain.id))
    for each in (plain, read):
        assert each.incomplete_details is not None, each.status
        assert (each.status, each.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    asked: Any = [{"role": "user", "content": "How many holidays?"}]
    completed = await client.chat.completions.create(model=model, messages=asked)
    assert completed.choices[0].finish_reason == "length"


def with_file(name: str, data: str) -> Any:
    part = {"type": "input_file", "filename": name, "file_data": data}
    return [{"role": "user", "content": [{"type": "input_text", "text": "When is lunch?"}, part]}]


async def test_files_of_a_message_to_an_agent_are_those_of_its_conversation(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    server.script_for("chat-model", Reply(text="At noon."), Reply(text="Yes."))
    data = b64encode(b"<p>Lunch is at noon, canary-3.</p>").decode()
    given = with_file("plan.html", f"data:text/html;base64,{data}")
    first = strict(await client.responses.create(model="agent:helper", input=given))
    assert first.output_text == "At noon." and "--- plan.html ---\nLunch is at noon, canary-3." in str(
        server.last.body["messages"][-2]["content"]
    )
    await client.responses.create(model="agent:helper", input="Sure?", previous_response_id=first.id)
    assert "canary-3" in str(server.last.body["messages"][-2]["content"]), "also in the turns that follow"
    assert first.conversation is not None
    seen = await talk.see(f"/v1/conversations/{UUID(first.conversation.id.removeprefix('conv_'))}")
    [file] = seen["messages"][0]["attachments"]
    assert (file["name"], file["media_type"], file["status"]) == ("plan.html", "text/html", "whole")


async def test_files_that_no_conversation_takes_are_refused(client: AsyncOpenAI):
    whole = b64encode(b"Lunch is at noon.").decode()
    for asked, code in (
        ({"model": "chat", "input": with_file("a.txt", whole)}, "unsupported_parameter"),
        ({"model": "agent:helper", "store": False, "input": with_file("a.txt", whole)}, "unsupported_parameter"),
        ({"model": "agent:helper", "input": with_file("a.txt", "data:text/plain;base64,*")}, "invalid_base64"),
        ({"model": "agent:helper", "input": with_file("a.pdf", b64encode(b"%PDF-x").decode())}, "unreadable"),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            await client.responses.create(**asked)
        assert refused.value.code == code, (asked, refused.value.body)


async def test_what_needs_a_confirmation_is_asked_for_and_answered_as_an_approval(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    asks = Reply(text="Shall I?", tool_calls=[ToolCalled(name="shout", arguments={"words": "hey"}, id="c2")])
    for stream in (False, True):
        server.script_for("chat-model", asks, Reply(text="HEY!"), Reply(text="I have shouted."))
        first = strict(await client.responses.create(model="agent:helper", input="Shout."))
        message, request = first.output
        assert (first.status, message.type, request.type) == ("completed", "message", "mcp_approval_request")
        assert (request.name, request.arguments, request.server_label) == ("shout", '{"words": "hey"}', "helper")
        approval = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        asked: Any = {"model": "agent:helper", "previous_response_id": first.id, "input": [approval]}
        asked |= {"instructions": "Be brief.", "tools": [FUNCTION]}  # as clients say them each time
        if stream:
            events = await streamed(client, **asked)
            second = strict(events[-1].response)
            assert text_of(events) == second.output_text
        else:
            second = strict(await client.responses.create(**asked))
        assert (second.output_text, second.previous_response_id) == ("I have shouted.", first.id)
        assert {"role": "system", "content": "Be brief."} in server.last.body["messages"]
        assert second.id != first.id
        once = len(server.requests)
        assert (await client.responses.create(**asked)).output == second.output
        assert len(server.requests) == once
        assert (await client.responses.retrieve(first.id)).output == first.output
        assert (await client.responses.retrieve(second.id)).output == second.output
        with pytest.raises(openai.ConflictError) as raised:
            await client.responses.create(
                **{**asked, "input": [{**approval, "approve": False}]},
            )
        assert raised.value.code == "confirmation_decided"


async def test_all_that_a_response_asks_for_is_decided_at_once(client: AsyncOpenAI, talk: Talks, server: ModelServer):
    calls = [ToolCalled(name="shout", arguments={"words": word}, id=word) for word in ("a", "b")]
    server.script_for("chat-model", Reply(tool_calls=calls), Reply(text="B!"), Reply(text="One of them."))
    first = await client.responses.create(model="agent:helper", input="Shout.")
    decisions: Any = [
        {"type": "mcp_approval_response", "approval_request_id": each.id, "approve": number == 1}
        for number, each in enumerate(first.output)
    ]
    asked: Any = {"model": "agent:helper", "previous_response_id": first.id}
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.responses.create(**asked, input=decisions[:1])
    assert raised.value.code == "approval_missing"
    second = await client.responses.create(**asked, input=decisions)
    assert second.output_text == "One of them."


WEATHER = Reply(
    text="Let me see.", tool_calls=[ToolCalled(name="weather", arguments={"city": "Graz"}, id="w1"), SEARCHED]
)


def result_of(response: Response, output: str = "Sunny.") -> Any:
    [call] = [each for each in response.output if each.type == "function_call"]
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


async def test_an_agent_waits_for_functions_of_the_client_in_its_conversation(
    either: AsyncOpenAI, talk: Talks, server: ModelServer
):
    for stream in (False, True):
        server.script_for("chat-model", WEATHER, Reply(text="It is sunny."))
        asked: Any = {"model": "agent:helper", "input": "How is the weather?", "tools": [FUNCTION]}
        if stream:
            events = await streamed(either, **asked)
            first = strict(events[-1].response)
            assert "response.function_call_arguments.done" in types(events)
        else:
            first = strict(await either.responses.create(**asked))
        assert [each.type for each in first.output] == ["message", "function_call"]
        assert first.output[1].arguments == '{"city": "Graz"}'
        assert strict(await either.responses.retrieve(first.id)).output == first.output
        more: Any = {"model": "agent:helper", "previous_response_id": first.id, "tools": [FUNCTION]}
        more |= {"input": [result_of(first)], "instructions": "Be brief."}
        second = strict(await either.responses.create(**more))
        assert (second.output_text, second.previous_response_id) == ("It is sunny.", first.id)
        told = server.last.body
        results = {each["tool_call_id"]: each["content"] for each in told["messages"] if each["role"] == "tool"}
        assert (set(results), results["w1"]) == ({"w1", "s1"}, "Sunny.")
        assert "weather" in [each["function"]["name"] for each in told["tools"]]
        assert {"role": "system", "content": "Be brief."} in told["messages"]
        once = len(server.requests)
        assert strict(await either.responses.create(**more)).output == second.output
        assert len(server.requests) == once, "the same result again is no second answer"
    third = await either.responses.create(model="agent:helper", input="And now?", previous_response_id=second.id)
    assert third.output_text == "echo: And now?"
    conversation = third.conversation
    assert conversation is not None
    seen = await talk.see(f"/v1/conversations/{UUID(conversation.id.removeprefix('conv_'))}")
    actions = {each["id"]: (each["type"], each["result"]) for each in seen["turns"][0]["actions"]}
    assert actions["w1"] == ("client_tool", "Sunny.")


async def test_functions_of_the_client_and_approvals_are_answered_together_and_anything_else_declines_them(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    both = [ToolCalled(name="weather", id="w1"), ToolCalled(name="shout", arguments={"words": "hey"}, id="c1")]
    server.script_for("chat-model", Reply(tool_calls=both), Reply(text="HEY!"), Reply(text="Both."))
    first = await client.responses.create(model="agent:helper", input="Do both.", tools=[FUNCTION])
    call, request = first.output
    assert (call.type, request.type) == ("function_call", "mcp_approval_request")
    more: Any = {"model": "agent:helper", "previous_response_id": first.id, "tools": [FUNCTION]}
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.responses.create(**more, input=[result_of(first)])
    assert raised.value.code == "approval_missing"
    approval = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    second = await client.responses.create(**more, input=[result_of(first), approval])
    assert second.output_text == "Both."
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.responses.create(**more, input=[{**result_of(first), "call_id": "w9"}])
    assert raised.value.code == "unknown_call"
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.responses.create(**more, input=[result_of(first, "x" * 200_001)])
    assert raised.value.code == "invalid_content"
    server.script_for("chat-model", Reply(tool_calls=both[:1]))
    third = await client.responses.create(
        model="agent:helper", input="Again.", tools=[FUNCTION], previous_response_id=second.id
    )
    said = await client.responses.create(model="agent:helper", input="Never mind.", previous_response_id=third.id)
    assert said.output_text == "echo: Never mind."
    with pytest.raises(openai.ConflictError) as late:
        await client.responses.create(
            model="agent:helper", previous_response_id=third.id, input=[result_of(third)], tools=[FUNCTION]
        )
    assert late.value.code == "confirmation_decided"


async def test_a_function_of_the_client_has_a_name_of_its_own(client: AsyncOpenAI, talk: Talks):
    head = await talk.magnet.container.log.head()
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await client.responses.create(model="agent:helper", input="Hi", tools=[{**FUNCTION, "name": "shout"}])
    assert (raised.value.code, raised.value.param) == ("not_supported", "tools")
    assert await talk.magnet.container.log.head() == head


async def test_a_response_in_the_background_is_polled_until_it_has_ended(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    gate = Gate()
    server.script_for("chat-model", Reply(text="one two three", gate=gate))
    begun = strict(await client.responses.create(model="agent:helper", input="Count.", background=True))
    assert (begun.status, begun.background, begun.output) == ("in_progress", True, [])
    assert (await client.responses.retrieve(begun.id)).status == "in_progress"
    with pytest.raises(openai.ConflictError) as raised:
        await client.responses.create(model="agent:helper", input="More.", previous_response_id=begun.id)
    assert raised.value.code == "turn_in_progress"
    following = asyncio.ensure_future(anext(aiter(await client.responses.retrieve(begun.id, stream=True))))
    assert (await following).type == "response.created"
    gate.open()
    async with asyncio.timeout(PATIENCE):
        while (done := await client.responses.retrieve(begun.id)).status == "in_progress":
            pass
    assert (done.status, done.output_text) == ("completed", "one two three")


async def test_a_response_is_cancelled_and_the_call_upstream_ends(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    server.script_for("chat-model", Reply(text="one two three", gate=Gate()))
    begun = await client.responses.create(model="agent:helper", input="Count.", background=True)
    stream = await client.responses.retrieve(begun.id, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    stopped = strict(await client.responses.cancel(begun.id))
    assert (stopped.status, stopped.id) == ("cancelled", begun.id)
    await server.until(lambda: server.last.ended == "left")
    rest = [event async for event in stream]
    assert (rest[-1].type, rest[-1].response.status) == ("response.incomplete", "cancelled")
    assert (await client.responses.cancel(begun.id)).status == "cancelled"
    assert (await client.responses.retrieve(begun.id)).status == "cancelled"
    after = await client.responses.create(model="agent:helper", input="Hello", previous_response_id=begun.id)
    with pytest.raises(openai.ConflictError) as raised:
        await client.responses.cancel(after.id)
    assert raised.value.code == "turn_ended"


async def test_a_client_that_leaves_does_not_stop_a_turn(client: AsyncOpenAI, talk: Talks, server: ModelServer):
    gate = Gate()
    server.script_for("chat-model", Reply(text="one two three", gate=gate))
    async with await client.responses.create(model="agent:helper", input="Count.", stream=True) as stream:
        begun = await anext(stream)
    gate.open()
    assert begun.type == "response.created"
    async with asyncio.timeout(PATIENCE):
        while (done := await client.responses.retrieve(begun.response.id)).status == "in_progress":
            pass
    assert done.output_text == "one two three"


async def test_a_response_is_followed_cancelled_and_gone_on_from_in_another_process(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    server.script_for("chat-model", Reply(text="one two three", gate=Gate()))
    begun = await client.responses.create(model="agent:helper", input="Count.", background=True)
    async with (
        serving(talk.magnet.database, Path(talk.magnet.container.settings.home)) as other,
        connected(other) as elsewhere,
    ):
        assert (await elsewhere.responses.retrieve(begun.id)).status == "in_progress"
        stream = await elsewhere.responses.retrieve(begun.id, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        assert (await elsewhere.responses.cancel(begun.id)).status == "cancelled"
        assert [event.type async for event in stream][-1] == "response.incomplete"
        after = await elsewhere.responses.create(model="agent:helper", input="Hi", previous_response_id=begun.id)
    assert (await client.responses.retrieve(after.id)).output_text == "echo: Hi"


async def test_of_who_was_erased_responses_tell_nothing_that_was_said(client: AsyncOpenAI, talk: Talks):
    said = [
        await client.responses.create(model=model, input="My canary", user="u1", metadata={"a": "canary"})
        for model in ("agent:helper", "chat")
    ]
    await talk.magnet.do("POST", "/v1/subjects/u1/erase", {"message": "as asked"})
    for each in said:
        for stream in ("", "?stream=true"):
            answer = await talk.magnet.call("GET", f"/v1/responses/{each.id}{stream}")
            assert answer.status_code == 200 and "canary" not in answer.text, answer.text
            assert "[erased]" in answer.text


async def test_only_the_newest_response_is_gone_on_from(client: AsyncOpenAI, talk: Talks):
    first = await client.responses.create(model="agent:helper", input="One")
    await client.responses.create(model="agent:helper", input="Two", previous_response_id=first.id)
    with pytest.raises(openai.ConflictError) as raised:
        await client.responses.create(model="agent:helper", input="Three", previous_response_id=first.id)
    assert raised.value.code == "turn_not_newest"
    with pytest.raises(openai.UnprocessableEntityError) as other:
        await client.responses.create(model="agent:other", input="Three", previous_response_id=first.id)
    assert (other.value.code, other.value.param) == ("other_agent", "model")


async def test_messages_that_come_with_their_history_are_answered_without_a_conversation(
    client: AsyncOpenAI, talk: Talks, server: ModelServer
):
    history: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "How are you?"},
    ]
    for more in ({}, {"store": False}):
        answer = strict(await client.responses.create(model="agent:helper", input=history, **more))
        assert (answer.output_text, answer.conversation) == ("echo: How are you?", None)
        assert beside(answer, "store") is False
    alone = await client.responses.create(model="agent:helper", input="Hi", store=False)
    assert (await talk.magnet.get("/v1/events?kind=conversation"))["items"] == []
    assert (await client.responses.retrieve(alone.id)).output_text == "echo: Hi"
    with pytest.raises(openai.NotFoundError) as raised:
        await client.responses.create(model="agent:helper", input="And?", previous_response_id=alone.id)
    assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")


NOT_SUPPORTED: list[tuple[Any, str]] = [
    ({"model": "rag:ask", "tools": [FUNCTION]}, "tools"),
    ({"model": "chat", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"model": "chat", "tool_choice": {"type": "file_search"}}, "tool_choice"),
    ({"text": {"format": {"type": "json_object"}}}, "text.format"),
    ({"model": "prompt:greet", "previous_response_id": "resp_x"}, "previous_response_id"),
    ({"model": "rag:ask", "conversation": "conv_x"}, "conversation"),
    ({"model": "chat", "background": True}, "background"),
    ({"store": False, "background": True}, "background"),
    ({"store": False, "previous_response_id": "resp_x"}, "previous_response_id"),
    ({"previous_response_id": "resp_x", "conversation": "conv_x"}, "conversation"),
    ({"model": "rag:ask", "instructions": "Be brief."}, "instructions"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"filter": {"type": "eq", "key": "a", "value": 1}}, "filter"),
    ({"model": "chat", "variables": {"a": 1}}, "variables"),
    ({"input": [{"type": "reasoning", "id": "r", "summary": []}]}, "input[0].type"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "previous_response_id"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        "input[0].content[0].type",
    ),
    (
        {"model": "chat", "input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        "input[0].content[0].type",
    ),
    ({"store": True, "input": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "store"),
    (
        {"input": [{"type": "mcp_approval_response", "approval_request_id": f"mcpr_{'0' * 32}", "approve": True}]},
        "previous_response_id",
    ),
]


async def test_what_is_not_supported_is_refused_by_its_name(subtests: pytest.Subtests, client: AsyncOpenAI):
    for change, param in NOT_SUPPORTED:
        with subtests.test(str((change, param))[:80]):
            body = {"model": "agent:helper", "input": "Hi", **change}
            with pytest.raises(openai.UnprocessableEntityError) as raised:
                await client.post("/responses", body=body, cast_to=Response)
            assert (raised.value.code, raised.value.param) == ("unsupported_parameter", param)
            assert raised.value.response.json()["errors"][0]["code"] == "unsupported_parameter"


WRONG: list[tuple[Any, str]] = [
    ({"input": 5}, "input"),
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"input": ["x"]}, "input[0]"),
    ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": "x", "strange": 1}]}, "input[0].strange"),
    ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
    ({"input": "x" * 200_001}, "input"),
    ({"model": "rag:ask", "input": " "}, "input"),
    ({"store": False, "input": [{"role": "assistant", "content": "x"}]}, "input"),
    ({"temperature": "1"}, "temperature"),
    ({"stream": "yes"}, "stream"),
    ({"text": {"format": {"type": "xml"}}}, "text.format"),
    ({"conversation": 5}, "conversation"),
    ({"strange": 1}, "strange"),
    ({"message": "why"}, "message"),
]


async def test_what_is_wrong_is_refused_with_its_place_before_anything_is_recorded(
    subtests: pytest.Subtests, client: AsyncOpenAI, talk: Talks
):
    for change, param in WRONG:
        with subtests.test(str((change, param))[:80]):
            head = await talk.magnet.container.log.head()
            for stream in (False, True):
                body = {"model": "agent:helper", "input": "Hi", "stream": stream, **change}
                with pytest.raises(openai.UnprocessableEntityError) as raised:
                    await client.post("/responses", body=body, cast_to=Response)
                assert raised.value.param == param, raised.value.body
            assert await talk.magnet.container.log.head() == head


EVERYTHING: dict[str, Any] = {
    "include": ["message.output_text.logprobs"],
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "metadata": {"k": "v"},
    "parallel_tool_calls": False,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low"},
    "safety_identifier": "u2",
    "service_tier": "auto",
    "store": True,
    "temperature": 1,
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 3,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "u1",
}


ANSWERING: list[str] = ["chat", "prompt:greet", "rag:ask", "agent:helper"]


async def test_every_other_documented_field_is_accepted(
    subtests: pytest.Subtests, client: AsyncOpenAI, books: Library, server: ModelServer
):
    for model in ANSWERING:
        with subtests.test(str(model)[:80]):
            extra = {"moderation": {"model": "m"}, "prompt_cache_options": {"mode": "implicit"}, "background": False}
            variables = {"variables": {"name": "Ada"}} if model == "prompt:greet" else {}
            answer = await client.responses.create(
                model=model, input="How many holidays?", **EVERYTHING, extra_body={**extra, **variables}
            )
            assert (answer.user, answer.metadata) == ("u2", {"k": "v"})
            assert (await books.last_run())["subject"] == "u2"
            if model == "chat":
                sent = server.last.body
                assert (sent["max_tokens"], sent["top_p"], sent["verbosity"]) == (100, 0.5, "low")
                assert (sent["reasoning_effort"], sent["parallel_tool_calls"]) == ("low", False)


async def test_a_model_is_asked_for_json_by_its_schema(client: AsyncOpenAI, server: ModelServer):
    form: Any = {"type": "json_schema", "name": "sky", "schema": {"type": "object"}, "strict": True}
    server.script_for("chat-model", Reply(text='{"sky": "blue"}'))
    answer = await client.responses.create(model="chat", input="Say.", text={"format": form})
    assert answer.output_text == '{"sky": "blue"}'
    named = {"name": "sky", "schema": {"type": "object"}, "strict": True}
    assert server.last.body["response_format"] == {"type": "json_schema", "json_schema": named}


async def test_a_provider_that_fails_is_told_plain_as_an_error_and_streamed_as_a_failed_response(
    subtests: pytest.Subtests, client: AsyncOpenAI, server: ModelServer
):
    for model in ANSWERING:
        with subtests.test(str(model)[:80]):
            server.script_for("chat-model", server_error(), server_error())
            extra = {"variables": {"name": "Ada"}} if model == "prompt:greet" else {}
            asked: Any = {"model": model, "input": "How many holidays?", "extra_body": extra}
            with pytest.raises(openai.InternalServerError) as raised:
                await client.responses.create(**asked)
            assert raised.value.code == "provider_error"
            events = await streamed(client, **asked)
            assert types(events) == ["response.created", "response.in_progress", "response.failed"]
            failed = events[-1].response
            assert (failed.status, failed.error.code, failed.error.type) == ("failed", "server_error", "provider_error")
            read = strict(await client.responses.retrieve(failed.id))
            assert (read.status, read.error) == ("failed", failed.error)


async def test_a_stream_that_breaks_tells_its_text_and_that_it_failed(client: AsyncOpenAI, server: ModelServer):
    for model in ("chat", "agent:helper"):
        server.script_for("chat-model", Reply(text="one two three", stop_after=1, ending="broken"))
        events = await streamed(client, model=model, input="Count.")
        failed = events[-1].response
        assert (text_of(events), failed.status, failed.error.type) == ("one", "failed", "connection_broken")
        assert (failed.output_text, failed.output[0].status) == ("one", "incomplete")


async def test_the_same_key_answers_once_and_the_same_bytes(talk: Talks, server: ModelServer):
    for number, body in enumerate(
        [
            {"model": "chat", "input": "Hello"},
            {"model": "agent:helper", "input": "Hello"},
            {"model": "agent:helper", "input": "Hello", "background": True},
        ]
    ):
        first = await talk.books.call("/v1/responses", body, Idempotency_Key=f"k{number}")
        asked = first.json()
        async with asyncio.timeout(PATIENCE):
            path = f"/v1/responses/{asked['id']}"
            while (await talk.magnet.get(path))["status"] == "in_progress":
                pass
        before = len(server.requests)
        again = await talk.books.call("/v1/responses", body, Idempotency_Key=f"k{number}")
        assert first.content == again.content
        assert again.headers["idempotent-replay"] == "true"
        assert len(server.requests) == before
        streamed = await talk.books.call("/v1/responses", {**body, "stream": True}, Idempotency_Key=f"k{number}")
        assert (streamed.status_code, streamed.json()["code"]) == (422, "idempotency_key_reused")
    begun = (await talk.magnet.get("/v1/conversations"))["items"]
    assert len(begun) == 2


async def test_two_requests_at_once_with_one_key_begin_one_conversation(talk: Talks, server: ModelServer):
    body = {"model": "agent:helper", "input": "Hello"}
    answers = await asyncio.gather(*(talk.books.call("/v1/responses", body, Idempotency_Key="k") for _ in range(5)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(server.requests) == 1
    talk.magnet.position = await talk.magnet.container.log.head()
    assert len((await talk.magnet.get("/v1/conversations"))["items"]) == 1


async def test_what_is_absent_or_somebody_elses_is_the_same_404(talk: Talks):
    magnet = talk.magnet
    admin = (await magnet.do("POST", "/v1/api-keys", {"name": "boss", "roles": ["admin"]}))["key"]
    keys = [
        (await magnet.do("POST", "/v1/api-keys", {"name": name, "roles": ["user"]}, X_API_Key=admin))["key"]
        for name in ("ada", "bob")
    ]
    async with connected(magnet, api_key=keys[0]) as ada, connected(magnet, api_key=keys[1]) as bob:
        hers = [await ada.responses.create(model=model, input="Hello") for model in ("agent:helper", "chat")]
        nothing = ["resp_x", f"resp_{'0' * 32}", f"resp_{'0' * 64}", f"{hers[0].id[:-1]}{'01'[hers[0].id[-1] == '0']}"]
        told = set()
        for id in (*nothing, *(each.id for each in hers)):
            with pytest.raises(openai.NotFoundError) as raised:
                await bob.responses.retrieve(id)
            told.add(str(raised.value.body["message"]))  # type: ignore[index]
            with pytest.raises(openai.NotFoundError):
                await bob.responses.cancel(id)
            with pytest.raises(openai.NotFoundError):
                await bob.responses.delete(id)
            with pytest.raises(openai.NotFoundError):
                await bob.responses.create(model="agent:helper", input="And?", previous_response_id=id)
        assert told == {"There is no such response."}
        assert hers[0].conversation is not None
        for id in (hers[0].conversation.id, f"conv_{'0' * 32}", "conv_x"):
            with pytest.raises(openai.NotFoundError):
                await bob.responses.create(model="agent:helper", input="And?", conversation=id)
        assert (await ada.responses.retrieve(hers[0].id)).output_text == "echo: Hello"
        with pytest.raises(openai.ConflictError) as kept:
            await ada.responses.delete(hers[0].id)
        assert kept.value.code == "not_deletable"
    auditor = {"name": "eve", "roles": ["auditor"]}
    key = (await magnet.do("POST", "/v1/api-keys", auditor, X_API_Key=admin))["key"]
    async with connected(magnet, api_key=key) as eve:
        for each in hers:
            assert (await eve.responses.retrieve(each.id)).output_text == "echo: Hello"
        with pytest.raises(openai.PermissionDeniedError):
            await eve.responses.create(model="agent:helper", input="Hello")


NOT_THERE: list[str] = ["nothing", "agent:nothing", "rag:nothing", "prompt:nothing", "robot:x", "agent:"]


async def test_a_model_that_is_not_there_is_not_found(subtests: pytest.Subtests, client: AsyncOpenAI):
    for model in NOT_THERE:
        with subtests.test(str(model)[:80]):
            with pytest.raises(openai.NotFoundError) as raised:
                await client.responses.create(model=model, input="Hello")
            assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
