"""Commands on runs of pipelines over HTTP: begun, waited for or followed, and cancelled."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation, json_response, replay_header
from api.commands.configurations import nothing_else
from api.errors import problem_document
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from api.streaming import EventStream, StreamEvent, encoded
from commands.conversations.conversation import principal_of
from commands.pipelines.pipeline_following import PipelineEvent, refusal_in
from commands.pipelines.pipeline_run import CancelPipelineRun, RunPipeline, no_such_run
from commands.ports import Receipt
from domain.definition import JSON, Strict, parse
from domain.references import UUID_FORM, identify


class RunPipelineBody(Strict):
    """What a run of a pipeline is given."""

    inputs: dict[str, JSON] = Field(default_factory=dict, description="Values of the pipeline's inputs.")
    version: int | None = Field(None, ge=1, lt=2**62, description="Instead of a label.")
    label: str = Field("live", max_length=63)
    variant: str | None = Field(None, max_length=63, description="null: by weight, the same for the same subject.")
    subject: str | None = Field(None, min_length=1, max_length=200, description="Whom it is run for.")
    background: bool = Field(False, description="Answer at once; the run goes on.")
    stream: bool = Field(False, description="Answer with server-sent events.")


async def run(call: Call) -> Response:
    """Have a pipeline run."""
    body, message, raw = await call.body(required=False)
    asked = parse(RunPipelineBody, body)
    command = RunPipeline(
        pipeline=identify("pipeline", call.path("ref")),
        inputs=asked.inputs,
        version=asked.version,
        label=asked.label,
        variant=asked.variant,
        subject=asked.subject,
    )
    await call.wait_for_passages()
    receipt = await call.container.pipeline_runs.begin(command, call.context(reason=message, raw=raw))
    id = UUID(receipt.shown["run_id"])
    if asked.background:
        return call.receipt(receipt, status=202, location=f"/v1/pipelines/runs/{id}")
    if asked.stream:
        return streamed(call, call.container.pipeline_following.follow(id), _headers(receipt))
    end = await call.container.pipeline_following.end(id, repeated=receipt.replayed)
    failure = refusal_in(end)
    if failure is not None:
        raise failure
    headers = {"ETag": f'"{end.data["version"]}"', "Magnet-Position": str(end.data["position"])}
    return json_response(orjson.dumps(end.data), headers=_headers(receipt) | headers)


async def cancel(call: Call) -> Response:
    """Have a run stop."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    command = CancelPipelineRun(run=run_of(call), principal=principal_of(call.actor), if_match=call.if_match())
    return call.receipt(await call.dispatch(command, reason=message, raw=raw), status=202)


def run_of(call: Call) -> UUID:
    """Return the id of the run that is addressed; they have no names."""
    text = call.path("id")
    if not UUID_FORM.match(text):
        raise no_such_run()
    return UUID(text)


def streamed(
    call: Call, events: AsyncGenerator[PipelineEvent, None], headers: dict[str, str] | None = None
) -> Response:
    """Return what happens in a run as a stream; an id is the version of the run's stream, from which one can go on."""

    async def sent() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                shown = StreamEvent(type=event.type, data=told(call, event), id=str(event.version))
                yield encoded(shown, event.version)

    return EventStream(sent(), headers)


def told(call: Call, event: PipelineEvent) -> dict[str, Any]:
    """Return an event's public form: a failure as the problem document that a plain answer would be."""
    failure = refusal_in(event) if event.failure is not None else None
    if failure is None:
        return dict(event.data)
    return {
        **event.data,
        "error": problem_document(failure, request_id=call.request_id, instance=call.request.url.path),
    }


def _headers(receipt: Receipt) -> dict[str, str]:
    return {"Magnet-Position": str(receipt.position), **replay_header(receipt.replayed)}


RECEIPT: dict[str, Any] = {
    **PROBLEM_FREE_RECEIPT,
    "properties": {
        **PROBLEM_FREE_RECEIPT["properties"],
        "run_id": {"type": "string", "format": "uuid"},
        "state": {"type": "string"},
        "output": {"description": "What it gives."},
        "steps": {"type": "array", "description": "`{name, items: [{name, state, result, error, usage, cost}]}`"},
        "usage": {"type": "object"},
        "cost": {"type": "object"},
    },
}
OPERATIONS = (
    # Before the routes of single pipelines: `runs` is no pipeline's name.
    Operation(
        method="POST",
        path="/v1/pipelines/runs/{id}/cancel",
        side="commands",
        tag="pipelines",
        name="cancel_pipeline_run",
        summary="Stop a run of a pipeline at once",
        permission="pipelines:run",
        handler=cancel,
        body={"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
        body_required=False,
        answer=RECEIPT,
        status=202,
        if_match=True,
    ),
    Operation(
        method="POST",
        path="/v1/pipelines/{ref}/run",
        side="commands",
        tag="pipelines",
        name="run_pipeline",
        summary="Have a pipeline run: waited for, with `background` not, or with `stream` followed",
        permission="pipelines:run",
        handler=run,
        body=body_schema(RunPipelineBody),
        body_required=False,
        answer=RECEIPT,
    ),
)
