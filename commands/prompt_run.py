"""Running a prompt: rendered, said to a model, checked, and recorded before the answer is given out."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import jsonschema_rs

from commands.choosing import Chosen, choose
from commands.models.model_calls import ChatAnswer, ChatModels, ChatRequest, ModelCallFailed, TextPiece
from commands.models.saying import said_in, say
from commands.ports import Context, PromptRenderer, Things
from commands.rendering import render_prompt
from commands.runs.execution import Asked, Execution, Prepared, Result, RunAnswer, RunBegan
from commands.runs.runs import Recording, model_document
from domain import variants
from domain.errors import Archived, DomainError, NotFound
from domain.outside_json import NotJson, read
from domain.prompt import Prompt
from domain.references import escaped, identify

PARAMETERS = ("temperature", "top_p", "max_tokens", "stop", "seed")


@dataclass(frozen=True, kw_only=True)
class RunPrompt:
    """Run a prompt at a version or label; further messages come after its own.

    `tools` are called by whoever asks: an answer may be calls of them, which they carry out and tell of in further
    messages. `parallel_calls` says whether it may be several.
    """

    prompt: UUID
    variables: Mapping[str, Any]
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    version: int | None = None
    label: str = "live"
    variant: str | None = None
    subject: str | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    parallel_calls: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A model's answer, and the JSON in it where the prompt asks for JSON."""

    answer: ChatAnswer
    parsed: Any


class InvalidOutput(ModelCallFailed):
    """The model's answer does not fit the JSON schema that it is bound to, also when it was asked again."""

    code = "invalid_output"


@dataclass(frozen=True, kw_only=True)
class PromptRuns:
    """Runs prompts."""

    models: ChatModels
    things: Things
    renderer: PromptRenderer
    execution: Execution

    async def labelled(self, name: str, label: str) -> Mapping[str, Any] | None:
        """Return what a prompt is at a label; None where there is none, or it is archived."""
        try:
            chosen = await choose(
                self.things, Prompt, identify("prompt", name), label=label, variant=variants.DEFAULT, subject=""
            )
        except (NotFound, Archived):
            return None
        return chosen.definition

    async def messages(self, chosen: Chosen, command: RunPrompt) -> list[Mapping[str, Any]]:
        """Return what a model is told: the prompt's own messages, then those given."""
        rendered = await render_prompt(
            chosen.definition, command.variables, renderer=self.renderer, lookup=self.labelled
        )
        return [*rendered, *command.messages]

    async def run(self, command: RunPrompt, context: Context) -> AsyncGenerator[RunBegan | TextPiece | RunAnswer, None]:
        """Yield RunBegan, pieces of text as they come, and last the RunAnswer; or raise.

        What is wrong with the request is raised before anything is recorded.
        """
        prepared = await self.prepare(command)
        async with aclosing(self.execution.carry_out(prepared.asked, context, prepared.work)) as pieces:
            async for piece in pieces:
                yield piece

    async def prepare(self, command: RunPrompt) -> Prepared:
        """Return what a run of this prompt is, or raise what is wrong with the request."""
        id = uuid4()
        chosen = await choose(
            self.things,
            Prompt,
            command.prompt,
            version=command.version,
            label=command.label,
            variant=command.variant,
            subject=command.subject or str(id),
        )
        messages = await self.messages(chosen, command)
        asked = Asked(
            id=id,
            kind="prompt",
            target=chosen.target(),
            subject=command.subject,
            input={"variables": dict(command.variables), "messages": [dict(each) for each in command.messages]},
            observability=chosen.definition["observability"],
        )
        return Prepared(asked=asked, work=lambda recording: self._work(recording, chosen, command, messages))

    async def _work(
        self, recording: Recording, chosen: Chosen, command: RunPrompt, messages: list[Mapping[str, Any]]
    ) -> AsyncGenerator[TextPiece | Result, None]:
        recording.versions["prompt"] = chosen.document()
        async with aclosing(self.said(recording, asking(chosen.definition, messages, command))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Checked):
                    said = piece
                else:
                    yield piece
        output, calls = said_in(said.answer)
        body = {
            "text": said.answer.text,
            "parsed": said.parsed,
            "finish_reason": said.answer.finish_reason,
            "prompt": chosen.document(),
            "model": model_document(said.answer.model),
        }
        yield Result(body={**body, "tool_calls": calls} if calls else body, output=output)

    async def said(
        self, recording: Recording, request: ChatRequest, *, parent: int | None = None
    ) -> AsyncGenerator[TextPiece | Checked, None]:
        """Yield pieces, and last the answer; one that has to fit a schema comes whole, once it does.

        What does not fit is asked for once more, then raised as InvalidOutput; `parent` is the step that it is part of.
        """
        form, told = request.response_format or {"type": "text"}, request.messages
        for last_try in (False, True):
            async with aclosing(say(recording, self.models, request, parent=parent)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ChatAnswer):
                        answer = piece
                    elif form["type"] != "json_schema":
                        yield piece
            whole = form["type"] == "json_schema" and answer.text
            if form["type"] == "text" or answer.tool_calls:
                if whole:
                    yield TextPiece(text=answer.text)
                yield Checked(answer=answer, parsed=None)
                return
            try:
                parsed = fitting(answer, form["json_schema"]["schema"] if form["type"] == "json_schema" else None)
            except InvalidOutput as error:
                if last_try or form["type"] != "json_schema":
                    raise
                request = asked_again(request, told, answer, error)
                continue
            if whole:
                yield TextPiece(text=answer.text)
            yield Checked(answer=answer, parsed=parsed)
            return


