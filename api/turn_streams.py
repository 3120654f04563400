"""Turns over HTTP: a plain answer or a stream, told from the same events wherever they come from."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response

from api.call import Call, json_response, replay_header
from api.errors import problem_document
from api.streaming import EventStream, StreamEvent, encoded
from api.visitors import event_for_visitor, failure_for_visitor
from commands.conversations.turn_streams import TurnEvent
from commands.conversations.turn_work import Begun
from commands.runs.runs import refusal_of
from domain.errors import DomainError, Invalid

CURSOR = re.compile(r"(?:([0-9]{1,6})\.)?([0-9]{1,9})\Z")


def answered(call: Call, event: TurnEvent, *, repeated: bool = False) -> Response:
    """Return a turn's end as a plain answer, or raise why there is none."""
    failure = failure_in(event)
    if failure is not None:
        raise failure_for_visitor(failure) if call.visiting else failure
    return message(told_to(call, event.data), repeated=repeated)


def waiting(call: Call, event: TurnEvent, made: Begun) -> Response:
    """Return a turn's end after a decision by which it does not go on: what is still to be decided, and its receipt."""
    receipt = made.receipt
    open = [each for each in event.data["confirmations"] if each["id"] in made.waits]
    shown = {**event.data, "confirmations": open, "version": receipt.version, "position": receipt.position}
    return message(told_to(call, shown), repeated=made.repeated)


def told_to(call: Call, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a caller is told of an event."""
    return event_for_visitor(data) if call.visiting else data


def message(
    body: Mapping[str, Any], *, status: int = 200, repeated: bool = False, location: str | None = None
) -> Response:
    """Return a message with its receipt."""
    headers = {
        "ETag": f'"{body["version"]}"',
        "Magnet-Position": str(body["position"]),
        **replay_header(repeated),
    }
    if location is not None:
        headers["Location"] = location
    return json_response(orjson.dumps(body), status, headers)


def begun(call: Call, made: Begun) -> Response:
    """Return that a turn goes on, or will, and where it can be followed."""
    receipt = made.receipt
    body = {
        "turn": {"id": str(made.turn), "state": "queued" if made.queued else "running"},
        "run_id": str(made.run_id),
        "id": str(receipt.id),
        "version": receipt.version,
        "position": receipt.position,
    }
    path = f"/v1/conversations/{made.conversation}/turns/{made.turn}/stream"
    return message(body, status=202, repeated=made.repeated, location=call.container.settings.root_path + path)


def streamed(
    call: Call, events: AsyncGenerator[TurnEvent, None], leg: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Return events as a stream that can be resumed by their ids.

    A turn that goes on after a pause has a stream for each run that it is, its `leg`s: from the second on, an id
    says which one it belongs to.
    """
    return EventStream(_sent(call, events, leg), headers)


async def _sent(call: Call, events: AsyncGenerator[TurnEvent, None], leg: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            id = str(event.sequence) if leg == 1 else f"{leg}.{event.sequence}"
            yield encoded(StreamEvent(type=event.type, data=shown(call, event), id=id), event.sequence)


def place_in(call: Call, leg: int) -> int:
    """Return the number of the last event that a client has seen of a leg, by Last-Event-ID; 0 where none."""
    found = CURSOR.match(call.request.headers.get("last-event-id", "0"))
    if found is None:
        raise Invalid("Last-Event-ID is the id of an event of this stream.", code="invalid_last_event_id")
    return int(found[2]) if int(found[1] or 1) == leg else 0


def shown(call: Call, event: TurnEvent) -> Mapping[str, Any]:
    """Return an event's public form: a failure as the problem document that a plain answer would be."""
    failure = failure_in(event)
    if failure is None:
        return told_to(call, event.data)
    problem = problem_document(failure, request_id=call.request_id, instance=call.request.url.path)
    told = {**{name: value for name, value in event.data.items() if name != "failure"}, "error": problem}
    return told_to(call, told)


def failure_in(event: TurnEvent) -> DomainError | None:
    """Return why a turn has no answer."""
    failure = event.data.get("failure")
    if failure is None:
        return None
    details = {**failure["details"], "turn": event.data["turn"], "run_id": event.data["run_id"]}
    return refusal_of({**failure, "details": details})
