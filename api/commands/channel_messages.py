"""Channels over HTTP: what Slack tells, and what a system of one's own posts; each let in by its signature."""

from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
import structlog
from pydantic import Field
from starlette.responses import Response

from api.body import parse as parse_json
from api.body import read_bytes
from api.call import Call, Operation, json_response
from api.permissions import PUBLIC
from api.schemas import body_schema
from commands.channels.channel_standing import open_channel
from commands.channels.channels import Decided, Said, begun_shown
from domain.channel import Channel
from domain.definition import Strict, parse
from domain.errors import Busy, DomainError, Invalid, Unavailable
from domain.references import identify

log = structlog.get_logger(__name__)
LONGEST = 200_000


class MessageBody(Strict):
    """Something that a person said."""

    type: Literal["message"] = "message"
    thread: str = Field(min_length=1, max_length=300, description="What your system calls the conversation.")
    text: str = Field(min_length=1, max_length=LONGEST)
    subject: str | None = Field(None, min_length=1, max_length=200, description="Who said it, in a new conversation.")


class DecisionBody(Strict):
    """What a person decided."""

    type: Literal["decision"]
    thread: str = Field(min_length=1, max_length=300)
    confirmation: str = Field(max_length=36)
    approved: bool
    subject: str | None = Field(None, min_length=1, max_length=200, description="Who decided.")
    comment: str | None = Field(None, min_length=1, max_length=10_000, description="Why it is declined.")


async def slack_event(call: Call) -> Response:
    """Take what Slack tells: messages for the app, and its question whether this is the place."""
    channel, raw = await addressed(call, "slack")
    await call.container.channel_doors.must_be_slacks(channel, call.request.headers, raw)
    payload = object_in(raw)
    if payload.get("type") == "url_verification" and isinstance(payload.get("challenge"), str):
        return json_response(orjson.dumps({"challenge": payload["challenge"]}))
    said = call.container.channel_doors.said_in_slack(payload)
    return taken({}) if said is None else await heard(call, channel, said)


async def slack_interaction(call: Call) -> Response:
    """Take a button that was pressed in Slack."""
    channel, raw = await addressed(call, "slack")
    await call.container.channel_doors.must_be_slacks(channel, call.request.headers, raw)
    try:
        [told] = parse_qs(raw.decode(), max_num_fields=20)["payload"]
    except (ValueError, KeyError):
        raise Invalid("A form with one field payload is expected.", code="invalid_form") from None
    decided = call.container.channel_doors.decided_in_slack(object_in(told.encode()))
    if decided is None:
        return taken({})
    try:
        begun = await call.container.channels.decide(channel, decided, call.request_id)
    except (Unavailable, Busy):
        raise
    except DomainError as error:  # such as that another person was faster: Slack would only ask again
        return refused(channel, error)
    return taken(begun_shown(begun))


async def own_system(call: Call) -> Response:
    """Take a message or a decision from a system of one's own."""
    channel, raw = await addressed(call, "webhook")
    id = await call.container.channel_doors.must_be_signed(channel, call.request.headers, raw)
    payload = object_in(raw)
    if payload.get("type") == "decision":
        body = parse(DecisionBody, payload)
        decided = Decided(
            thread=body.thread,
            message_id=id,
            confirmation=body.confirmation.lower(),
            approved=body.approved,
            person=body.subject,
            comment=None if body.approved else body.comment,
        )
        begun = await call.container.channels.decide(channel, decided, call.request_id)
    else:
        message = parse(MessageBody, payload)
        said = Said(thread=message.thread, message_id=id, text=message.text, person=message.subject)
        found = await call.container.channels.hear(channel, said, call.request_id)
        assert found is not None
        begun = found
    return json_response(orjson.dumps(begun_shown(begun)), 202)


async def heard(call: Call, channel: Channel, said: Said) -> Response:
    """Have a message answered that Slack told of; what can't be is on record here, and Slack does not tell it again."""
    try:
        begun = await call.container.channels.hear(channel, said, call.request_id)
    except (Unavailable, Busy):
        raise
    except DomainError as error:
        return refused(channel, error)
    return taken(begun_shown(begun))


async def addressed(call: Call, type: str) -> tuple[Channel, bytes]:
    """Return the channel of a type that is addressed, and the bytes that are signed; or raise NotFound."""
    channel = await open_channel(call.container.store, identify(Channel.TOPIC, call.path("ref")), type)
    return channel, await read_bytes(call.request)


def object_in(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a body."""
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise Invalid("A JSON object is expected.", code="dict_type")
    return value


def taken(shown: Any) -> Response:
    """Return that it was taken."""
    return json_response(orjson.dumps(shown))


def refused(channel: Channel, error: DomainError) -> Response:
    """Return that it was taken and can't be done, which the log of this process has."""
    log.warning("channel_message_refused", channel=channel.name, code=error.error_code)
    return taken({"refused": error.error_code})


TAKEN = {"type": "object", "properties": {"conversation": {"type": ["string", "null"]}, "turn": {}}}


def _operation(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/channels/{{ref}}/{path}",
        side="commands",
        tag="channels",
        name=name,
        summary=summary,
        permission=PUBLIC,
        handler=handler,
        answer=TAKEN,
        **more,
    )


OPERATIONS = (
    _operation(
        "slack/events",
        "take_slack_event",
        "Of a channel of the type slack: where its Events API posts, signed by Slack",
        slack_event,
        body={"type": "object"},
    ),
    _operation(
        "slack/interactions",
        "take_slack_interaction",
        "Of a channel of the type slack: where its buttons post, signed by Slack",
        slack_interaction,
    ),
    _operation(
        "messages",
        "take_channel_message",
        "Of a channel of the type webhook: a message or a decision, signed with the channel's secret",
        own_system,
        body={"oneOf": [body_schema(MessageBody), body_schema(DecisionBody)]},
        status=202,
    ),
)
