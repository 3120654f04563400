"""Chat completions and embeddings in OpenAI's form, over HTTP."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from api.body import read_object
from api.call import Call, Operation, answer, replay_header
from api.openai_forms.answers import completion, embeddings
from api.openai_forms.refusals import refused
from api.openai_forms.requests import ChatBody, EmbeddingsBody
from api.openai_forms.streams import Chunks, chunks
from api.schemas import body_schema
from api.streaming import EventStream
from commands.completion import Complete
from commands.models.embedding import EmbedTexts
from commands.runs.execution import RunAnswer, RunBegan, whole
from domain.definition import parse

CHANNEL = "openai"
SEARCHING = ("agent:", "rag:")
"""What may search, and so waits for what a caller knows to be there."""

ROOTS = ("", "/openai")
"""Where the routes stand: OpenAI's clients take either with `/v1` behind it as their `base_url`."""


async def create_chat_completion(call: Call) -> Response:
    """Answer messages."""
    body, raw = await read_object(call.request)
    asked = parse(ChatBody, body)
    tools, choice = asked.wanted_tools()
    form = asked.response_format
    command = Complete(
        model=asked.model,
        messages=[message.plain() for message in asked.messages],
        created=int(time.time()),
        parameters=asked.parameters(),
        tools=tools,
        tool_choice=choice,
        response_format=None if form is None or form["type"] == "text" else form,
        variables=asked.variables,
        filter=asked.filter,
        subject=asked.subject,
        metadata=asked.metadata or {},
    )
    if asked.model.startswith(SEARCHING):
        await call.wait_for_passages()
    pieces = call.container.completions.complete(command, call.context(raw=raw, channel=CHANNEL))
    if not asked.stream:
        ran = await whole(pieces)
        return answered(call, ran, completion(ran.body, asked.model, by_functions=asked.by_functions))
    began = await anext(pieces)
    assert isinstance(began, RunBegan)
    usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    making = Chunks(began, command.created, asked.model, usage=usage, by_functions=asked.by_functions)
    sent = chunks(pieces, making, request_id=call.request_id, instance=call.request.url.path)
    headers = {"Magnet-Position": str(began.position), "x-request-id": call.request_id}
    return EventStream(sent, headers | replay_header(began.replayed))


async def create_embeddings(call: Call) -> Response:
    """Embed texts."""
    body, raw = await read_object(call.request)
    asked = parse(EmbeddingsBody, body)
    command = EmbedTexts(model=asked.model, texts=asked.texts, dimensions=asked.dimensions, subject=asked.user or None)
    ran = await whole(call.container.embeddings.carry_out(command, call.context(raw=raw, channel=CHANNEL)))
    return answered(call, ran, embeddings(ran.body, asked.model, as_text=asked.encoding_format == "base64"))


def answered(call: Call, ran: RunAnswer, value: Any) -> Response:
    """Return a run's answer in its OpenAI form."""
    headers = {"x-request-id": call.request_id, **replay_header(ran.replayed)}
    return answer(value, position=ran.position, headers=headers)


def openai_operation(
    root: str, path: str, name: str, summary: str, permission: str, handler: Callable[[Call], Awaitable[Response]],
    *, method: str = "POST", **more: Any,
) -> Operation:  # fmt: skip
    """Return a command in OpenAI's form, under one of the roots."""
    return Operation(
        method=method,
        path=f"{root}/v1/{path}",
        side="commands",
        tag="openai",
        name=f"{name}_under_openai" if root else name,
        summary=summary,
        permission=permission,
        handler=handler,
        refused=refused,
        **more,
    )


CHAT_ANSWER = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "run_id", "cost"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": "object"},
        "run_id": {"type": "string", "format": "uuid"},
        "cost": {"type": "object"},
        "resolution": {"type": "string", "description": "Of a RAG tool's answer."},
    },
}
EMBEDDINGS_ANSWER = {
    "type": "object",
    "required": ["object", "data", "model", "usage", "run_id", "cost"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"type": "object"}},
        "model": {"type": "string"},
        "usage": {"type": "object"},
        "run_id": {"type": "string", "format": "uuid"},
        "cost": {"type": "object"},
    },
}
OPERATIONS = tuple(
    operation
    for root in ROOTS
    for operation in (
        openai_operation(
            root,
            "chat/completions",
            "create_chat_completion",
            "Have an agent, RAG tool, prompt or model answer messages, in OpenAI's form; with `stream` as it streams",
            "completions:run",
            create_chat_completion,
            body=body_schema(ChatBody),
            answer=CHAT_ANSWER,
        ),
        openai_operation(
            root,
            "embeddings",
            "create_embeddings",
            "Embed texts, in OpenAI's form",
            "embeddings:run",
            create_embeddings,
            body=body_schema(EmbeddingsBody),
            answer=EMBEDDINGS_ANSWER,
        ),
    )
)
