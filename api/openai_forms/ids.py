"""Ids in OpenAI's style: a response's names its run, and the conversation that it is part of."""

import re
from dataclasses import dataclass
from uuid import UUID

from domain.errors import NotFound
from domain.references import UUID_FORM

RESPONSE = re.compile(r"resp_([0-9a-f]{32})?([0-9a-f]{32})\Z")
CONVERSATION = re.compile(r"conv_([0-9a-f]{32})\Z")
APPROVAL = re.compile(r"mcpr_([0-9a-f]{32})\Z")


@dataclass(frozen=True, kw_only=True)
class ResponseId:
    """What a response's id says: which run it is, and of which conversation, if any."""

    run: UUID
    conversation: UUID | None = None

    def __str__(self) -> str:
        return f"resp_{'' if self.conversation is None else self.conversation.hex}{self.run.hex}"


def response_in(text: str, code: str = NotFound.code) -> ResponseId:
    """Return what an id says, or raise NotFound."""
    found = RESPONSE.match(text)
    if found is None:
        raise NotFound("There is no such response.", code=code)
    return ResponseId(run=UUID(found[2]), conversation=None if found[1] is None else UUID(found[1]))


def conversation_in(text: str) -> UUID:
    """Return a conversation's id, in OpenAI's style or ours, or raise NotFound."""
    found = CONVERSATION.match(text)
    if found is None and not UUID_FORM.match(text):
        raise NotFound("There is no such conversation.", code="conversation_not_found")
    return UUID(text if found is None else found[1])


def approval_in(text: str) -> str:
    """Return the id of a confirmation, or raise NotFound."""
    found = APPROVAL.match(text)
    if found is None:
        raise NotFound("There is no such approval request.")
    return str(UUID(found[1]))
