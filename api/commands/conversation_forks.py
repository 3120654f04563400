"""Forks of conversations over HTTP, also to say something otherwise and have it answered anew."""

from typing import Any

from pydantic import Field, model_validator
from starlette.responses import Response

from api.call import Call
from api.commands.conversations import (
    LONGEST,
    MESSAGE,
    DeliveryBody,
    conversation_command,
    conversation_of,
    delivered,
)
from api.schemas import PROBLEM_FREE_RECEIPT, body_schema
from commands.conversations.forking import Forking
from domain.definition import parse


class ForkBody(DeliveryBody):
    """Where a conversation is forked, and what is said there instead."""

    message_id: str | None = Field(
        None,
        max_length=36,
        description="The last message that comes along; null = all. After a person's, its answer is left out. With "
        "`content`: the person's message that is said otherwise; null = the last.",
    )
    content: str | None = Field(None, min_length=1, max_length=LONGEST, description="What is said instead.")
    subject: str | None = Field(
        None, min_length=1, max_length=200, description="Whom it is held for, where its origin is held for nobody."
    )

    @model_validator(mode="after")
    def _an_answer_is_of_something(self) -> "ForkBody":
        if self.content is None and (self.stream or self.background):
            raise ValueError("stream and background go with content: without it nothing is answered")
        return self


async def fork(call: Call) -> Response:
    """Begin a conversation with what was said in another one; with `content`, go on there in other words."""
    body, reason, raw = await call.body(required=False)
    asked = parse(ForkBody, body)
    container = call.container
    forking = Forking(bus=container.bus, things=container.store, turns=container.turns)
    message = None if asked.message_id is None else asked.message_id.lower()
    origin, context = conversation_of(call), call.context(reason=reason, raw=raw)
    where: dict[str, Any] = {"subject": asked.subject, "expected": call.if_match()}
    if asked.content is None:
        receipt = await forking.fork(origin, message, context, **where)
        return call.receipt(receipt, status=201, location=f"/v1/conversations/{receipt.id}")
    await call.wait_for_passages()
    made = await forking.edit(origin, message, asked.content, context, background=asked.background, **where)
    return await delivered(call, asked, made)


OPERATIONS = (
    conversation_command(
        "/{id}/fork",
        "fork_conversation",
        "Begin a conversation with what was said in this one up to a message; with `content`, say something otherwise",
        fork,
        body=body_schema(ForkBody),
        body_required=False,
        answer={"anyOf": [PROBLEM_FREE_RECEIPT, MESSAGE]},
        status=201,
    ),
)
