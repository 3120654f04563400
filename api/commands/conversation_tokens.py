"""Tokens of conversations over HTTP: for pages that may not have a key."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field
from starlette.responses import Response

from api.call import Call
from api.commands.conversations import conversation_command, conversation_of
from api.schemas import PROBLEM_FREE_RECEIPT, body_schema
from commands.conversations.conversation import principal_of
from commands.conversations.conversation_tokens import OpenConversation
from domain.definition import Strict, parse
from domain.origins import Origin

SECONDS = 900
MOST_SECONDS = 3600


class TokenBody(Strict):
    """For whom a token is."""

    origin: Origin | None = Field(
        None, description="Of the pages that may use it, such as `https://shop.example.com`; null = no page of others."
    )
    expires_in: int = Field(SECONDS, ge=10, le=MOST_SECONDS, description="Seconds.")


async def make_token(call: Call) -> Response:
    """Make a token for a conversation."""
    body, reason, raw = await call.body(required=False)
    asked = parse(TokenBody, body)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=asked.expires_in)
    command = OpenConversation(
        id=conversation_of(call),
        principal=principal_of(call.actor),
        expected=call.if_match(),
        origin=asked.origin,
        expires_at=ends,
    )
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw), status=201)


TOKEN: Mapping[str, Any] = {
    **PROBLEM_FREE_RECEIPT,
    "properties": {
        **PROBLEM_FREE_RECEIPT["properties"],
        "token": {"type": ["string", "null"]},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}

OPERATIONS = (
    conversation_command(
        "/{id}/tokens",
        "make_conversation_token",
        "Make a short-lived token with which a page talks in this conversation, and does nothing else; shown once",
        make_token,
        body=body_schema(TokenBody),
        body_required=False,
        answer=TOKEN,
        status=201,
    ),
)
