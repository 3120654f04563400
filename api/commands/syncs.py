"""Commands on syncs over HTTP: a source is synced, and that is stopped."""

from typing import Any
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation
from api.commands.configurations import nothing_else
from api.commands.documents import source_of
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from commands.conversations.conversation import principal_of
from commands.knowledge.sync import BeginSync, CancelSync
from domain.definition import Strict, parse
from domain.errors import NotFound
from domain.references import UUID_FORM


class SyncBody(Strict):
    """How a source is synced."""

    allow_mass_removal: bool = Field(
        False, description="Believe a source that lists nothing, or next to nothing, where it had much."
    )


async def begin(call: Call) -> Response:
    """Have a source synced."""
    body, message, raw = await call.body(required=False)
    asked = parse(SyncBody, body)
    source = source_of(call)
    context = call.context(reason=message, raw=raw)
    command = BeginSync(
        source=source,
        allow_mass_removal=asked.allow_mass_removal,
        if_match=call.if_match(),
        principal=principal_of(call.actor),
        channel=context.channel,
        attributes=context.attributes,
    )
    receipt = await call.container.bus.dispatch(command, context)
    location = f"/v1/knowledge-sources/{source}/syncs/{receipt.id}"
    return call.receipt(receipt, status=202, location=location)


async def cancel(call: Call) -> Response:
    """Have a sync stop."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    command = CancelSync(source=source_of(call), id=sync_of(call), if_match=call.if_match())
    return call.receipt(await call.dispatch(command, reason=message, raw=raw), status=202)


def sync_of(call: Call) -> UUID:
    """Return the id of the sync that is addressed; they have no names."""
    text = call.path("id")
    if not UUID_FORM.match(text):
        raise NotFound("There is no such sync.")
    return UUID(text)


RECEIPT: dict[str, Any] = {
    **PROBLEM_FREE_RECEIPT,
    "properties": {**PROBLEM_FREE_RECEIPT["properties"], "sync": {"description": "`{id, state}`"}},
}


def _command(path: str, name: str, summary: str, handler: Any, body: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/knowledge-sources/{{ref}}{path}",
        side="commands",
        tag="knowledge-sources",
        name=name,
        summary=summary,
        permission="sources:sync",
        handler=handler,
        body=body,
        body_required=False,
        answer=RECEIPT,
        status=202,
        if_match=True,
    )


OPERATIONS = (
    _command("/sync", "sync_knowledge_source", "Fetch what a source has now", begin, body_schema(SyncBody)),
    _command(
        "/syncs/{id}/cancel",
        "cancel_sync",
        "Stop a sync after what is under way",
        cancel,
        {"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
    ),
)
