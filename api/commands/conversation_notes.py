"""What is noted about conversations over HTTP: titles, reviewers' notes, and that answers were copied."""

from pydantic import Field
from starlette.responses import Response

from api.call import Call
from api.commands.conversations import conversation_command, conversation_of
from api.permissions import allowed
from api.schemas import PROBLEM_FREE_RECEIPT, body_schema
from commands.conversations.conversation import principal_of
from commands.conversations.conversation_notes import NoteCopied, NoteReview, TitleConversation
from domain.conversation_notes import LONGEST_TITLE
from domain.definition import Strict, parse


class TitleBody(Strict):
    """What a conversation is called."""

    title: str | None = Field(min_length=1, max_length=LONGEST_TITLE, description="null = nothing.")


class NoteBody(Strict):
    """What a reviewer notes."""

    message_id: str | None = Field(None, max_length=36, description="The message it is about; null = all of it.")
    text: str = Field(min_length=1, max_length=10_000)


class CopiedBody(Strict):
    """What was copied."""

    message_id: str = Field(max_length=36, description="The assistant's message.")


async def set_title(call: Call) -> Response:
    """Give a conversation a title."""
    body, reason, raw = await call.body()
    command = TitleConversation(
        id=conversation_of(call),
        principal=principal_of(call.actor),
        expected=call.if_match(),
        title=parse(TitleBody, body).title,
    )
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw))


async def add_note(call: Call) -> Response:
    """Note something about a conversation or a message, for reviewers."""
    body, reason, raw = await call.body()
    asked = parse(NoteBody, body)
    command = NoteReview(
        id=conversation_of(call),
        principal=principal_of(call.actor),
        expected=call.if_match(),
        reads_all=allowed(call.actor.roles, "conversations:read_all"),
        message=None if asked.message_id is None else asked.message_id.lower(),
        text=asked.text,
    )
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw))


async def copied(call: Call) -> Response:
    """Note that a person copied an answer."""
    body, reason, raw = await call.body()
    command = NoteCopied(
        id=conversation_of(call),
        principal=principal_of(call.actor),
        expected=call.if_match(),
        message=parse(CopiedBody, body).message_id.lower(),
    )
    return call.receipt(await call.dispatch(command, reason=reason, raw=raw))


OPERATIONS = (
    conversation_command(
        "/{id}/title", "title_conversation", "Give a conversation a title", set_title, body=body_schema(TitleBody)
    ),
    conversation_command(
        "/{id}/notes",
        "note_on_conversation",
        "Note something about a conversation or a message of it; for reviewers",
        add_note,
        body=body_schema(NoteBody),
        permission="conversations:review",
        answer={
            **PROBLEM_FREE_RECEIPT,
            "properties": {**PROBLEM_FREE_RECEIPT["properties"], "note_id": {"type": "string", "format": "uuid"}},
        },
    ),
    conversation_command(
        "/{id}/copied",
        "note_copied_answer",
        "Note that a person copied an answer: a mild sign that it was of use",
        copied,
        body=body_schema(CopiedBody),
    ),
)
