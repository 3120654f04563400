"""Queries on runs of pipelines over HTTP: how one stands, and the stream of what happens in it."""

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.pipeline_runs import RECEIPT, run_of, streamed
from api.permissions import allowed
from commands.conversations.conversation import principal_of
from commands.pipelines.pipeline_run import no_such_run, owned
from domain.errors import Invalid, NotFound
from domain.pipeline_results import document
from domain.pipeline_run import PipelineRun

LAST_EVENT_ID = Parameter(
    name="Last-Event-ID", schema={"type": "integer", "minimum": 0}, description="Goes on after this event."
)


async def one(call: Call) -> Response:
    """Return a run with the results so far; read from the log, it never lags behind."""
    going, own = await found(call)
    shown = document(going, with_texts=own or allowed(call.actor.roles, "runs:read_texts"))
    position = await call.container.store.position_of(going.id, going.version)
    return answer({**shown, "position": position}, position=position, headers={"ETag": f'"{going.version}"'})


async def stream(call: Call) -> Response:
    """Send what happened in a run, and what happens in it, to its end."""
    going, own = await found(call)
    if not own:
        raise no_such_run()
    after = call.request.headers.get("last-event-id") or "0"
    if not (after.isascii() and after.isdigit() and len(after) < 10 and int(after) <= going.version):
        raise Invalid("Last-Event-ID is the id of an event of this stream.", code="invalid_last_event_id")
    if going.is_over and int(after) == going.version:
        return Response(status_code=204)
    return streamed(call, call.container.pipeline_following.follow(run_of(call), int(after)))


async def found(call: Call) -> tuple[PipelineRun, bool]:
    """Return the run that is addressed, and whether it is the caller's own; or raise NotFound."""
    try:
        going = await call.container.store.newest(PipelineRun, PipelineRun.id_of(run_of(call)))
    except NotFound:
        raise no_such_run() from None
    try:
        return owned(going, principal_of(call.actor)), True
    except NotFound:
        if allowed(call.actor.roles, "runs:read_all"):
            return going, False
        raise


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/pipelines/runs/{id}",
        side="queries",
        tag="pipelines",
        name="get_pipeline_run",
        summary="Read a run of a pipeline, with the results so far",
        permission="runs:read",
        handler=one,
        answer=RECEIPT,
    ),
    Operation(
        method="GET",
        path="/v1/pipelines/runs/{id}/stream",
        side="queries",
        tag="pipelines",
        name="stream_pipeline_run",
        summary="Follow a run of a pipeline by server-sent events, to its end",
        permission="runs:read",
        handler=stream,
        headers=(LAST_EVENT_ID,),
        media=("text/event-stream",),
    ),
)
