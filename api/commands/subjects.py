"""Subjects over HTTP: what is held of a person, as a file; and its erasure."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from api.call import READ_PATIENCE, Call, Operation, replay_header
from api.errors import HttpProblem
from api.schemas import PROBLEM_FREE_RECEIPT, body_schema
from commands.pipelines.pipeline_run import PIPELINE
from commands.ports import Receipt
from commands.subject import EraseSubject, ExportSubject
from domain import pipeline_results
from domain.conversation import Conversation
from domain.definition import Strict, parse
from domain.errors import Invalid
from domain.pipeline_run import PipelineRun
from projections.conversations import ConversationsProjection, ConversationsQuery
from projections.runs import RunsProjection, RunsQuery

AT_ONCE = 100
"""Conversations or runs that are looked up together."""

IN_BODY = "-"
"""Stands in the path for a subject that the body names."""


class SubjectBody(Strict):
    """Whom it is about, where that does not fit into a path."""

    subject: str | None = Field(
        None, min_length=1, max_length=200, description=f"Whom it is about; then the path has `{IN_BODY}`."
    )


async def export(call: Call) -> Response:
    """Give out what is held of a subject: conversations and runs with all that was said."""
    subject, message, raw = await asked(call)
    head = await call.container.log.head()
    for name in (ConversationsProjection.name, RunsProjection.name):
        if not await call.container.reached(name, head, READ_PATIENCE):
            raise HttpProblem(
                503,
                "read_model_behind",
                "The read models have not passed all that is recorded: ask again.",
                headers={"Retry-After": "1"},
                details={"projection": name},
            )
    receipt = await call.dispatch(ExportSubject(subject=subject), reason=message, raw=raw)
    headers = {
        "Magnet-Position": str(receipt.position),
        "Content-Disposition": 'attachment; filename="subject.json"',
        **replay_header(receipt.replayed),
    }
    return StreamingResponse(document(call, subject, receipt), media_type="application/json", headers=headers)


async def erase(call: Call) -> Response:
    """Erase what a subject said, for good."""
    subject, message, raw = await asked(call)
    receipt = await call.dispatch(EraseSubject(subject=subject), reason=message, raw=raw)
    call.container.store.forget_said()  # here at once; elsewhere when PostgreSQL has told it
    return call.receipt(receipt)


async def asked(call: Call) -> tuple[str, str | None, bytes]:
    """Return whom it is about, the message, and the body's bytes."""
    body, message, raw = await call.body(required=False)
    given, named = parse(SubjectBody, body).subject, call.path("subject")
    if (named == IN_BODY) != (given is not None):
        raise Invalid(
            f"Name the subject in the path, or `{IN_BODY}` there and the subject in the body.", pointer="/subject"
        )
    if given is None and len(named) > 200:
        raise Invalid("A subject has at most 200 characters.", pointer="/subject")
    return given or named, message, raw


async def document(call: Call, subject: str, receipt: Receipt) -> AsyncGenerator[bytes, None]:
    """Yield the parts of one JSON object, made while they are sent; an error in its middle breaks the connection."""
    begin = {"id": str(receipt.id), "version": receipt.version, "position": receipt.position, "subject": subject}
    yield orjson.dumps(begin)[:-1] + b',"conversations":['
    async for part in listed(conversations(call, subject)):
        yield part
    yield b'],"runs":['
    async for part in listed(runs(call, subject)):
        yield part
    yield b"]}"


async def listed(items: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    """Yield the items of a JSON array."""
    comma = b""
    async for item in items:
        yield comma + orjson.dumps(item)
        comma = b","


async def conversations(call: Call, subject: str) -> AsyncGenerator[Any, None]:
    """Yield the subject's conversations, the oldest first."""
    reader, after = call.container.conversation_reader, None
    while True:
        rows = await reader.view.page(
            ConversationsQuery(limit=AT_ONCE, after=after, newest_first=False, subject=subject)
        )
        talks = await reader.talks.newest_of(Conversation, [UUID(row["id"]) for _, row in rows])
        for _, row in rows:
            yield await reader.document(talks[UUID(row["id"])], with_notes=True, with_files=True)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1][0]


async def runs(call: Call, subject: str) -> AsyncGenerator[Any, None]:
    """Yield the subject's runs with their steps, the newest first."""
    after = None
    while True:
        rows, after = await call.container.runs_view.page(RunsQuery(limit=AT_ONCE, after=after, subject=subject))
        for row in rows:
            run = UUID(row["id"])
            shown = await call.container.run_reader.read(run, with_texts=True)
            if row["kind"] == PIPELINE:
                going = await call.container.store.newest(PipelineRun, PipelineRun.id_of(run))
                shown = {**(shown or {}), "pipeline_run": pipeline_results.document(going)}
            yield shown
        if after is None:
            return


def _command(path: str, name: str, summary: str, handler: Any, answer: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/subjects/{{subject}}/{path}",
        side="commands",
        tag="subjects",
        name=name,
        summary=summary,
        permission="subjects:manage",
        handler=handler,
        body=body_schema(SubjectBody),
        body_required=False,
        answer=answer,
    )


EXPORT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "version", "position", "subject", "conversations", "runs"],
    "properties": {
        **PROBLEM_FREE_RECEIPT["properties"],
        "subject": {"type": "string"},
        "conversations": {"type": "array", "items": {"type": "object"}, "description": "As each is read by its id."},
        "runs": {"type": "array", "items": {"type": "object"}, "description": "As each is read by its id."},
    },
}
OPERATIONS = (
    _command("export", "export_subject", "Give out all that is held of a person, as one JSON document", export, EXPORT),
    _command(
        "erase",
        "erase_subject",
        "Erase what a person said and was told: their data key is destroyed, for good",
        erase,
        PROBLEM_FREE_RECEIPT,
    ),
)
