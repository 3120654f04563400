"""Trying a provider out over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation
from api.commands.configurations import nothing_else
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT
from commands.models.provider import TryProvider
from domain.references import identify


async def try_provider(call: Call) -> Response:
    """Call a provider, and say whether it answers."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    command = TryProvider(id=identify("provider", call.path("ref")), if_match=call.if_match())
    receipt = await call.container.provider_trials.carry_out(command, call.context(reason=message, raw=raw))
    return call.receipt(receipt)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/providers/{ref}/test",
        side="commands",
        tag="providers",
        name="test_provider",
        summary="Call a provider: a problem says what is wrong with its address, key or API",
        permission="providers:test",
        handler=try_provider,
        body={"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
        body_required=False,
        if_match=True,
        answer={
            **PROBLEM_FREE_RECEIPT,
            "properties": {
                **PROBLEM_FREE_RECEIPT["properties"],
                "ok": {"type": "boolean"},
                "models": {"type": "integer", "description": "How many models it offers."},
                "duration_ms": {"type": "number"},
            },
        },
    ),
)
