"""Rebuilding projections, and taking back what they have set aside, over HTTP."""

from uuid import UUID

import orjson
from starlette.responses import Response

from api.call import Call, Operation, json_response
from domain.errors import NotFound
from domain.references import UUID_FORM


async def rebuild(call: Call) -> Response:
    """Ask for a projection to be built anew beside the live one."""
    name = call.path("name")
    position = await call.container.administration.rebuild(name)
    return queued({"name": name, "position": position, "state": "rebuilding"}, position)


async def requeue(call: Call) -> Response:
    """Ask for a stream that was set aside to be tried again."""
    id = call.path("id")
    if not UUID_FORM.match(id):
        raise NotFound("There is no such dead letter.")
    await call.container.administration.requeue(UUID(id))
    return queued({"id": id, "requeue_requested": True}, 0)


def queued(body: dict[str, object], position: int) -> Response:
    """Return the answer for work that is done later."""
    return json_response(orjson.dumps(body), 202, {"Magnet-Position": str(position)})


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
        summary="Try a stream again that a projection has set aside",
        permission="projections:manage",
        handler=requeue,
        status=202,
    ),
)
