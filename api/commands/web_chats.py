"""Chats on web pages over HTTP: conversations of people who have no key."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation
from api.commands.conversation_tokens import SECONDS, TOKEN
from api.cross_origin import origins_of_chat, web_chat_of
from api.permissions import PUBLIC
from api.schemas import body_schema
from commands.channels.channel_standing import actor_of
from commands.channels.web_chat import Visit
from commands.conversations.conversation_tokens import HELD
from domain.definition import Strict, parse
from domain.errors import NotFound
from domain.references import UUID_FORM


class VisitBody(Strict):
    """Who comes, and whether they go on."""

    visitor: str = Field(
        pattern=r"^[A-Za-z0-9_-]{32,86}$", description="A random secret that the browser made once, and keeps."
    )
    conversation: str | None = Field(None, max_length=36, description="Theirs, to go on with; null = begin one.")


async def visit(call: Call) -> Response:
    """Begin a conversation, or go on with one, and give its token."""
    channel = await web_chat_of(call.container, call.request)
    client = call.request.client
    address = "" if client is None else client.host
    call.container.chat_rates.take(f"{channel.id} {address}", channel.config["visits_per_minute"])
    body, _, raw = await call.body()
    asked = parse(VisitBody, body)
    if asked.conversation is not None and not UUID_FORM.match(asked.conversation):
        raise NotFound("There is no such conversation.")
    call.actor = actor_of(channel)
    made = Visit(
        channel=channel,
        origin=call.request.headers["origin"],
        visitor=asked.visitor,
        conversation=None if asked.conversation is None else UUID(asked.conversation),
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=SECONDS),
    )
    receipt = await call.container.web_chats.visit(made, call.context(raw=raw, channel=HELD))
    return call.receipt(receipt, status=201, location=f"/v1/conversations/{receipt.id}")


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/channels/{ref}/conversations",
        side="commands",
        tag="channels",
        name="visit_web_chat",
        summary="Of a channel of the type web: begin a conversation, or go on with one, for pages of its origins",
        permission=PUBLIC,
        handler=visit,
        body=body_schema(VisitBody),
        answer=TOKEN,
        status=201,
        origins=origins_of_chat,
    ),
)
