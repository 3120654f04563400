"""Queries on conversations over HTTP: one as it is or was, and the streams of its turns."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from api import turn_streams
from api.call import Call, Operation, answer
from api.commands.conversations import conversation_of, turn_of
from api.permissions import allowed
from api.queries.configurations import PAST
from commands.turn_streams import TurnEvent
from domain.errors import Invalid, NotFound
from domain.turn import OPEN_STATES
from projections.conversation_reading import Reader


async def one(call: Call) -> Response:
    """Return a conversation: its messages, turns and state; read from the log, it never lags behind."""
    version, as_of = call.integer("version", None, 1, 2**62), call.time("as_of")
    if version is not None and as_of is not None:
        raise Invalid("Ask for one of version and as_of.", pointer="/as_of")
    reader = call.container.conversation_reader
    found, position = await reader.read(conversation_of(call), reader_of(call), version=version, as_of=as_of)
    return answer(await reader.document(found), position=position, headers={"ETag": f'"{found.version}"'})


async def stream(call: Call) -> Response:
    """Join or resume the stream of a turn, whichever process carries it out."""
    after = last_event_id(call)
    found, position = await call.container.conversation_reader.read(conversation_of(call), reader_of(call))
    turn = turn_of(call)
    if str(turn) not in found.turns:
        raise NotFound("There is no such turn in this conversation.")
    events = call.container.turns.following.follow(found.id, turn, after)
    headers = {"Magnet-Position": str(position)}
    if found.turn(str(turn))["state"] not in OPEN_STATES:
        first = await anext(events, None)
        if first is None:  # what ends a client that connects again and again
            return Response(status_code=204, headers=headers)
        events = preceded(first, events)
    return turn_streams.streamed(call, events, headers)


async def preceded(first: TurnEvent, rest: AsyncGenerator[TurnEvent, None]) -> AsyncGenerator[TurnEvent, None]:
    """Yield the first, then the rest."""
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


def last_event_id(call: Call) -> int:
    """Return the number of the last event that a client has seen; 0 where none."""
    text = call.request.headers.get("last-event-id", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("Last-Event-ID is the id of an event of this stream.", code="invalid_last_event_id")
    return int(text)


def reader_of(call: Call) -> Reader:
    """Return who reads."""
    reads_all = allowed(call.actor.roles, "conversations:read_all")
    return Reader(type=call.actor.type, id=call.actor.id, reads_all=reads_all)


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
    _query("/{id}", "get_conversation", "Read a conversation: messages, turns, state", one, parameters=PAST),
    _query("/{id}/turns/{turn}/stream", "follow_turn", "Join or resume the stream of a turn (Last-Event-ID)", stream),
)
