"""JSON schemas of bodies and answers, made from the definitions themselves."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from domain.configuration import Configuration

MESSAGE = {"type": "string", "minLength": 1, "maxLength": 1000, "description": "Why; it is recorded with the event."}
NAME = {
    "type": "string",
    "pattern": "^[a-z0-9][a-z0-9_.-]{0,62}$",
    "description": "Unique among its kind, and never changed.",
}
PROBLEM_FREE_RECEIPT: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "version", "position"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "version": {"type": "integer", "minimum": 1},
        "position": {"type": "integer", "minimum": 0},
    },
}
PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message", "code"],
                "properties": {
                    "pointer": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}


def definition_schema(kind: type[Configuration]) -> dict[str, Any]:
    """Return the schema of a kind's definition; references may be given as an id, a name, or both."""
    return body_schema(kind.DEFINITION)


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a body that a model reads; what it consists of stands among the components."""
    return model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")


def create_schema(kind: type[Configuration]) -> dict[str, Any]:
    """Return the schema of the body that creates a thing."""
    schema = definition_schema(kind)
    schema["properties"] = {"name": NAME, **schema["properties"], **_secrets(kind), "message": MESSAGE}
    schema["required"] = ["name", *schema.get("required", [])]
    return schema


def patch_schema(kind: type[Configuration]) -> dict[str, Any]:
    """Return the schema of a merge patch: every field may be left out, or null for its default."""
    schema = definition_schema(kind)
    schema.pop("required", None)
    schema["title"] = f"{schema.get('title', kind.__name__)}Patch"
    schema["properties"] = {
        **{name: {"anyOf": [value, {"type": "null"}]} for name, value in schema["properties"].items()},
        **_secrets(kind),
        "message": MESSAGE,
    }
    return schema


def document_schema(kind: type[Configuration]) -> dict[str, Any]:
    """Return the schema of what a GET shows."""
    own = definition_schema(kind)
    shown: dict[str, Any] = {
        "id": {"type": "string", "format": "uuid"},
        "name": NAME,
        **{name: value for name, value in own["properties"].items() if name not in _references(kind)},
        **{name: {"description": "`{id, name}` in the place of each reference."} for name in _references(kind)},
        "version": {"type": "integer"},
        "archived": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    }
    if kind.LABELLED:
        shown["live_version"] = {"type": "integer"}
        shown["draft"] = {"type": "boolean", "description": "Whether the newest version differs from the live one."}
        shown["labels"] = {"type": "object", "additionalProperties": {"type": "integer"}}
    return {"type": "object", "properties": shown, "$defs": own.get("$defs", {})}


def list_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a page of a list."""
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {"items": {"type": "array", "items": item}, "next_cursor": {"type": ["string", "null"]}},
    }


def _references(kind: type[Configuration]) -> set[str]:
    return {path.partition("/")[0] for path in kind.DEFINITION.REFERENCES}


def _secrets(kind: type[Configuration]) -> dict[str, Any]:
    secret = {
        "type": ["string", "null"],
        "maxLength": 8000,
        "writeOnly": True,
        "description": "Empty keeps, null deletes.",
    }
    found: dict[str, Any] = {}
    for declared in kind.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        found[name] = {"type": ["object", "null"], "additionalProperties": secret} if many else secret
    return found