def request_of(definition: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> ChatRequest:
    """Return what a prompt asks of a model."""
    parameters = {name: definition[name] for name in PARAMETERS if definition[name] not in (None, [])}
    model = definition["model"]
    return ChatRequest(
        model=None if model is None else UUID(model),
        messages=messages,
        parameters=parameters,
        response_format=form_asked(definition["response_format"]),
    )


def form_asked(form: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a definition's response format as a model is asked for it; None for text."""
    if form["type"] == "json_object":
        return {"type": "json_object"}
    if form["type"] == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"], "strict": False}}
    return None


def asked_again(
    request: ChatRequest, told: Sequence[Mapping[str, Any]], answer: ChatAnswer, error: DomainError
) -> ChatRequest:
    """Return the request once more, with the answer and what is wrong with it."""
    said = {"role": "assistant", "content": answer.text}
    complaint = {"role": "user", "content": f"{error} Answer again with JSON that fits, and nothing else."}
    return replace(request, messages=[*told, said, complaint])


def asking(definition: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], command: RunPrompt) -> ChatRequest:
    """Return what a run of a prompt asks of a model: what the prompt does, with the tools of whoever asks."""
    request = request_of(definition, messages)
    if not command.tools:
        return request
    parameters = dict(request.parameters)
    if command.parallel_calls is not None:
        parameters["parallel_tool_calls"] = command.parallel_calls
    return replace(request, parameters=parameters, tools=command.tools, tool_choice=command.tool_choice)


def fitting(answer: ChatAnswer, schema: Mapping[str, Any] | None) -> Any:
    """Return the JSON of an answer, or raise InvalidOutput that says where it does not fit the schema."""
    details = {"provider": answer.model.provider, "model": answer.model.name, "upstream_status": 200}
    try:
        parsed = read(answer.text)
    except NotJson:
        raise InvalidOutput("The model's answer is no JSON.", details=details) from None
    if schema is not None:
        wrong = next(iter(jsonschema_rs.validator_for(dict(schema)).iter_errors(parsed)), None)
        if wrong is not None:
            place = "".join(f"/{escaped(part)}" for part in wrong.instance_path)
            raise InvalidOutput(
                f"The model's answer does not fit the schema at '{place}' ({type(wrong.kind).__name__}).",
                details=details,
            )
    return parsed
