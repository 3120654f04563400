"""What OpenAI's clients ask responses by: every documented field, or a refusal that names it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from api.openai_forms.requests import Asking, Choice, StreamOptions, Subject
from commands.completion import PREFIXES
from domain.agent import Agent
from domain.configuration import Configuration
from domain.definition import JSON, Strict
from domain.errors import FieldError, Invalid
from domain.model import Model
from domain.prompt import Prompt
from domain.rag_tool import RagTool

UNSUPPORTED = "unsupported_parameter"


def _input(value: JSON) -> JSON:
    """Check that input is text or items; what items are is looked at one by one."""
    if not isinstance(value, str | list):
        raise ValueError("input is text, or a list of items")
    if not value:
        raise ValueError("input is empty")
    return value


def _conversation(value: JSON) -> JSON:
    if isinstance(value, dict) and set(value) == {"id"}:
        value = value["id"]
    if value is not None and not isinstance(value, str):
        raise ValueError("a conversation is its id, or an object with that")
    return value


class TextConfig(Strict):
    """Which form the text of an answer has."""

    format: dict[str, JSON] | None = None
    verbosity: str | None = Field(None, max_length=40)

    @field_validator("format")
    @classmethod
    def _form_has_a_type(cls, form: dict[str, JSON] | None) -> dict[str, JSON] | None:
        if form is not None and form.get("type") not in ("text", "json_object", "json_schema"):
            raise ValueError("its type is text, json_object or json_schema")
        return form


class ResponseBody(Asking):
    """A request for a response; `variables` and `filter` are ours."""

    input: Annotated[
        JSON,
        AfterValidator(_input),
        Field(json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}),
    ]
    instructions: str | None = Field(None, max_length=200_000, description="Told to the model this time only.")
    stream: bool | None = None
    background: bool | None = Field(None, description="Answer at once; GET tells the rest. For agents.")
    store: bool | None = Field(None, description="With false, an agent answers without a conversation.")
    previous_response_id: str | None = Field(None, max_length=200, description="Go on from there. For agents.")
    conversation: Annotated[
        JSON,
        AfterValidator(_conversation),
        Field(
            description="Go on with it. For agents.",
            json_schema_extra={"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "null"}]},
        ),
    ] = None
    safety_identifier: Subject | None = Field(None, description="As `user`, before which it goes.")
    metadata: dict[str, str] | None = Field(None, max_length=16, description="Kept with the run's input.")
    variables: dict[str, JSON] = Field(default_factory=dict, description="Of a prompt or agent.")
    filter: dict[str, JSON] | None = Field(None, description="Which documents a RAG tool may answer from.")

    tools: list[dict[str, JSON]] | None = Field(None, max_length=256, description="Functions of the client.")
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_output_tokens: int | None = Field(None, ge=1, le=10_000_000)
    reasoning: dict[str, JSON] | None = None
    service_tier: str | None = Field(None, max_length=40)
    prompt_cache_key: str | None = Field(None, max_length=1000)
    prompt_cache_retention: str | None = Field(None, max_length=40)
    prompt_cache_options: dict[str, JSON] | None = None

    prompt: dict[str, JSON] | None = Field(None, description="Refused: a prompt is named by `model`.")
    stream_options: StreamOptions | None = Field(None, description="Ignored.")
    include: list[str] | None = Field(None, max_length=100, description="Ignored.")
    truncation: Literal["auto", "disabled"] | None = Field(None, description="Ignored.")
    max_tool_calls: int | None = Field(None, ge=1, description="Ignored.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="Ignored.")
    moderation: dict[str, JSON] | None = Field(None, description="Ignored.")
    access_programs: dict[str, JSON] | None = Field(None, description="Ignored.")
    background_options: dict[str, JSON] | None = Field(None, description="Ignored.")
    context_management: list[dict[str, JSON]] | None = Field(None, max_length=100, description="Ignored.")
    image: dict[str, JSON] | None = Field(None, description="Ignored.")

    PASSED_ON: ClassVar[tuple[str, ...]] = (
        "temperature",
        "top_p",
        "parallel_tool_calls",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
    )
    """What a model is given as it is."""

    ECHOED: ClassVar[tuple[str, ...]] = (
        "instructions",
        "temperature",
        "top_p",
        "max_output_tokens",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
    )
    """What of the request its response shows again."""

    @property
    def kind(self) -> type[Configuration]:
        """What kind of thing answers; whether there is one is another question."""
        prefix, colon, _ = self.model.partition(":")
        return PREFIXES.get(prefix, Model) if colon else Model

    @property
    def takes_calls(self) -> bool:
        """Whether what answers may call functions of the client."""
        return self.kind is not RagTool

    @property
    def subject(self) -> str | None:
        """Whom it is for."""
        return self.safety_identifier or self.user or None

    @property
    def form(self) -> Mapping[str, Any] | None:
        """Which form the answer has, as chat completions say it; None where it is text."""
        form = None if self.text is None else self.text.format
        if form is None or form["type"] == "text":
            return None
        if form["type"] == "json_object":
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {name: form[name] for name in form if name != "type"}}

    @property
    def echo(self) -> dict[str, Any]:
        """What of the request its response shows again."""
        return {name: getattr(self, name) for name in self.ECHOED if getattr(self, name) is not None}

    def parameters(self) -> dict[str, Any]:
        """Return what a model is given besides messages and tools, as chat completions say it."""
        given = {name: getattr(self, name) for name in self.PASSED_ON if getattr(self, name) is not None}
        if self.max_output_tokens is not None:
            given["max_tokens"] = self.max_output_tokens
        if self.reasoning is not None and isinstance(self.reasoning.get("effort"), str):
            given["reasoning_effort"] = self.reasoning["effort"]
        if self.text is not None and self.text.verbosity is not None:
            given["verbosity"] = self.text.verbosity
        return given

    def functions(self) -> list[dict[str, Any]]:
        """Return the client's functions, as chat completions say it."""
        named = ("name", "description", "parameters", "strict")
        return [
            {"type": "function", "function": {name: tool[name] for name in named if tool.get(name) is not None}}
            for tool in self.tools or ()
        ]

    def choice(self) -> Any:
        """Return which function is to be called, as chat completions say it."""
        if isinstance(self.tool_choice, dict):
            return {"type": "function", "function": {"name": self.tool_choice["name"]}}
        return self.tool_choice

    def must_be_supported(self) -> None:
        """Raise Invalid that names each parameter that what answers can't follow."""
        kind = self.kind
        wrong = [("prompt", "a prompt answers where `model` is prompt:NAME, by `variables`")] if self.prompt else []
        if self.previous_response_id is not None and self.conversation is not None:
            wrong.append(("conversation", "send one of previous_response_id and conversation"))
        wrong += [*self._about_tools(), *self._about_conversations(kind)]
        if kind is not Model and self.form is not None:
            wrong.append(("text/format", "the settings of what answers say which form its answer has"))
        if kind is RagTool and self.instructions:
            wrong.append(("instructions", "the prompt of a RAG tool has its instructions"))
        if self.variables and kind not in (Prompt, Agent):
            wrong.append(("variables", "variables are for prompts and agents"))
        if self.filter is not None and kind is not RagTool:
            wrong.append(("filter", "a filter is for RAG tools"))
        if wrong:
            raise Invalid(
                f"This is not supported here: {wrong[0][1]}.",
                code=UNSUPPORTED,
                errors=[FieldError(pointer=f"/{at}", message=why, code=UNSUPPORTED) for at, why in wrong],
            )

    def _about_tools(self) -> Iterator[tuple[str, str]]:
        takes = self.takes_calls
        if self.tools and not takes:
            yield "tools", "tools of the client are for models, prompts and agents"
        for number, tool in enumerate(self.tools or () if takes else ()):
            if tool.get("type") != "function":
                yield f"tools/{number}/type", "only functions, which the client carries out, can be called"
            elif not isinstance(tool.get("name"), str):
                yield f"tools/{number}/name", "a function has a name"
        chosen = self.tool_choice
        if isinstance(chosen, dict) and not (chosen.get("type") == "function" and isinstance(chosen.get("name"), str)):
            yield "tool_choice", "a choice is auto, none, required or a function by its name"
        elif chosen not in (None, "auto", "none") and not (self.tools or self.kind in (Model, Prompt)):
            yield "tool_choice", "an agent or RAG tool chooses by itself, unless there are tools of the client"

    def _about_conversations(self, kind: type[Configuration]) -> Iterator[tuple[str, str]]:
        goes_on = [name for name in ("previous_response_id", "conversation") if getattr(self, name) is not None]
        if kind is not Agent:
            for name in [*goes_on, *(["background"] if self.background else [])]:
                yield name, "only agents hold conversations, which go on by themselves"
            return
        if self.store is False:
            for name in [*goes_on, *(["background"] if self.background else [])]:
                yield name, "with store: false an agent answers without a conversation"
        if goes_on and self.variables:
            yield "variables", "a conversation has its variables from its beginning"
