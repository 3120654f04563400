"""Responses in OpenAI's form as they are read: from the log itself, so they never lag behind."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.completions import CHANNEL, ROOTS
from api.commands.responses import RESPONSE
from api.openai_forms.ids import ResponseId, response_in
from api.openai_forms.refusals import refused
from api.openai_forms.response_objects import STATUS, Origin, error_of, of_run, of_turn, origin_of, usage_of
from api.openai_forms.response_streams import ResponseEvents, turn_events
from api.permissions import allowed
from api.queries.conversations import reader_of
from api.streaming import EventStream
from commands.completion import PREFIXES
from commands.conversations.turn_ends import leg_of, turn_document
from domain.conversation import Conversation
from domain.errors import Invalid, NotFound
from domain.run import Run

KINDS = frozenset({"turn", "answer", "prompt", "completion"})
"""Of runs that are responses."""

MODELS: Mapping[str, str] = {kind.TOPIC: f"{prefix}:" for prefix, kind in PREFIXES.items()}


async def get_response(call: Call) -> Response:
    """Return a response as it is now, or join its stream."""
    stream, after = call.flag("stream"), call.integer("starting_after", -1, 0, 10**9)
    if after is not None and after >= 0 and not stream:
        raise Invalid("starting_after goes with stream=true.", pointer="/starting_after")
    id = response_in(call.path("id"))
    if id.conversation is None:
        origin, response, position = await of_its_run(call, id)
        if stream:
            sent = whole(ResponseEvents(origin, -1 if after is None else after), response)
            return EventStream(sent, {"Magnet-Position": str(position)})
    else:
        try:
            found, position = await call.container.conversation_reader.read(id.conversation, reader_of(call))
            turn = found.turn_of(id.run)
        except NotFound:
            raise absent() from None
        origin = origin_of(found, id.run, metadata=await metadata_of(call, id.run))
        if stream:
            events = call.container.turns.following.follow(found.id, UUID(turn["id"]), id.run)
            making = ResponseEvents(origin, -1 if after is None else after)
            return EventStream(turn_events(events, making, origin), {"Magnet-Position": str(position)})
        response = as_it_is(found, turn, origin, position)
    return answer(response, position=position, headers={"x-request-id": call.request_id})


def as_it_is(found: Conversation, turn: Mapping[str, Any], origin: Origin, position: int) -> dict[str, Any]:
    """Return the response of a run of a turn, which may go on."""
    leg = leg_of(turn, origin.id.run)
    if leg["state"] in ("queued", "running"):
        return origin.response(STATUS[leg["state"]])
    return of_turn(turn_document(leg, found.id, position), origin)


async def metadata_of(call: Call, run: UUID) -> Mapping[str, str]:
    """Return what came with the request, where that is on record."""
    began = [event for event in await call.container.run_reader.events(run, with_texts=True) if is_beginning(event)]
    kept = began[0].input if began else None
    return kept.get("metadata", {}) if isinstance(kept, dict) else {}


def is_beginning(event: Any) -> bool:
    """Return whether this is the first event of a run."""
    return isinstance(event, Run.Created)


async def of_its_run(call: Call, id: ResponseId) -> tuple[Origin, dict[str, Any], int]:
    """Return the response that is a run of its own; one of somebody else is as absent."""
    call.must_be_allowed("runs:read")
    position = await call.container.log.head()
    events = await call.container.run_reader.events(id.run, with_texts=True)
    began = next((event for event in events if is_beginning(event)), None)
    if began is None or began.kind not in KINDS or began.channel != CHANNEL or not may_read(call, began.principal):
        raise absent()
    kept = began.input if isinstance(began.input, dict) else {}
    origin = Origin(
        id=id,
        created=int(began.timestamp.timestamp()),
        model=f"{MODELS.get(began.target['kind'], '')}{began.target['name']}",
        subject=began.subject,
        metadata=kept.get("metadata", {}),
    )
    finished = next((event for event in events if isinstance(event, Run.Finished)), None)
    if finished is None:
        interrupted = any(isinstance(event, Run.Interrupted) for event in events)
        return origin, origin.response(STATUS["interrupted" if interrupted else "running"]), position
    if finished.outcome != "completed":
        error = None if finished.error is None else error_of(finished.error["code"], finished.error["message"])
        more: dict[str, Any] = {"error": error, "usage": usage_of(finished.usage), "cost": finished.cost}
        return origin, origin.response(STATUS[finished.outcome], **more), position
    if finished.output is None:  # what was said is not on record
        return origin, origin.response("completed", usage=usage_of(finished.usage), cost=finished.cost), position
    return origin, of_run(body_of(finished), origin), position


def body_of(finished: Run.Finished) -> dict[str, Any]:
    """Return the answer that a run gave, as far as it is on record."""
    said = finished.output if isinstance(finished.output, dict) else {"text": finished.output}
    said_by_models = [step for step in finished.steps if step["kind"] == "model_call" and step["parent"] is None]
    reasons = [step["note"].get("finish_reason") for step in said_by_models]
    return {
        **said,
        "finish_reason": reasons[-1] if reasons else "stop",
        "usage": finished.usage,
        "cost": finished.cost,
        "run_id": str(finished.originator_id),
    }


def may_read(call: Call, principal: Mapping[str, str]) -> bool:
    """Return whether the caller may read what was said in a principal's runs."""
    if (principal["type"], principal["id"]) == (call.actor.type, call.actor.id):
        return True
    return all(allowed(call.actor.roles, each) for each in ("runs:read_all", "runs:read_texts"))


def absent() -> NotFound:
    """Return the refusal of what is not there, or somebody else's."""
    return NotFound("There is no such response.")


async def whole(making: ResponseEvents, response: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
    """Yield the events of a response that has ended."""
    for event in (*making.begin(), *making.end(response)):
        yield event


OPERATIONS = tuple(
    Operation(
        method="GET",
        path=f"{root}/v1/responses/{{id}}",
        side="queries",
        tag="openai",
        name="get_response_under_openai" if root else "get_response",
        summary="Read a response as it is now, in OpenAI's form; with `stream` join its stream",
        permission="conversations:read",
        handler=get_response,
        refused=refused,
        parameters=(
            Parameter(name="stream", schema={"type": "boolean"}, description="Answer with server-sent events."),
            Parameter(
                name="starting_after",
                schema={"type": "integer", "minimum": 0},
                description="The sequence_number of the last event that was seen.",
            ),
        ),
        answer=RESPONSE,
    )
    for root in ROOTS
)
