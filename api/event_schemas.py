"""JSON schemas of events: in their public form, and wrapped as others get them."""

from collections.abc import Mapping
from typing import Any

from projections.event_types import event_types
from projections.events import PERSONAL

TEXT = {"type": "string"}
TEXT_OR_NONE = {"type": ["string", "null"]}
ID = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
POSITION = {"type": "integer", "minimum": 1}

EVENT: Mapping[str, Any] = {
    "type": "object",
    "required": [
        "position", "id", "type", "kind", "aggregate_id", "name", "version", "recorded_at", "actor", "reason",
        "correlation_id", "causation_id", "summary", "data", "hash",
    ],
    "properties": {
        "position": {**POSITION, "description": "Its place in the log: without gaps, in the order of commits."},
        "id": {**ID, "description": "UUIDv5 of the aggregate's id and the version as decimal text."},
        "type": TEXT,
        "kind": TEXT,
        "aggregate_id": ID,
        "name": {**TEXT_OR_NONE, "description": "Of the thing, where it has one."},
        "version": {"type": "integer", "minimum": 1},
        "recorded_at": TIME,
        "actor": {
            "type": "object",
            "required": ["type", "id", "name"],
            "properties": {"type": TEXT, "id": TEXT, "name": TEXT},
        },
        "reason": TEXT_OR_NONE,
        "correlation_id": TEXT_OR_NONE,
        "causation_id": TEXT_OR_NONE,
        "summary": {**TEXT, "description": "What happened, in plain words."},
        "data": {
            "type": ["object", "null"],
            "description": "The event's own fields; what persons said stands as [personal]. null: see `dataref`.",
        },
        "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}  # fmt: skip

CLOUD_EVENT: Mapping[str, Any] = {
    "type": "object",
    "required": [
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "position", "data",
    ],
    "additionalProperties": False,
    "properties": {
        "specversion": {"const": "1.0"},
        "id": ID,
        "source": {**TEXT, "description": "The installation: /magnet/<its id>."},
        "type": TEXT,
        "subject": {**ID, "description": "The aggregate, which is also the message's key."},
        "time": TIME,
        "datacontenttype": {"const": "application/json"},
        "position": POSITION,
        "correlationid": TEXT,
        "causationid": TEXT,
        "dataref": {**TEXT, "description": "Where the event can be read, if it is too large for a message."},
        "data": EVENT,
    },
}  # fmt: skip


PLAIN: Mapping[str, str] = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "None": "null",
}  # fmt: skip


def fields_schema(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the fields of a type of event, as the catalogue has it; what an older Magnet left out is absent."""
    return {
        "type": ["object", "null"],
        "properties": {
            name: {
                **({"enum": [PERSONAL, None]} if name in event["personal"] else type_schema(written)),
                **({"description": event["meanings"][name]} if name in event["meanings"] else {}),
            }
            for name, written in event["fields"].items()
        },
    }


def type_schema(written: str) -> dict[str, Any]:
    """Return the schema of a type as it is written in the catalogue, such as `list[dict[str, int]] | None`."""
    either = written.split(" | ")
    if len(either) > 1:
        return {"anyOf": [type_schema(each) for each in either]}
    if written in PLAIN:
        return {"type": PLAIN[written]}
    if written.startswith("list["):
        return {"type": "array", "items": type_schema(written[5:-1])}
    if written.startswith("dict[str, "):
        return {"type": "object", "additionalProperties": type_schema(written[10:-1])}
    if written == "Any":
        return {}
    raise ValueError(f"There is no schema of '{written}' yet.")


def asyncapi_document(*, topic: str, servers: str | None) -> dict[str, Any]:
    """Return the AsyncAPI 3 document of what is sent to Kafka: one message for each type of event."""
    hosts = [] if servers is None else [part.strip() for part in servers.split(",")]
    messages = {
        each["type"]: {
            "name": each["type"],
            "title": each["description"],
            "contentType": "application/cloudevents+json",
            "payload": {
                "allOf": [
                    {"$ref": "#/components/schemas/CloudEvent"},
                    {
                        "type": "object",
                        "properties": {
                            "type": {"const": each["type"]},
                            "data": {"type": "object", "properties": {"data": fields_schema(each)}},
                        },
                    },
                ]
            },
            "bindings": {"kafka": {"key": ID}},
        }
        for each in event_types()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Magnet's events",
            "version": "0.1.0",
            "description": "The log, event by event, as CloudEvents 1.0 in structured JSON.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {f"kafka{number}": {"host": host, "protocol": "kafka"} for number, host in enumerate(hosts, 1)},
        "channels": {
            "events": {
                "address": topic,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"kafka": {"topic": topic}},
            }
        },
        "operations": {
            "sendEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "Every event of the log, in the order of its aggregate.",
            }
        },
        "components": {"schemas": {"CloudEvent": CLOUD_EVENT}, "messages": messages},
    }
