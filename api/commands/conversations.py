"""Conversations over HTTP: beginning one, what is said in it, and what else may be done with it."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import Field, model_validator
from starlette.responses import Response

from api import turn_streams
from api.call import Call, Operation, replay_header
from api.commands.attachments import FORM, AttachmentBody, files_in, message_body
from api.commands.configurations import nothing_else
from api.cross_origin import origins_of_conversation
from api.errors import HttpProblem
from api.schemas import PROBLEM_FREE_RECEIPT, body_schema
from commands.conversations.conversation import BeginConversation, CloseConversation, GiveFeedback, principal_of
from commands.conversations.turn_work import Begun, Confirm, Say
from domain.channel import Channel
from domain.channels import ChannelName
from domain.conversation_files import MOST_FILES
from domain.conversation_queue import OnBusy
from domain.definition import JSON, Reference, Strict, parse
from domain.errors import NotFound
from domain.references import UUID_FORM, identify

LONGEST = 200_000


class BeginBody(Strict):
    """With whom a conversation begins, and for whom."""

    agent: Reference = Field(description="Its id or name; the version that is live answers.")
    subject: str | None = Field(None, min_length=1, max_length=200, description="Whom it is held for.")
    channel: ChannelName | None = Field(
        None, description="The way by which it is held, such as `slack`; the agent may have settings for it."
    )
    variables: dict[str, JSON] = Field(
        default_factory=dict, description="What fills the variables of that name of prompts among the actions."
    )


class DeliveryBody(Strict):
    """How an answer is wanted."""

    stream: bool = Field(False, description="Answer with server-sent events.")
    background: bool = Field(False, description="Answer at once with 202; the turn's stream tells the rest.")

    @model_validator(mode="after")
    def _one_form(self) -> "DeliveryBody":
        if self.stream and self.background:
            raise ValueError("ask for one of stream and background")
        return self


class MessageBody(DeliveryBody):
    """What a person says."""

    content: str = Field(min_length=1, max_length=LONGEST)
    on_busy: OnBusy | None = Field(
        None,
        description="While a turn runs: refuse this (409), answer it after that, or instead; null = as the agent's set.",
    )
    attachments: list[AttachmentBody] = Field(
        default_factory=list, max_length=MOST_FILES, description="Files: their text is kept, and found here alone."
    )


class ConfirmationBody(DeliveryBody):
    """What a person decided."""

    id: str = Field(max_length=36, description="Of the confirmation that was asked for.")
    approved: bool
    comment: str | None = Field(
        None, min_length=1, max_length=10_000, description="Why it is declined: the agent is told."
    )

    @model_validator(mode="after")
    def _explains_a_refusal(self) -> "ConfirmationBody":
        if self.comment is not None and self.approved:
            raise ValueError("a comment goes with declining")
        return self


class FeedbackBody(Strict):
    """What a person thinks of an answer."""

    message_id: str = Field(max_length=36, description="The assistant's message.")
    rating: Literal["up", "down"]
    reason: str | None = Field(None, min_length=1, max_length=100, description="A word to count by.")
    comment: str | None = Field(None, min_length=1, max_length=10_000)


async def begin(call: Call) -> Response:
    """Begin a conversation."""
    body, message, raw = await call.body()
    asked = parse(BeginBody, body)
    command = BeginConversation(
        id=uuid4(),
        agent=identify("agent", asked.agent),
        subject=asked.subject,
        principal=principal_of(call.actor),
        variables=asked.variables,
        channel=asked.channel,
    )
    receipt = await call.dispatch(command, reason=message, raw=raw)
    return call.receipt(receipt, status=201, location=f"/v1/conversations/{receipt.id}")


async def say(call: Call) -> Response:
    """Say something, and have it answered."""
    body, reason, raw, files = await message_body(call)
    asked = parse(MessageBody, body)
    await call.wait_for_passages()
    given = files_in(asked.attachments) if files is None else files
    if given and not await may_give_files(call):
        raise HttpProblem(403, "forbidden", "Visitors of this page give no files.")
    command = Say(
        conversation=conversation_of(call),
        content=asked.content,
        on_busy=asked.on_busy,
        background=asked.background,
        files=await call.container.attachments.read(given),
        expected=call.if_match(),
    )
    made = await call.container.turns.begin(command, call.context(reason=reason, raw=raw))
    return await delivered(call, asked, made)


async def may_give_files(call: Call) -> bool:
    """Return whether who asks may give files: visitors of a page where its channel lets them."""
    if call.actor.type != Channel.TOPIC:
        return True
    channel = await call.container.store.newest(Channel, UUID(call.actor.id))
    return bool(channel.config.get("files"))


async def confirm(call: Call) -> Response:
    """Agree to what an agent wants to do, or decline it."""
    body, reason, raw = await call.body()
    asked = parse(ConfirmationBody, body)
    await call.wait_for_passages()
    command = Confirm(
        conversation=conversation_of(call),
        confirmation=asked.id.lower(),
        approved=asked.approved,
        comment=asked.comment,
        expected=call.if_match(),
        background=asked.background,
    )
    turns = call.container.turns
    made = await turns.decide(command, call.context(reason=reason, raw=raw))
    if made.waits and not asked.stream:
        return turn_streams.waiting(call, await turns.end(made), made)
    return await delivered(call, asked, made)


async def retry(call: Call) -> Response:
    """Have the newest turn tried again."""
    body, reason, raw = await call.body(required=False)
    asked = parse(DeliveryBody, body)
    await call.wait_for_passages()
    command = Say(
        conversation=conversation_of(call),
        retry=str(turn_of(call)),
        expected=call.if_match(),
        background=asked.background,
    )
    made = await call.container.turns.begin(command, call.context(reason=reason, raw=raw))
    return await delivered(call, asked, made)


async def delivered(call: Call, asked: DeliveryBody, made: Begun) -> Response:
    """Answer with what comes of a turn, in the form that is wanted."""
    turns = call.container.turns
    if asked.background:
        return turn_streams.begun(call, made)
    if asked.stream:
        headers = {"Magnet-Position": str(made.receipt.position), **replay_header(made.repeated)}
        return turn_streams.streamed(call, turns.follow(made), made.leg, headers)
    return turn_streams.answered(call, await turns.end(made), repeated=made.repeated)


async def cancel(call: Call) -> Response:
    """Stop a turn."""
    body, reason, raw = await call.body(required=False)
    nothing_else(body)
    context = call.context(reason=reason, raw=raw)
    ended, repeated = await call.container.turns.cancel(
        conversation_of(call), turn_of(call), context, expected=call.if_match()
    )
    return turn_streams.message(turn_streams.told_to(call, ended), repeated=repeated)


async def give_feedback(call: Call) -> Response:
    """Say what one thinks of an answer."""
    body, reason, raw = await call.body()
    asked = parse(FeedbackBody, body)
    command = GiveFeedback(
        id=conversation_of(call),
        principal=principal_of(call.actor),
        expected=call.if_match(),
        message=asked.message_id.lower(),
        rating=asked.rating,
        reason=asked.reason,
        comment=asked.comment,
    )
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw))


async def close(call: Call) -> Response:
    """Close a conversation."""
    body, reason, raw = await call.body(required=False)
    nothing_else(body)
    command = CloseConversation(id=conversation_of(call), principal=principal_of(call.actor), expected=call.if_match())
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw))


def conversation_of(call: Call) -> UUID:
    """Return the id of the conversation that is addressed; they have no names."""
    return _id(call, "id", "conversation")


def turn_of(call: Call) -> UUID:
    """Return the id of the turn that is addressed."""
    return _id(call, "turn", "turn in this conversation")


def _id(call: Call, name: str, word: str) -> UUID:
    text = call.path(name)
    if not UUID_FORM.match(text):
        raise NotFound(f"There is no such {word}.")
    return UUID(text)


MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["turn", "message", "run_id", "id", "version", "position"],
    "properties": {
        "turn": {
            "type": "object",
            "properties": {"id": {"type": "string", "format": "uuid"}, "state": {"type": "string"}},
        },
        "message": {
            "type": "object",
            "required": ["id", "role", "content", "citations", "tool_calls"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "role": {"const": "assistant"},
                "content": {"type": "string"},
                "citations": {"type": "array", "items": {"type": "object"}},
                "tool_calls": {"type": "array", "items": {"type": "object"}},
            },
        },
        "run_id": {"type": "string", "format": "uuid"},
        "code": {"type": "string", "description": "`blocked` where a guardrail kept it from being answered, or said."},
        "confirmations": {"type": "array", "items": {"type": "object"}, "description": "What the turn waits for."},
        "usage": {"type": "object"},
        "cost": {"type": "object"},
        **PROBLEM_FREE_RECEIPT["properties"],
    },
}


BY_TOKEN: Mapping[str, Any] = {"by_token": True, "origins": origins_of_conversation}
"""What is open to the tokens of a conversation, and to the pages that they are for."""


def conversation_command(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    """Return an operation on conversations."""
    return Operation(
        method="POST",
        path=f"/v1/conversations{path}",
        side="commands",
        tag="conversations",
        name=name,
        summary=summary,
        handler=handler,
        **{
            "permission": "conversations:use",
            "answer": PROBLEM_FREE_RECEIPT,
            "if_match": "{id}" in path,
            **more,
        },
    )


OPERATIONS = (
    conversation_command(
        "", "begin_conversation", "Begin a conversation with an agent", begin, body=body_schema(BeginBody), status=201
    ),
    conversation_command(
        "/{id}/messages",
        "say_in_conversation",
        "Say something: a plain answer, with `stream` server-sent events, with `background` 202 at once",
        say,
        body=body_schema(MessageBody),
        form=FORM,
        answer=MESSAGE,
        **BY_TOKEN,
    ),
    conversation_command(
        "/{id}/confirmations",
        "confirm_in_conversation",
        "Agree to what an agent wants to do, or decline it; the last decision lets the turn go on",
        confirm,
        body=body_schema(ConfirmationBody),
        answer=MESSAGE,
        **BY_TOKEN,
    ),
    conversation_command(
        "/{id}/turns/{turn}/retry",
        "retry_turn",
        "Try the newest turn again, which has no answer",
        retry,
        body=body_schema(DeliveryBody),
        body_required=False,
        answer=MESSAGE,
        **BY_TOKEN,
    ),
    conversation_command(
        "/{id}/turns/{turn}/cancel",
        "cancel_turn",
        "Stop a turn, wherever it is carried out",
        cancel,
        answer=MESSAGE,
        **BY_TOKEN,
    ),
    conversation_command(
        "/{id}/feedback",
        "give_feedback",
        "Say what one thinks of an answer; also while a turn runs",
        give_feedback,
        body=body_schema(FeedbackBody),
        **BY_TOKEN,
    ),
    conversation_command(
        "/{id}/close", "close_conversation", "Close a conversation: nothing more is said in it", close
    ),
)
