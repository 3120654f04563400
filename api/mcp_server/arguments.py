"""What tools and prompts take: JSON schemas made from the bodies and variables that there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from api import body as bodies
from api.commands.answers import AnswerBody
from api.commands.conversations import LONGEST
from api.errors import HttpProblem
from api.queries.searches import SearchBody
from domain.definition import JSON, Strict
from domain.errors import FieldError, Invalid

FILTER = (
    "Which documents, by their metadata: {type: eq|ne|gt|gte|lt|lte|in|nin|exists|contains, key, value}, or "
    "{type: and|or|not, filters: [...]}."
)


class AskArguments(Strict):
    """What an agent is told."""

    message: str = Field(min_length=1, max_length=LONGEST, description="What is said to the agent.")
    conversation: str | None = Field(
        None, max_length=36, description="The id of the conversation to go on with, from an earlier result."
    )


def object_schema(properties: Mapping[str, Any], required: Sequence[str], *, closed: bool = True) -> dict[str, Any]:
    """Return the schema of an object; a closed one takes nothing else."""
    schema = {"type": "object", "properties": dict(properties), "required": list(required)}
    return {**schema, "additionalProperties": False} if closed else schema


def picked(body: type[BaseModel], *names: str) -> dict[str, Any]:
    """Return the schema of an object with some fields of a body."""
    schema = body.model_json_schema(by_alias=True)
    required = [name for name in names if name in schema.get("required", ())]
    return object_schema({name: schema["properties"][name] for name in names}, required)


def of_search(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search by a retrieval tool takes."""
    if not tool["allow_filter"]:
        return picked(SearchBody, "query", "limit")
    schema = picked(SearchBody, "query", "limit", "filter")
    schema["properties"]["filter"] |= {"description": FILTER}
    return schema


def of_answer(_: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer by a RAG tool takes."""
    return picked(AnswerBody, "question")


def of_ask(_: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message to an agent takes."""
    return picked(AskArguments, "message", "conversation")


def of_prompt(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run of a prompt takes: its variables, and whatever else its text may use."""
    declared: Mapping[str, Any] = prompt["variables"]
    properties = {name: variable_schema(name, variable) for name, variable in declared.items()}
    return object_schema(properties, [name for name, each in declared.items() if needed(each)], closed=False)


def needed(variable: Mapping[str, Any]) -> bool:
    """Return whether a variable of a prompt must be given."""
    return bool(variable["required"]) and variable["default"] is None


def variable_schema(name: str, variable: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variable's schema, as it stands among the properties of an object."""
    schema: dict[str, Any] = moved(variable["schema"], f"#/properties/{name}")
    if variable["description"]:
        schema["description"] = variable["description"]
    if variable["default"] is not None:
        schema["default"] = variable["default"]
    return schema


def moved(node: Any, place: str) -> Any:
    """Return a schema whose pointers into itself lead there also from its new place."""
    if isinstance(node, list):
        return [moved(item, place) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: moved(value, place) for key, value in node.items()}
    for key in ("$ref", "$dynamicRef"):
        target = node.get(key)
        if isinstance(target, str) and (target == "#" or target.startswith("#/")):
            found[key] = place + target[1:]
    return found


def only(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the arguments, or raise Invalid where one is not among these."""
    strange = [name for name in arguments if name not in names]
    if strange:
        raise Invalid(
            f"An argument is unknown; there are: {', '.join(names)}.",
            errors=[
                FieldError(pointer=f"/{name}", message="there is no such argument", code="extra_forbidden")
                for name in strange
            ],
        )
    return dict(arguments)


def values_of(given: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]) -> dict[str, JSON]:
    """Return variables from the texts that MCP has for them: one that can't be text is read as JSON."""
    return {name: _value(name, text, declared.get(name)) for name, text in given.items()}


def _value(name: str, text: str, variable: Mapping[str, Any] | None) -> JSON:
    wanted = None if variable is None else variable["schema"].get("type")
    if wanted is None or "string" in ([wanted] if isinstance(wanted, str) else wanted):
        return text
    try:
        return bodies.parse(text.encode("utf-8"))
    except HttpProblem:
        raise Invalid(
            f"The variable '{name}' is given as JSON: its schema wants {wanted}.",
            code="schema_mismatch",
            pointer=f"/variables/{name}",
        ) from None
