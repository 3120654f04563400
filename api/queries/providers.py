"""Which models a provider offers, over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation, answer
from api.schemas import list_schema
from domain.references import identify


async def available_models(call: Call) -> Response:
    """Return what a provider's own list names, all of it."""
    position = await call.container.log.head()
    names = await call.container.offered_models.available(identify("provider", call.path("ref")))
    return answer({"items": [{"model": name} for name in names], "next_cursor": None}, position=position)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/providers/{ref}/available-models",
        side="queries",
        tag="providers",
        name="list_available_models",
        summary="Ask a provider which models it offers: each a `model` that a model can be made of",
        permission="providers:test",
        handler=available_models,
        answer=list_schema(
            {"type": "object", "required": ["model"], "properties": {"model": {"type": "string"}}},
        ),
    ),
)
