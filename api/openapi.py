"""The OpenAPI document, made from the operations themselves."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from api.call import Operation
from api.permissions import PUBLIC
from api.schemas import PROBLEM, PROBLEM_FREE_RECEIPT

PATH_PARAMETER = re.compile(r"\{(\w+)\}")
DESCRIPTION = """Providers, models, prompts and more as event-sourced things: every change is an event in one log.

A **command** answers a receipt: the thing's `id`, its `version` (also as `ETag`) and the log `position` of its
last event. A **query** with `Magnet-Min-Position` waits until what it reads has passed that position.
"""
TEXT = {"type": "string"}
RECEIPT = frozenset(PROBLEM_FREE_RECEIPT["required"])
BEARER = "An API key: mgn_..., or in one conversation a token of it: mct_..."
HEADERS = {
    "Idempotency-Key": "The same key with the same body gives the first answer again and changes nothing.",
    "If-Match": 'The version that the thing must have, as `"3"`; another is a 412.',
}
MIN_POSITION = {
    "name": "Magnet-Min-Position",
    "in": "header",
    "schema": {"type": "integer", "minimum": 0},
    "description": "A receipt's position: waits (5 s at most) until what is read has passed it; else 503.",
}
TOLD = {
    "Request-Id": "Stands in logs, and with each event as `correlation_id`.",
    "Magnet-Position": "The place in the log that was reached.",
    "ETag": "The version of the thing, for `If-Match`.",
    "Location": "The address of what was made.",
    "Idempotent-Replay": "`true` where this is the first answer to this Idempotency-Key again.",
}
"""Headers of answers."""


def openapi_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document."""
    components: dict[str, Any] = {"Problem": dict(PROBLEM)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Magnet",
            "version": "0.1.0",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({_tag(operation) for operation in operations})],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {name: {"schema": TEXT, "description": text} for name, text in TOLD.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": BEARER},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _tag(operation: Operation) -> str:
    return operation.tag if operation.side == "both" else f"{operation.side}: {operation.tag}"


def _operation(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "description": "Id or name." if name == "ref" else name,
        }
        for name in PATH_PARAMETER.findall(operation.path)
    ]
    parameters += [
        {"name": each.name, "in": "query", "schema": dict(each.schema), "description": each.description}
        for each in operation.parameters
    ]
    parameters += [
        {"name": each.name, "in": "header", "schema": dict(each.schema), "description": each.description}
        for each in operation.headers
    ]
    if operation.side == "commands":
        wanted = ["Idempotency-Key", *(["If-Match"] if operation.if_match else [])]
        parameters += [
            {"name": name, "in": "header", "schema": {"type": "string"}, "description": HEADERS[name]}
            for name in wanted
        ]
    if operation.side == "queries":
        parameters.append(dict(MIN_POSITION))
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(operation)],
        "parameters": parameters,
        "responses": {
            str(operation.status): {
                "description": "Done.",
                "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _told(operation)},
                "content": {
                    media: {"schema": _lifted(operation.answer, components) if media == "application/json" else TEXT}
                    for media in operation.media
                },
            },
            "default": {
                "description": "A problem (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
        "x-permission": operation.permission,
    }
    if operation.permission != PUBLIC:
        described["security"] = [{"bearer": []}, {"header": []}]
    if operation.body is not None:
        media = "application/merge-patch+json" if operation.method == "PATCH" else "application/json"
        schema = _lifted(operation.body() if callable(operation.body) else operation.body, components)
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {
                media: {"schema": schema},
                **({"application/json": {"schema": schema}} if operation.method == "PATCH" else {}),
                **({"multipart/form-data": {"schema": dict(operation.form)}} if operation.form else {}),
            },
        }
    return described


def _told(operation: Operation) -> list[str]:
    """Return the headers that an answer has."""
    told = ["Request-Id"]
    if operation.side == "queries" or set(operation.answer.get("required", ())) >= RECEIPT:
        told.append("Magnet-Position")
    if operation.side == "commands":
        told.append("Idempotent-Replay")
        told += ["ETag"] if set(operation.answer.get("required", ())) >= RECEIPT else []
        told += ["Location"] if operation.status == HTTPStatus.CREATED else []
    return told


def _lifted(schema: Any, components: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with the definitions that it brings along moved to the components."""
    if isinstance(schema, dict):
        lifted = {key: _lifted(value, components) for key, value in schema.items() if key != "$defs"}
        for name, definition in schema.get("$defs", {}).items():
            if name not in components:
                components[name] = {}
                components[name] = _lifted(definition, components)
        return lifted
    return [_lifted(item, components) for item in schema] if isinstance(schema, list) else schema  # type: ignore[return-value]
