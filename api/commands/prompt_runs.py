"""Running a prompt over HTTP, plain or streamed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation, answer
from api.errors import problem_document
from api.schemas import body_schema
from api.streaming import EventStream, StreamEvent, numbered
from commands.model_calls import TextPiece
from commands.prompt_run import RunAnswer, RunBegan, RunPrompt
from domain.definition import JSON, Strict, parse
from domain.references import identify


class GivenMessage(Strict):
    """A message that comes after the prompt's own."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=1_000_000)


class RunPromptBody(Strict):
    """What a run of a prompt is given."""

    variables: dict[str, JSON] = Field(default_factory=dict, description="Values of the prompt's variables.")
    messages: list[GivenMessage] = Field(default_factory=list, max_length=1000, description="After its own.")
    version: int | None = Field(None, ge=1, lt=2**62, description="Instead of a label.")
    label: str = Field("live", max_length=63)
    variant: str | None = Field(None, max_length=63, description="null: by weight, the same for the same subject.")
    subject: str | None = Field(None, min_length=1, max_length=200, description="Whom it is run for.")
    stream: bool = Field(False, description="Answer with server-sent events.")


async def run(call: Call) -> Response:
    """Run a prompt."""
    body, message, raw = await call.body(required=False)
    asked = parse(RunPromptBody, body)
    command = RunPrompt(
        prompt=identify("prompt", call.path("ref")),
        variables=asked.variables,
        messages=[{"role": each.role, "content": each.content} for each in asked.messages],
        version=asked.version,
        label=asked.label,
        variant=asked.variant,
        subject=asked.subject,
    )
    pieces = call.container.prompt_runs.run(command, call.context(reason=message, raw=raw))
    if asked.stream:
        return await streamed(call, pieces)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, RunAnswer):
                replay = {"Idempotent-Replay": "true"} if piece.replayed else {}
                return answer(piece.body, position=piece.position, headers=replay)
    raise AssertionError("a run ends with an answer or an error")


async def streamed(call: Call, pieces: AsyncGenerator[Any, None]) -> Response:
    """Return the run as a stream; what is refused before it began is a problem document."""
    began = await anext(pieces)
    assert isinstance(began, RunBegan)
    headers = {"Magnet-Position": str(began.position)}
    return EventStream(numbered(events(call, began, pieces)), headers)


async def events(call: Call, began: RunBegan, pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[StreamEvent, None]:
    """Yield `run.started`, `message.delta`s, and one `run.completed` or `run.failed`."""
    async with aclosing(pieces):
        yield StreamEvent(type="run.started", data={"run_id": str(began.run_id)})
        try:
            async for piece in pieces:
                if isinstance(piece, TextPiece):
                    yield StreamEvent(type="message.delta", data={"text": piece.text})
                elif isinstance(piece, RunAnswer):
                    yield StreamEvent(type="run.completed", data=piece.body)
        except Exception as error:  # a defect as well: whoever waits for the end of a stream is told
            problem = problem_document(error, request_id=call.request_id, instance=call.request.url.path)
            yield StreamEvent(type="run.failed", data={"run_id": str(began.run_id), "error": problem})


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/prompts/{ref}/run",
        side="commands",
        tag="prompts",
        name="run_prompt",
        summary="Run a prompt: a plain answer, or with `stream` server-sent events",
        permission="prompts:run",
        handler=run,
        body=body_schema(RunPromptBody),
        body_required=False,
        answer={
            "type": "object",
            "required": ["text", "usage", "cost", "run_id"],
            "properties": {
                "text": {"type": "string"},
                "parsed": {"description": "The JSON in the text, where the prompt asks for JSON."},
                "usage": {"type": "object"},
                "cost": {"type": "object"},
                "run_id": {"type": "string", "format": "uuid"},
            },
        },
    ),
)
