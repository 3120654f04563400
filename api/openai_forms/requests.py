"""What OpenAI's clients send: every documented field is accepted; docs/openai.md says what each does."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from domain.definition import JSON, Strict

TEXT_PARTS = ("text", "refusal")
MOST_TEXTS = 2048
"""Inputs of one request for embeddings, as at OpenAI."""

NO_TOKENS = "send texts, not numbers of tokens: another model would read other words from them"
LONGEST_SUBJECT = 200

Parts = Mapping[str, Any]
Subject = Annotated[str, StringConstraints(max_length=LONGEST_SUBJECT)]


def _content(value: JSON) -> JSON:
    """Check the content of a message: text, or parts of it."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError("content is text, a list of parts, or null")
    for number, part in enumerate(value):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise ValueError(f"part {number} is no object with a type")
        if part["type"] in TEXT_PARTS and not isinstance(part.get(part["type"]), str):
            raise ValueError(f"part {number} has no text in '{part['type']}'")
    return value


def _stop(value: JSON) -> JSON:
    texts = [value] if isinstance(value, str) else value
    if texts is not None and not (isinstance(texts, list) and all(isinstance(each, str) for each in texts)):
        raise ValueError("stop is a text, a list of texts, or null")
    return value


def _choice(value: JSON) -> JSON:
    if value is not None and not isinstance(value, str | dict):
        raise ValueError("a choice is a word or an object")
    return value


def _texts(value: JSON) -> JSON:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_TEXTS:
        raise ValueError(f"input is a text, or a list of 1 to {MOST_TEXTS} texts")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            tokens = isinstance(text, int | list) and not isinstance(text, bool)
            raise ValueError(NO_TOKENS if tokens else f"input {number} is no text")
        if not text:
            raise ValueError(f"input {number} is empty")
    return value


