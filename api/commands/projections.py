"""Rebuilding projections, and taking back what they have set aside, over HTTP."""

from uuid import UUID

import orjson
from starlette.responses import Response

from api.body import read_object
from api.call import Call, Operation, json_response, replay_header
from api.commands.configurations import nothing_else
from commands.ports import IdempotencyKey
from domain.errors import NotFound
from domain.references import UUID_FORM


async def rebuild(call: Call) -> Response:
    """Ask for a projection to be built anew beside the live one."""
    name = call.path("name")
    key = await key_of(call)
    asked = await call.container.administration.rebuild(name, key)
    body = {"name": name, "position": asked.position, "state": "rebuilding"}
    return queued(body, asked.position, repeated=asked.repeated)


async def requeue(call: Call) -> Response:
    """Ask for a stream that was set aside, or an event that a webhook did not take, to be tried again."""
    id = call.path("id")
    if not UUID_FORM.match(id):
        raise NotFound("There is no such dead letter.")
    key = await key_of(call)
    try:
        asked = await call.container.administration.requeue(UUID(id), key)
    except NotFound:  # else it is an event that a webhook did not take
        asked = await call.container.webhooks.requeue(UUID(id), key)
    return queued({"id": id, "requeue_requested": True}, 0, repeated=asked.repeated)


async def key_of(call: Call) -> IdempotencyKey | None:
    """Return the request's Idempotency-Key; a body has no fields."""
    body, raw = await read_object(call.request, required=False)
    nothing_else(body)
    return call.context(raw=raw).idempotency


def queued(body: dict[str, object], position: int, *, repeated: bool) -> Response:
    """Return the answer for work that is done later."""
    headers = {"Magnet-Position": str(position)} | replay_header(repeated)
    return json_response(orjson.dumps(body), 202, headers)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/projections/{name}/rebuild",
        side="commands",
        tag="projections",
        name="rebuild_projection",
        summary="Build a projection anew beside the live one, then switch",
        permission="projections:manage",
        handler=rebuild,
        status=202,
    ),
    Operation(
        method="POST",
        path="/v1/dead-letters/{id}/requeue",
        side="commands",
        tag="dead-letters",
        name="requeue_dead_letter",
        summary="Try again what a projection has set aside or a webhook did not take",
        permission="projections:manage",
        handler=requeue,
        status=202,
    ),
)
