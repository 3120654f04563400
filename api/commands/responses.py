"""Responses in OpenAI's form, over HTTP: turns of conversations with agents, and runs of all else that answers."""

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.body import read_object
from api.call import Call, Operation, answer, replay_header
from api.commands.attachments import LARGEST_JSON
from api.commands.completions import CHANNEL, ROOTS, answered, openai_operation
from api.commands.configurations import nothing_else
from api.commands.conversations import LONGEST
from api.openai_forms.ids import ResponseId, conversation_in, response_in
from api.openai_forms.response_items import Input, said_in, unsupported
from api.openai_forms.response_objects import Origin, of_run, of_turn, origin_of
from api.openai_forms.response_requests import ResponseBody
from api.openai_forms.response_streams import ResponseEvents, run_events, turn_events
from api.schemas import body_schema
from api.streaming import EventStream
from api.turn_streams import failure_in
from commands.agents.agent_talk import ClientTools
from commands.completion import Complete, aim
from commands.conversations.conversation import owned, principal_of
from commands.conversations.responding import Respond, Responding
from commands.conversations.turn_work import Begun
from commands.runs.execution import RunBegan, whole
from domain.agent import Agent
from domain.conversation import Conversation
from domain.definition import parse
from domain.errors import Conflict, FieldError, Invalid, NotFound
from domain.rag_tool import RagTool
from domain.turn import TurnEnded

SYSTEM = ("system", "developer")


async def create_response(call: Call) -> Response:
    """Answer input."""
    body, raw = await read_object(call.request, limit=LARGEST_JSON)
    asked = parse(ResponseBody, body)
    kind, target = aim(asked.model)
    asked.must_be_supported()
    said = said_in(asked.input, kind, calls=asked.takes_calls)
    if kind in (Agent, RagTool):
        await call.wait_for_passages()
    if kind is Agent and goes_into_conversation(asked, said):
        call.must_be_allowed("conversations:use")
        context = call.context(raw=raw, channel=CHANNEL)
        container = call.container
        responding = Responding(bus=container.bus, things=container.store, turns=container.turns)
        files = await container.attachments.read(said.files, "/input")
        made = await responding.begin(replace(next_said(asked, said, target), files=files), context)
        return await turn_delivered(call, asked, made)
    if said.files:
        raise unsupported(
            "files belong to a conversation: send the one message that is next, and no store: false", "/input"
        )
    pieces = call.container.completions.complete(complete(asked, said), call.context(raw=raw, channel=CHANNEL))
    return await run_delivered(call, asked, in_these_terms(pieces))


# Turns ---------------------------------------------------------------------


def goes_into_conversation(asked: ResponseBody, said: Input) -> bool:
    """Return whether an agent is to answer in a conversation, or raise Invalid where that can't be.

    Messages that come with their history are answered as they are: a conversation has its own.
    """
    goes_on = asked.previous_response_id is not None or asked.conversation is not None
    spoken = [message for message in said.messages if message["role"] not in SYSTEM]
    results = [message for message in said.messages if message["role"] == "tool"]
    if said.decisions or (goes_on and results):
        if len(said.messages) != len(results):
            raise unsupported("decisions and results come alone: say something else when the turn has ended", "/input")
        if not goes_on:
            raise unsupported("decisions go on from a response: name it", "/previous_response_id")
        if any(len(result["content"]) > LONGEST for result in results):
            raise Invalid(f"A result has at most {LONGEST} characters.", code="invalid_content", pointer="/input")
        return True
    if results and not any(message["role"] == "user" for message in spoken):
        raise unsupported("results of calls go on from a response: name it", "/previous_response_id")
    if asked.store is False:
        return False
    one = [message["role"] for message in spoken] == ["user"]
    if goes_on and not one:
        raise unsupported("a conversation has its history: send the one message of the user that is next", "/input")
    if not one and (asked.store or asked.background):
        why = "messages that come with their history are answered without a conversation"
        raise unsupported(why, "/store" if asked.store else "/background")
    if one and not 0 < len(spoken[0]["content"]) <= LONGEST:
        raise Invalid(f"A message has 1 to {LONGEST} characters.", code="invalid_content", pointer="/input")
    return one


def next_said(asked: ResponseBody, said: Input, agent: UUID) -> Respond:
    """Return what is said next in a conversation."""
    conversation, after = None, None
    if asked.conversation is not None:
        conversation = conversation_in(asked.conversation)
    elif asked.previous_response_id is not None:
        previous = response_in(asked.previous_response_id, code="previous_response_not_found")
        if previous.conversation is None:
            raise NotFound(
                "There is no such response that is part of a conversation.", code="previous_response_not_found"
            )
        conversation, after = previous.conversation, previous.run
    told = [message["content"] for message in said.messages if message["role"] in SYSTEM]
    spoken = [message["content"] for message in said.messages if message["role"] == "user"]
    return Respond(
        agent=agent,
        content=spoken[0] if spoken else None,
        conversation=conversation,
        after=after,
        decisions=said.decisions,
        comments=said.comments,
        results={each["tool_call_id"]: each["content"] for each in said.messages if each["role"] == "tool"},
        tools=ClientTools(functions=asked.functions(), choice=asked.choice(), parallel_calls=asked.parallel_tool_calls),
        instructions="\n\n".join([*([asked.instructions] if asked.instructions else []), *told]) or None,
        subject=asked.subject,
        variables=asked.variables,
        metadata=asked.metadata or {},
        background=bool(asked.background) and not asked.stream,
    )


