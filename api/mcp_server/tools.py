"""The tools: each carried out by the handler of the route that does the same, with that route's errors."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request
from starlette.types import Message

from api import turn_streams
from api.call import Call, Operation
from api.commands import answers, conversations, prompt_runs
from api.mcp_server import arguments, telling
from api.mcp_server.offers import Offer
from api.queries import searches
from commands.conversations.conversation import BeginConversation, owned, principal_of
from commands.conversations.turn_work import Begun, Say
from domain.agent import Agent
from domain.conversation import Conversation
from domain.definition import parse
from domain.errors import Invalid, NotFound
from domain.prompt import Prompt
from domain.rag_tool import RagTool
from domain.references import UUID_FORM, identify
from domain.retrieval_tool import RetrievalTool

CHANNEL = "mcp"
OF_THE_BODY = frozenset({b"content-type", b"content-length", b"if-match"})


def named(operations: tuple[Operation, ...], name: str) -> Operation:
    """Return the operation of a name."""
    return next(each for each in operations if each.name == name)


SEARCH = named(searches.OPERATIONS, "search_by_retrieval_tool")
ANSWER = named(answers.OPERATIONS, "answer_by_rag_tool")
RUN = named(prompt_runs.OPERATIONS, "run_prompt")
BEGIN = named(conversations.OPERATIONS, "begin_conversation")
SAY = named(conversations.OPERATIONS, "say_in_conversation")


def called(call: Call, operation: Operation, path: Mapping[str, str], body: Mapping[str, Any]) -> Call:
    """Return the call of an operation as if a request of its own had come from the same caller."""
    raw = orjson.dumps(body)
    asked = call.request.scope
    address = operation.path.format_map(path)
    headers = [(name, value) for name, value in asked["headers"] if name not in OF_THE_BODY]
    scope = {
        **asked,
        "method": operation.method,
        "path": address,
        "raw_path": address.encode(),
        "query_string": b"",
        "path_params": dict(path),
        "headers": [*headers, (b"content-type", b"application/json")],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": raw, "more_body": False}

    return Call(Request(scope, receive), call.container, call.actor, call.request_id, channel=CHANNEL)


async def through(operation: Operation, call: Call, ref: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an operation on a thing answers."""
    response = await operation.handler(called(call, operation, {"ref": ref}, body))
    answer: dict[str, Any] = orjson.loads(response.body)
    return answer


async def search(call: Call, ref: str, given: dict[str, Any]) -> dict[str, Any]:
    """Search by a retrieval tool."""
    return await through(SEARCH, call, ref, arguments.only(given, "query", "limit", "filter"))


async def answer(call: Call, ref: str, given: dict[str, Any]) -> dict[str, Any]:
    """Have a RAG tool answer a question."""
    return await through(ANSWER, call, ref, arguments.only(given, "question"))


async def run(call: Call, ref: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt."""
    return await through(RUN, call, ref, {"variables": given})


async def ask(call: Call, ref: str, given: dict[str, Any]) -> dict[str, Any]:
    """Say something to an agent, in a new conversation or an earlier one with it."""
    asked = parse(arguments.AskArguments, given)
    agent = identify(Agent.TOPIC, ref)
    if asked.conversation is None:
        conversation = await begun(call, ref, agent)
    else:
        conversation = await earlier(call, agent, asked.conversation)
    body = {"content": asked.message}
    saying = called(call, SAY, {"id": str(conversation)}, body)
    await saying.wait_for_passages()
    turns = call.container.turns
    command = Say(conversation=conversation, content=asked.message)
    beginning = asyncio.ensure_future(turns.begin(command, saying.context(raw=orjson.dumps(body))))

    def stop(began: "asyncio.Future[Begun]") -> None:
        if not began.cancelled() and began.exception() is None:
            turns.stop(began.result().turn)

    try:
        made = await asyncio.shield(beginning)
        ended = await turns.end(made)
    except asyncio.CancelledError:
        beginning.add_done_callback(stop)  # the answer would reach nobody
        raise
    message: dict[str, Any] = orjson.loads(turn_streams.answered(call, ended, repeated=made.repeated).body)
    return {
        "text": message["message"]["content"],
        "citations": message["message"]["citations"],
        "conversation": message["id"],
        "confirmations": message.get("confirmations", []),
        **{name: message[name] for name in ("turn", "run_id", "usage", "cost") if name in message},
    }


async def begun(call: Call, ref: str, agent: UUID) -> UUID:
    """Begin a conversation, and return its id."""
    body = {"agent": ref}
    beginning = called(call, BEGIN, {}, body)
    command = BeginConversation(id=uuid4(), agent=agent, subject=None, principal=principal_of(call.actor), variables={})
    return (await beginning.dispatch(command, raw=orjson.dumps(body))).id


async def earlier(call: Call, agent: UUID, reference: str) -> UUID:
    """Return the id of a conversation of the caller's with this agent."""
    if not UUID_FORM.match(reference):
        raise NotFound("There is no such conversation.")
    id = UUID(reference)
    first = await call.container.store.at_version(Conversation, id, 1)
    if owned(first, principal_of(call.actor)).agent != str(agent):
        raise Invalid(
            "This conversation is with another agent: go on with it by that agent's tool.",
            code="other_agent",
            pointer="/conversation",
        )
    return id


ASKED: Mapping[str, Any] = {
    "type": "object",
    "required": ["text", "citations", "conversation", "confirmations", "turn", "run_id"],
    "properties": {
        "text": {"type": "string"},
        "citations": conversations.MESSAGE["properties"]["message"]["properties"]["citations"],
        "conversation": {"type": "string", "format": "uuid", "description": "To go on with it."},
        **{
            name: conversations.MESSAGE["properties"][name]
            for name in ("confirmations", "turn", "run_id", "usage", "cost")
        },
    },
}

OFFERS = (
    Offer(
        prefix="search",
        kind=RetrievalTool,
        operation=SEARCH,
        does="Finds passages of documents.",
        only_reads=True,
        takes=arguments.of_search,
        gives=SEARCH.answer,
        carry_out=search,
        tells=telling.searched,
    ),
    Offer(
        prefix="answer",
        kind=RagTool,
        operation=ANSWER,
        does="Answers a question from documents, with citations.",
        only_reads=True,
        takes=arguments.of_answer,
        gives=ANSWER.answer,
        carry_out=answer,
        tells=telling.answered,
    ),
    Offer(
        prefix="ask",
        kind=Agent,
        operation=SAY,
        does="Says something to an agent, which answers; it remembers what was said in the same conversation.",
        only_reads=False,
        takes=arguments.of_ask,
        gives=ASKED,
        carry_out=ask,
        tells=telling.said,
    ),
    Offer(
        prefix="prompt",
        kind=Prompt,
        operation=RUN,
        does="Fills in a prompt, and has a model answer it.",
        only_reads=True,
        takes=arguments.of_prompt,
        gives=RUN.answer,
        carry_out=run,
        tells=telling.ran,
    ),
)
