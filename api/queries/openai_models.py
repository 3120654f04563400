"""What a `model` may be, as OpenAI lists models: models, agents, RAG tools and prompts."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from api.call import Call, Operation, answer, parse_time
from api.openai_forms.refusals import refused
from api.queries.configurations import READ_MODEL
from commands.completion import PREFIXES, aim, no_such
from domain.model import Model
from projections.configurations import everything

ENTRY = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string", "description": "A model's provider, or magnet."},
    },
}


async def list_models(call: Call) -> Response:
    """Return everything that a `model` may be, models first."""
    position = await call.wait_for_read_model(READ_MODEL)
    found = [entry async for entry in entries(call)]
    return answer({"object": "list", "data": found}, position=position, headers={"x-request-id": call.request_id})


async def get_model(call: Call) -> Response:
    """Return one of them."""
    position = await call.wait_for_read_model(READ_MODEL)
    kind, id = aim(call.path("model"))
    row = await call.container.view.get(id)
    shown = None if row is None or row.kind != kind.TOPIC or row.archived else orjson.loads(row.document)
    if shown is None or not answers(shown, kind is Model):
        raise no_such(kind)
    prefix = next((prefix for prefix, each in PREFIXES.items() if each is kind), None)
    return answer(entry(shown, prefix), position=position, headers={"x-request-id": call.request_id})


async def entries(call: Call) -> AsyncIterator[dict[str, Any]]:
    """Yield all that can answer or embed."""
    kinds = [(None, Model.TOPIC), *((prefix, kind.TOPIC) for prefix, kind in PREFIXES.items())]
    for prefix, kind in kinds:
        async for item in everything(call.container.view, kind):
            if answers(item, prefix is None):
                yield entry(item, prefix)


def answers(shown: Mapping[str, Any], is_model: bool) -> bool:
    """Return whether this can be asked here: a model that reranks can't, nor one that is switched off."""
    return not is_model or (shown["active"] and shown["kind"] in ("chat", "embedding"))


def entry(shown: Mapping[str, Any], prefix: str | None) -> dict[str, Any]:
    """Return an entry of the list."""
    return {
        "id": shown["name"] if prefix is None else f"{prefix}:{shown['name']}",
        "object": "model",
        "created": int(parse_time(shown["created_at"], "").timestamp()),
        "owned_by": shown["provider"]["name"] if prefix is None else "magnet",
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/openai/v1/models",
        side="queries",
        tag="openai",
        name="list_openai_models",
        summary="List what can answer or embed, in OpenAI's form",
        permission="configuration:read",
        handler=list_models,
        refused=refused,
        answer={
            "type": "object",
            "required": ["object", "data"],
            "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": ENTRY}},
        },
    ),
    Operation(
        method="GET",
        path="/openai/v1/models/{model}",
        side="queries",
        tag="openai",
        name="get_openai_model",
        summary="Read an entry of the list of what can answer or embed, in OpenAI's form",
        permission="configuration:read",
        handler=get_model,
        refused=refused,
        answer=ENTRY,
    ),
)
