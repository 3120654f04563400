"""Prompt: what is said to a model, with variables, settings and variants."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

import jsonschema_rs
from pydantic import Field, field_validator, model_validator

from domain import variants
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict
from domain.references import escaped, identify

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
INCLUDE = re.compile(
    r"""\{%[-+]?\s*include\s+(["'])(?P<written>(?P<name>[a-z0-9][a-z0-9_.-]*)(?:@(?P<label>[a-z0-9][a-z0-9_.-]*))?)\1"""
)
"""The only form of an include: what the template language would take besides is refused when a prompt is saved."""


class Message(Strict):
    """One message of a prompt; its content is a template."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=1_000_000)


class Variable(Strict):
    """What a variable must be (a JSON schema), and what it is when it is not given."""

    json_schema: dict[str, JSON] = Field(default_factory=dict, alias="schema")
    default: JSON = None
    required: bool = Field(True, description="Whether it must be given where there is no default.")
    description: str = Field("", max_length=2000)

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, JSON]) -> dict[str, JSON]:
        return check_schema(schema)


class ResponseFormat(Strict):
    """What form the answer has."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, JSON] | None = Field(None, alias="schema", description="Of a json_schema answer.")

    @model_validator(mode="after")
    def _schema_where_needed(self) -> Self:
        if (self.json_schema is None) == (self.type == "json_schema"):
            raise ValueError("'schema' goes with the type json_schema, and only with it")
        if self.json_schema is not None:
            check_schema(self.json_schema)
        return self


class PromptSettings(Strict):
    """The fields of a prompt that a variant may set differently."""

    text: str | None = Field(None, max_length=1_000_000, description="One user message; or use messages.")
    messages: list[Message] | None = Field(None, min_length=1, max_length=200)
    variables: dict[str, Variable] = Field(default_factory=dict, max_length=200)
    model: Reference | None = Field(None, description="null = the default chat model.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    stop: list[str] = Field(default_factory=list, max_length=16)
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    response_format: ResponseFormat = Field(default_factory=ResponseFormat)
    observability: Literal["none", "metadata", "full"] = Field("full", description="What its runs record.")

    @field_validator("variables")
    @classmethod
    def _variables_have_names(cls, declared: dict[str, Variable]) -> dict[str, Variable]:
        if not all(VARIABLE.match(name) for name in declared):
            raise ValueError("a variable's name has 1 to 64 letters, digits and _, and starts with no digit")
        return declared

    @model_validator(mode="after")
    def _text_or_messages(self) -> Self:
        if (self.text is None) == (self.messages is None):
            raise ValueError("give either 'text' or 'messages', and set the other to null")
        return self


class PromptDefinition(Definition, PromptSettings):
    """A prompt's settings."""

    variants: dict[str, dict[str, JSON]] = Field(default_factory=dict, max_length=20)

    REFERENCES: ClassVar[Mapping[str, str]] = {"model": "model", "variants/*/model": "model"}

    @model_validator(mode="after")
    def _variants_fit(self) -> Self:
        if self.variants:
            variants.fit(
                self,
                self.variants,
                PromptSettings,
                instead=dict.fromkeys(("text", "messages"), frozenset({"text", "messages"})),
            )
        return self


class Prompt(Configuration):
    """What is said to a model, with variables, settings and variants."""

    TOPIC = "prompt"
    DEFINITION = PromptDefinition

    class TextChanged(Changed):
        """Its words changed."""

        TOPIC = "prompt.text_changed"
        text: str | None
        messages: list[dict[str, str]] | None

    class VariablesChanged(Changed):
        """Its variables changed."""

        TOPIC = "prompt.variables_changed"
        variables: dict[str, dict[str, Any]]

    class ModelChosen(Changed):
        """Another model, or the default one, was chosen."""

        TOPIC = "prompt.model_chosen"
        model: str | None

    class ParametersChanged(Changed):
        """The model's parameters changed."""

        TOPIC = "prompt.parameters_changed"
        temperature: float | None
        top_p: float | None
        max_tokens: int | None
        stop: list[str]
        seed: int | None

    class ResponseFormatChanged(Changed):
        """The form of the answer changed."""

        TOPIC = "prompt.response_format_changed"
        response_format: dict[str, Any]

    class ObservabilityChanged(Changed):
        """What its runs record changed."""

        TOPIC = "prompt.observability_changed"
        observability: str

    class VariantsChanged(Changed):
        """Its variants changed."""

        TOPIC = "prompt.variants_changed"
        variants: dict[str, dict[str, Any]]

    def references(self) -> set[tuple[str, str, UUID]]:
        """Return what it refers to, the prompts that its texts include among it."""
        definitions = [self.definition, *(label["definition"] for label in self.labels.values())]
        included = {(pointer, name) for each in definitions for pointer, name, _ in inclusions(each)}
        return super().references() | {(pointer, self.TOPIC, identify(self.TOPIC, name)) for pointer, name in included}


def messages(definition: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the messages of a definition; a `text` is one user message."""
    if definition.get("messages") is not None:
        return list(definition["messages"])
    return [{"role": "user", "content": definition["text"]}]


def templates(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, source) of each template of a definition, variants' too."""
    for prefix, settings in (
        ("", definition),
        *((f"/variants/{escaped(name)}", variant) for name, variant in definition.get("variants", {}).items()),
    ):
        if settings.get("messages") is not None:
            for index, message in enumerate(messages(settings)):
                yield f"{prefix}/messages/{index}/content", message["content"]
        elif settings.get("text") is not None:
            yield f"{prefix}/text", settings["text"]


def inclusions(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (JSON pointer, prompt name, label) of each prompt that a text includes, variants' texts too."""
    for pointer, source in templates(definition):
        if "include" in source:
            for found in INCLUDE.finditer(source):
                yield pointer, found["name"], found["label"] or "live"


def includes(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (prompt name, label) of each prompt that the texts include, variants' texts too."""
    return ((name, label) for _, name, label in inclusions(definition))


def check_schema(schema: dict[str, JSON]) -> dict[str, JSON]:
    """Return the JSON schema, or raise ValueError; a reference may only point inside it."""

    def refer(node: JSON) -> Iterator[JSON]:
        if isinstance(node, dict):
            yield from (node[key] for key in ("$ref", "$dynamicRef") if key in node)
            for value in node.values():
                yield from refer(value)
        elif isinstance(node, list):
            for value in node:
                yield from refer(value)

    if not all(isinstance(ref, str) and ref.startswith("#") for ref in refer(schema)):
        raise ValueError("a $ref in a JSON schema may only point inside the schema, such as #/$defs/x")
    try:
        jsonschema_rs.validator_for(schema)
    except (jsonschema_rs.ValidationError, ValueError):
        raise ValueError("this is no valid JSON schema") from None
    return schema
