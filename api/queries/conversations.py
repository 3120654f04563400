"""Queries on conversations over HTTP: one as it is or was, and the streams of its turns."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, get_args
from uuid import UUID

import orjson
from starlette.responses import Response

from api import turn_streams
from api.call import Call, Operation, Parameter, answer, json_response
from api.commands.conversations import BY_TOKEN, conversation_of, turn_of
from api.permissions import allowed
from api.queries.configurations import CURSOR, LIMIT, ORDER, PAST
from api.schemas import list_schema
from api.visitors import conversation_for_visitor
from commands.conversations.turn_streams import TurnEvent
from domain.errors import Invalid, NotFound
from domain.references import identify
from domain.turn import TurnState
from projections.configurations import after_cursor
from projections.conversation_export import markdown
from projections.conversation_reading import Reader, without_text
from projections.conversations import ConversationsProjection, ConversationsQuery

READ_MODEL = ConversationsProjection.name
STATES = tuple(state for state in get_args(TurnState) if state != "queued")
TEXT = {"type": "string"}
FILTERS = (
    ORDER,
    Parameter(name="agent", schema=TEXT, description="Id or name of the agent."),
    Parameter(name="subject", schema=TEXT, description="Whom they are held for."),
    Parameter(name="status", schema={"type": "string", "enum": ["open", "closed"]}, description="open or closed."),
    Parameter(name="state", schema={"type": "string", "enum": list(STATES)}, description="Of the newest turn."),
    Parameter(
        name="since",
        schema={"type": "string", "format": "date-time"},
        description="Those in which something happened at that time or after it.",
    ),
    Parameter(
        name="q",
        schema=TEXT,
        description="Part of what was said in them. A page may be short, or empty, and the next one have more.",
    ),
)
FORMAT = Parameter(
    name="format", schema={"type": "string", "enum": ["json", "markdown"]}, description="json if not given."
)


async def page(call: Call) -> Response:
    """Return a page of conversations, one's own or those that one may read."""
    cursor, agent = call.query.get("cursor"), call.text("agent")
    reader = reader_of(call)
    query = ConversationsQuery(
        limit=call.integer("limit", 50, 1, 500) or 50,
        after=None if cursor is None else after_cursor(cursor),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        agent=None if agent is None else identify("agent", agent),
        subject=call.text("subject"),
        status=call.choice("status", ("open", "closed")) if "status" in call.query else None,
        state=call.choice("state", STATES) if "state" in call.query else None,
        since=call.time("since"),
        principal=None if reader.reads_all else (reader.type, reader.id),
    )
    text = call.text("q")
    position = await call.wait_for_read_model(READ_MODEL)
    return answer(await call.container.conversation_reader.page(query, text), position=position)


async def one(call: Call) -> Response:
    """Return a conversation: its messages, turns and state; read from the log, it never lags behind."""
    version, as_of = call.integer("version", None, 1, 2**62), call.time("as_of")
    if version is not None and as_of is not None:
        raise Invalid("Ask for one of version and as_of.", pointer="/as_of")
    reader, who = call.container.conversation_reader, reader_of(call)
    found, position = await reader.read(conversation_of(call), who, version=version, as_of=as_of)
    document = await reader.document(found, with_notes=who.reads_notes)
    if call.visiting:
        document = conversation_for_visitor(document)
    return answer(document, position=position, headers={"ETag": f'"{found.version}"'})


async def attachment(call: Call) -> Response:
    """Return a file that was given in a conversation, with what it says."""
    reader = call.container.conversation_reader
    found, position = await reader.read(conversation_of(call), reader_of(call))
    return answer(await reader.file(found, call.path("attachment").lower()), position=position)


async def attachments(call: Call) -> Response:
    """Return all files that were given in a conversation, without what they say."""
    reader = call.container.conversation_reader
    found, position = await reader.read(conversation_of(call), reader_of(call))
    files = [without_text(file) for each in (await reader.shown_files(found)).values() for file in each]
    return answer({"items": files, "next_cursor": None}, position=position)


async def export(call: Call) -> Response:
    """Return a conversation as a file: all of it as JSON, or as people read it in Markdown."""
    form = call.choice("format", ("json", "markdown"))
    reader, who = call.container.conversation_reader, reader_of(call)
    found, position = await reader.read(conversation_of(call), who)
    document = await reader.document(found, with_notes=who.reads_notes, with_files=form == "json")
    ending = {"json": "json", "markdown": "md"}[form]
    headers = {
        "Magnet-Position": str(position),
        "ETag": f'"{found.version}"',
        "Content-Disposition": f'attachment; filename="conversation-{found.id}.{ending}"',
    }
    if form == "json":
        return json_response(orjson.dumps(document, option=orjson.OPT_INDENT_2), headers=headers)
    return Response(markdown(document), headers=headers, media_type="text/markdown")


async def stream(call: Call) -> Response:
    """Join or resume the stream of a turn, whichever process carries it out."""
    found, position = await call.container.conversation_reader.read(conversation_of(call), reader_of(call))
    turn = found.turns.get(str(turn_of(call)))
    if turn is None:
        raise NotFound("There is no such turn in this conversation.")
    leg = len(turn["legs"]) + 1
    after = turn_streams.place_in(call, leg)
    following = call.container.turns.following
    events = following.follow(found.id, UUID(turn["id"]), UUID(turn["run_id"]), after)
    headers = {"Magnet-Position": str(position)}
    if turn["state"] not in ("queued", "running"):
        first = await anext(events, None)
        if first is None:  # what ends a client that connects again and again
            return Response(status_code=204, headers=headers)
        events = preceded(first, events)
    return turn_streams.streamed(call, events, leg, headers)


async def preceded(first: TurnEvent, rest: AsyncGenerator[TurnEvent, None]) -> AsyncGenerator[TurnEvent, None]:
    """Yield the first, then the rest."""
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


def reader_of(call: Call) -> Reader:
    """Return who reads."""
    roles = call.actor.roles
    return Reader(
        type=call.actor.type,
        id=call.actor.id,
        reads_all=allowed(roles, "conversations:read_all"),
        reads_notes=allowed(roles, "conversations:review"),
    )


def _query(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/conversations{path}",
        side="queries",
        tag="conversations",
        name=name,
        summary=summary,
        permission="conversations:read",
        handler=handler,
        **{"answer": {"type": "object"}, **more},
    )


OPERATIONS = (
    _query(
        "",
        "list_conversations",
        "List and search conversations",
        page,
        parameters=(LIMIT, CURSOR, *FILTERS),
        answer=list_schema({"type": "object"}),
    ),
    _query(
        "/{id}", "get_conversation", "Read a conversation: messages, turns, state", one, parameters=PAST, **BY_TOKEN
    ),
    _query(
        "/{id}/export",
        "export_conversation",
        "A conversation as a file: messages, citations, calls, feedback, confirmations, and notes for who may read them",
        export,
        parameters=(FORMAT,),
        media=("application/json", "text/markdown"),
    ),
    _query(
        "/{id}/attachments",
        "list_attachments",
        "The files that were given in a conversation, the documents of its private source",
        attachments,
        answer=list_schema({"type": "object"}),
    ),
    _query("/{id}/attachments/{attachment}", "get_attachment", "Read a file that was given with a message", attachment),
    _query(
        "/{id}/turns/{turn}/stream",
        "follow_turn",
        "Join or resume the stream of a turn (Last-Event-ID)",
        stream,
        **BY_TOKEN,
    ),
)
