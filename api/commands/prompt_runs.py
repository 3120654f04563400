"""Running a prompt over HTTP, plain or streamed."""

from typing import Literal

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation
from api.run_streams import answered, streamed
from api.schemas import body_schema
from commands.prompt_run import RunPrompt
from commands.runs.execution import whole
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
        return await streamed(call, "run", pieces)
    return answered(await whole(pieces))


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
