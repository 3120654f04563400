"""How far webhooks are, over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation, answer
from domain.errors import NotFound
from domain.references import identify
from domain.webhook import Webhook

TIME_OR_NONE = {"type": ["string", "null"], "format": "date-time"}


async def delivery(call: Call) -> Response:
    """Return where a webhook stands."""
    id = identify(Webhook.TOPIC, call.path("ref"))
    if await call.container.store.version_of(Webhook, id) is None:
        raise NotFound("There is no such webhook.")
    return answer(await call.container.webhooks.status(id), position=await call.container.log.head())


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/webhooks/{ref}/delivery",
        side="queries",
        tag="webhooks",
        name="get_delivery_of_webhook",
        summary="See how far a webhook is: position, lag, what went wrong last",
        permission="webhooks:read",
        handler=delivery,
        answer={
            "type": "object",
            "properties": {
                "position": {"type": ["integer", "null"], "description": "Everything up to it was sent or not wanted."},
                "lag": {"type": ["integer", "null"], "description": "Events of the log after it."},
                "delivered": {"type": "integer"},
                "last_delivered_at": TIME_OR_NONE,
                "attempts": {"type": "integer", "description": "Of the present event, in vain so far."},
                "retry_at": TIME_OR_NONE,
                "last_status": {"type": ["integer", "null"]},
                "last_error": {"type": ["string", "null"]},
                "dead_letters": {"type": "integer"},
            },
        },
    ),
)
