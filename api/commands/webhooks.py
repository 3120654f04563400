"""Sending a webhook everything from a position on once more, over HTTP."""

import orjson
from starlette.responses import Response

from api.body import read_object
from api.call import Call, Operation, json_response, replay_header
from api.commands.configurations import nothing_else
from domain.errors import Invalid
from domain.references import identify
from domain.webhook import Webhook


async def replay(call: Call) -> Response:
    """Ask for what comes from a position on to be sent again."""
    body, raw = await read_object(call.request)
    begin = body.pop("from", None)
    nothing_else(body)
    head = await call.container.log.head()
    if isinstance(begin, bool) or not isinstance(begin, int) or not 1 <= begin <= head + 1:
        raise Invalid(
            f"'from' is the position of the first event to be sent: 1 to {head + 1}.",
            code="invalid_position",
            pointer="/from",
        )
    webhook = await call.container.store.newest(Webhook, identify(Webhook.TOPIC, call.path("ref")))
    key = call.context(raw=raw).idempotency
    asked = await call.container.webhooks.replay(webhook.id, begin, key)
    answer = {"id": str(webhook.id), "version": webhook.version, "position": head, "from": asked.position + 1}
    headers = {"Magnet-Position": str(head)} | replay_header(asked.repeated)
    return json_response(orjson.dumps(answer), 202, headers)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/webhooks/{ref}/replay",
        side="commands",
        tag="webhooks",
        name="replay_webhook",
        summary="Send a webhook everything from a position on again",
        permission="webhooks:manage",
        handler=replay,
        body={
            "type": "object",
            "required": ["from"],
            "properties": {"from": {"type": "integer", "minimum": 1, "description": "The first event's position."}},
            "additionalProperties": False,
        },
        answer={"type": "object"},
        status=202,
    ),
)
