"""An example of every type of event, in its public form: made from the fields, the same each time."""

import inspect
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import get_topic

from domain.configuration import Configuration
from domain.references import identify
from projections.events import public_event
from projections.recorded import LogEntry

ID = str(identify("example", "other"))
RECORDED_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
USAGE = {
    "input": 120,
    "cache_read": 0,
    "cache_write": 0,
    "output": 30,
    "reasoning": 0,
    "total": 150,
    "estimated": False,
}
VALUES: dict[str, Any] = {
    "acl": ["support"],
    "agent": ID,
    "base_url": "https://api.example.com/v1",
    "blame": "document",
    "boosts": [{"source": ID, "factor": 2.0}],
    "cause": "request",
    "categories": [{"name": "leave", "description": "Holidays and days off."}],
    "channel": "api",
    "code": "too_large",
    "content": "How do I reset my password?",
    "cost": {"amount": "0.00042", "currency": "USD", "unknown": False},
    "days": ["2025-10-31"],
    "description": "Answers what customers ask.",
    "duration_ms": 812.5,
    "embedding_model": ID,
    "error": {"code": "provider_timeout", "message": "The provider did not answer in time."},
    "expires_at": "2027-01-31T12:00:00.000000Z",
    "external_id": "handbook/passwords.md",
    "field": "api_key",
    "function": "search_handbook",
    "fusion": "rrf",
    "grounding": {"check": "similarity", "model": None, "threshold": 0.5, "least": 1.0, "on_failure": "flag"},
    "hint": "4f2a",
    "kind": "chat",
    "label": "live",
    "language": "en",
    "languages": {"detect": True, "answer": "asked"},
    "max_tokens": 400,
    "media_type": "text/markdown",
    "message": "The provider did not answer in time.",
    "mode": "hybrid",
    "model": ID,
    "model_id": ID,
    "multi_query": {"queries": 3, "model": None},
    "name": "support",
    "origin": "https://shop.example.com",
    "outcome": "completed",
    "post_processing": {"prompt": None, "model": None, "fields": {"type": "object", "properties": {"mood": {}}}},
    "principal": {"type": "api_key", "id": ID, "name": "website"},
    "prompt": ID,
    "provider": ID,
    "rating": "up",
    "reason": "The document has more pages than are read.",
    "recency": {"field": "changed_at", "half_life_days": 90.0, "weight": 0.5},
    "requests_per_minute": 600,
    "rerank": {"model": ID, "top_n": 30, "instruction": None},
    "retrieval_tool": ID,
    "rewrite": {"prompt": None, "model": ID},
    "roles": ["user"],
    "run": ID,
    "schedule": "0 3 * * *",
    "sha256": sha256(b"example").hexdigest(),
    "size": 4096,
    "source": ID,
    "sources": [ID],
    "subject": "customer-17",
    "tag": "support",
    "tags": ["support"],
    "target": {"kind": "prompt", "id": ID},
    "temperature": 0.2,
    "text": "Answer in one sentence: {{ question }}",
    "title": "Support",
    "to": "help",
    "translate": {"to": "English", "model": None},
    "turn": ID,
    "url": "https://example.com/handbook/passwords",
    "usage": USAGE,
}
"""What fields of these names hold."""

KINDS: dict[str, dict[str, Any]] = {
    "channel": {"type": "web", "config": {"origins": ["https://shop.example.com"]}},
    "knowledge_source": {"type": "files", "source": None},
    "model": {"model": "gpt-4o-mini"},
    "pipeline": {
        "steps": [{"name": "first", "parallel": [{"name": "summary", "type": "prompt", "tool": ID}]}],
        "output": "steps.first.summary.text",
    },
    "pipeline_run": {"error": {"kind": "ModelCallFailed", "code": "provider_failed"}},
    "provider": {"type": "openai_compatible"},
    "tool_server": {"type": "mcp"},
}
"""What they hold in events of these kinds."""

ALSO_NEEDED = {"tool_server": ("url",), "channel": ("config",)}
"""What their definitions need besides what is required of all."""

TYPES: dict[str, Any] = {"bool": True, "int": 3, "float": 1.5, "str": "text", "list": [], "dict": {}}
"""What others hold, by the beginning of their types."""


def example(aggregate: type[Aggregate], event: type[CanMutateAggregate[Any]], fields: dict[str, str]) -> dict[str, Any]:
    """Return an event of a type in its public form."""
    kind = get_topic(aggregate)
    made = object.__new__(event)
    for name, type_ in fields.items():
        value = definition(aggregate) if name == "definition" else value_of(kind, name, type_)
        object.__setattr__(made, name, value)
    first = get_topic(event) == f"{kind}.created"
    stream = identify(kind, "support")
    entry = LogEntry(
        position=4711,
        stream=stream,
        version=1 if first else 3,
        recorded_at=RECORDED_AT,
        event=made,
        topic=get_topic(event),
        actor_type="api_key",
        actor_id=ID,
        actor_name="website",
        correlation_id="4f1c2b",
        causation_id=None,
        reason="as support asked",
        hash=sha256(get_topic(event).encode()).digest(),
        size=0,
    )
    return public_event(entry, "support" if issubclass(aggregate, Configuration) else None)


def definition(aggregate: type[Aggregate]) -> dict[str, Any]:
    """Return a definition of a kind with what it needs, and its defaults."""
    assert issubclass(aggregate, Configuration)
    model, kind = aggregate.DEFINITION, aggregate.TOPIC
    needed = {
        field.alias or name: value_of(kind, field.alias or name, inspect.formatannotation(field.annotation))
        for name, field in model.model_fields.items()
        if field.is_required() or name in ("text", "retrieval_tool", *ALSO_NEEDED.get(kind, ()))
    }
    return model.model_validate(needed).model_dump(mode="json", by_alias=True)


def value_of(kind: str, name: str, type_: str) -> Any:
    """Return what a field may hold."""
    if name in KINDS.get(kind, {}):
        return KINDS[kind][name]
    general = next((value for part, value in TYPES.items() if type_.startswith(part)), "text")
    own = VALUES.get(name)
    return general if own is None or isinstance(general, list | dict) != isinstance(own, list | dict) else own