async def turn_delivered(call: Call, asked: ResponseBody, made: Begun) -> Response:
    """Answer with what comes of a turn, in the form that is wanted."""
    turns = call.container.turns
    conversation = await call.container.store.newest(Conversation, made.conversation)
    background = bool(asked.background)
    origin = origin_of(conversation, made.run_id, metadata=asked.metadata, background=background, echo=asked.echo)
    headers = {"x-request-id": call.request_id, **replay_header(made.repeated)}
    if asked.stream:
        sent = turn_events(turns.follow(made), ResponseEvents(origin), origin)
        return EventStream(sent, {**headers, "Magnet-Position": str(made.receipt.position)})
    if background:
        return answer(origin.response("in_progress"), position=made.receipt.position, headers=headers)
    ended = await turns.end(made)
    failure = failure_in(ended)
    if failure is not None:
        raise failure
    return answer(of_turn(ended.data, origin), position=ended.data["position"], headers=headers)


# Runs ----------------------------------------------------------------------


def complete(asked: ResponseBody, said: Input) -> Complete:
    """Return the completion that answers without a conversation."""
    told = [{"role": "system", "content": asked.instructions}] if asked.instructions else []
    return Complete(
        model=asked.model,
        messages=[*told, *said.messages],
        created=int(time.time()),
        parameters=asked.parameters(),
        tools=asked.functions(),
        tool_choice=asked.choice(),
        response_format=asked.form,
        variables=asked.variables,
        filter=asked.filter,
        subject=asked.subject,
        metadata=asked.metadata or {},
    )


async def run_delivered(call: Call, asked: ResponseBody, pieces: AsyncGenerator[Any, None]) -> Response:
    """Answer with what comes of a run, in the form that is wanted."""

    def origin(run: UUID, created: int) -> Origin:
        return Origin(
            id=ResponseId(run=run),
            created=created,
            model=asked.model,
            subject=asked.subject,
            metadata=asked.metadata,
            echo=asked.echo,
        )

    if not asked.stream:
        ran = await whole(pieces)
        return answered(call, ran, of_run(ran.body, origin(UUID(ran.body["run_id"]), ran.body["created"])))
    began = await anext(pieces)
    assert isinstance(began, RunBegan)
    of = origin(began.run_id, int(time.time()))
    sent = run_events(pieces, ResponseEvents(of), of, request_id=call.request_id, instance=call.request.url.path)
    headers = {"Magnet-Position": str(began.position), "x-request-id": call.request_id}
    return EventStream(sent, headers | replay_header(began.replayed))


async def in_these_terms(pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Yield what a completion yields; a refusal names places of input, not of messages."""
    try:
        async for piece in pieces:
            yield piece
    except Invalid as error:
        errors = [
            FieldError(
                pointer="/input" if e.pointer.startswith("/messages") else e.pointer, message=e.message, code=e.code
            )
            for e in error.errors
        ]
        raise Invalid(str(error), code=error.error_code, errors=errors, details=error.details) from None
    finally:
        await pieces.aclose()


# What else may be done with a response --------------------------------------


async def cancel_response(call: Call) -> Response:
    """Stop the turn that a response is."""
    body, reason, raw = await call.body(required=False)
    nothing_else(body)
    conversation, run = await own(call)
    turn = conversation.turn_of(run)
    if turn["run_id"] != str(run):
        raise TurnEnded
    context = call.context(reason=reason, raw=raw, channel=CHANNEL)
    ended, repeated = await call.container.turns.cancel(conversation.id, UUID(turn["id"]), context)
    headers = {"x-request-id": call.request_id, **replay_header(repeated)}
    return answer(of_turn(ended, origin_of(conversation, run)), position=ended["position"], headers=headers)


async def delete_response(call: Call) -> Response:
    """Say why a response can't be deleted."""
    await own(call)
    raise Conflict(
        "What was answered stays on record, in the conversation that it is part of: close the conversation, "
        "or have the person that it was held for erased (POST /v1/subjects/{subject}/erase).",
        code="not_deletable",
    )


async def own(call: Call) -> tuple[Conversation, UUID]:
    """Return the caller's own conversation that a response is part of, and which run it is; or raise NotFound."""
    id = response_in(call.path("id"))
    if id.conversation is None:
        raise NotFound("There is no such response that is part of a conversation: all others have ended.")
    try:
        found = await call.container.store.newest(Conversation, id.conversation)
        conversation = owned(found, principal_of(call.actor))
        conversation.turn_of(id.run)
    except NotFound:
        raise NotFound("There is no such response.") from None
    return conversation, id.run


RESPONSE = {
    "type": "object",
    "required": ["id", "object", "created_at", "status", "model", "output", "usage", "run_id"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "response"},
        "created_at": {"type": "integer"},
        "status": {"enum": ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]},
        "model": {"type": "string"},
        "output": {"type": "array", "items": {"type": "object"}},
        "previous_response_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "conversation": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        "usage": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        "run_id": {"type": "string", "format": "uuid"},
    },
}
OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for root in ROOTS
    for operation in (
        openai_operation(
            root,
            "responses",
            "create_response",
            "Have an agent, RAG tool, prompt or model respond, in OpenAI's form; an agent in a conversation that goes on",
            "completions:run",
            create_response,
            body=body_schema(ResponseBody),
            answer=RESPONSE,
        ),
        openai_operation(
            root,
            "responses/{id}/cancel",
            "cancel_response",
            "Stop the turn that a response is, in OpenAI's form",
            "conversations:use",
            cancel_response,
            answer=RESPONSE,
        ),
        openai_operation(
            root,
            "responses/{id}",
            "delete_response",
            "Refused: what was answered stays on record",
            "conversations:use",
            delete_response,
            method="DELETE",
            answer={"type": "object"},
        ),
    )
)