TEXT_OR_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Content = Annotated[
    JSON,
    AfterValidator(_content),
    Field(
        json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]
        }
    ),
]
Stop = Annotated[
    JSON, AfterValidator(_stop), Field(json_schema_extra={"anyOf": [*TEXT_OR_TEXTS["anyOf"], {"type": "null"}]})
]
Choice = Annotated[
    JSON,
    AfterValidator(_choice),
    Field(json_schema_extra={"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "null"}]}),
]


class CalledFunction(Strict):
    """A function and the JSON text that it was called with."""

    name: str = Field(max_length=200)
    arguments: str


class GivenToolCall(Strict):
    """A call that a model asked for earlier."""

    id: str = Field(max_length=200)
    type: str = Field("function", max_length=40)
    function: CalledFunction | None = None
    custom: dict[str, JSON] | None = None
    index: int | None = None


class ChatMessage(Strict):
    """A message; a client may send back the answers it got as they came."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    name: str | None = Field(None, max_length=200)
    tool_calls: list[GivenToolCall] | None = Field(None, max_length=256)
    tool_call_id: str | None = Field(None, max_length=200)
    function_call: CalledFunction | None = None
    refusal: str | None = None
    audio: dict[str, JSON] | None = None
    annotations: list[JSON] | None = Field(None, description="Not passed on.")

    def plain(self) -> dict[str, Any]:
        """Return it as models take it: text that comes in parts as one text, and nothing that is null or ours."""
        given = self.model_dump(mode="json", exclude_none=True, exclude={"annotations"})
        for call in given.get("tool_calls", ()):
            call.pop("index", None)
        parts = given.get("content", "" if self.refusal is None else self.refusal)
        if isinstance(parts, list) and all(part["type"] in TEXT_PARTS for part in parts):
            parts = "\n".join(part[part["type"]] for part in parts)
        calls = "tool_calls" in given or "function_call" in given
        return {**given, "content": None if calls and not parts else parts}


class StreamOptions(Strict):
    """What a stream tells besides the text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Asking(Strict):
    """What chat completions are asked by."""

    model: str = Field(min_length=1, max_length=200, description="agent:NAME, rag:NAME, prompt:NAME or a model's name.")
    user: Subject | None = Field(None, description="Whom it is for: the run's subject.")


class ChatBody(Asking):
    """A request for a chat completion; `variables` and `filter` are ours."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=10_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    safety_identifier: Subject | None = Field(None, description="As `user`, before which it goes.")
    metadata: dict[str, str] | None = Field(None, max_length=16, description="Kept with the run's input.")
    variables: dict[str, JSON] = Field(default_factory=dict, description="Of a prompt or agent.")
    filter: dict[str, JSON] | None = Field(None, description="Which documents a RAG tool may answer from.")

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=10_000_000)
    stop: Stop = None
    seed: int | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = Field(None, max_length=1024)
    reasoning_effort: str | None = Field(None, max_length=40)
    verbosity: str | None = Field(None, max_length=40)
    parallel_tool_calls: bool | None = None
    service_tier: str | None = Field(None, max_length=40)
    prediction: dict[str, JSON] | None = None
    prompt_cache_key: str | None = Field(None, max_length=1000)
    prompt_cache_retention: str | None = Field(None, max_length=40)
    prompt_cache_options: dict[str, JSON] | None = None
    web_search_options: dict[str, JSON] | None = None
    tools: list[dict[str, JSON]] | None = Field(None, max_length=256)
    tool_choice: Choice = None
    functions: list[dict[str, JSON]] | None = Field(None, max_length=256)
    function_call: Choice = None
    response_format: dict[str, JSON] | None = None

    n: int | None = Field(None, ge=1, le=1, description="One answer is given.")
    modalities: list[Literal["text"]] | None = Field(None, description="Text is given.")
    audio: dict[str, JSON] | None = Field(None, description="Ignored.")
    logprobs: bool | None = Field(None, description="Ignored.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="Ignored.")
    moderation: dict[str, JSON] | None = Field(None, description="Ignored.")
    store: bool | None = Field(None, description="Ignored: every run is recorded.")

    PASSED_ON: ClassVar[tuple[str, ...]] = (
        "temperature",
        "top_p",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "reasoning_effort",
        "verbosity",
        "parallel_tool_calls",
        "service_tier",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "web_search_options",
    )
    """What a model is given as it is; all else that answers has settings of its own."""

    @field_validator("response_format")
    @classmethod
    def _form_has_a_type(cls, form: dict[str, JSON] | None) -> dict[str, JSON] | None:
        if form is not None and form.get("type") not in ("text", "json_object", "json_schema"):
            raise ValueError("its type is text, json_object or json_schema")
        return form

    @field_validator("tools", "functions")
    @classmethod
    def _tools_are_named(cls, tools: list[dict[str, JSON]] | None) -> list[dict[str, JSON]] | None:
        for number, tool in enumerate(tools or ()):
            described = tool.get(str(tool["type"])) if "type" in tool else tool
            if not isinstance(described, dict) or not isinstance(described.get("name"), str):
                raise ValueError(f"tool {number} has no name")
        return tools

    @property
    def subject(self) -> str | None:
        """Whom it is for."""
        return self.safety_identifier or self.user or None

    @property
    def by_functions(self) -> bool:
        """Whether the client knows of functions only, which tools took the place of."""
        return bool(self.functions) and not self.tools

    def parameters(self) -> dict[str, Any]:
        """Return what a model is given besides messages and tools."""
        given = {name: getattr(self, name) for name in self.PASSED_ON if getattr(self, name) is not None}
        most = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return given if most is None else {**given, "max_tokens": most}

    def wanted_tools(self) -> tuple[list[dict[str, Any]], Any]:
        """Return the tools, and which of them is to be called."""
        if not self.by_functions:
            return self.tools or [], self.tool_choice
        choice = self.function_call
        if isinstance(choice, dict):
            choice = {"type": "function", "function": choice}
        return [{"type": "function", "function": function} for function in self.functions or ()], choice


class EmbeddingsBody(Asking):
    """A request for embeddings."""

    input: Annotated[JSON, AfterValidator(_texts), Field(json_schema_extra=TEXT_OR_TEXTS)]
    dimensions: int | None = Field(None, ge=1, le=16_000, description="As the model's settings have it.")
    encoding_format: Literal["float", "base64"] | None = None

    @property
    def texts(self) -> list[str]:
        """The texts to be embedded."""
        return [self.input] if isinstance(self.input, str) else list(self.input)
