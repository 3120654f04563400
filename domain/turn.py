"""Turn: what a person says, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid5

from domain.errors import Conflict

TurnState = Literal["running", "awaiting_confirmation", "completed", "failed", "cancelled", "interrupted"]
OPEN_STATES = frozenset({"running", "awaiting_confirmation"})


class TurnInProgress(Conflict):
    """The agent is still answering: wait for the turn's end, or cancel it."""

    code = "turn_in_progress"


class ConversationClosed(Conflict):
    """This conversation is closed: begin another one."""

    code = "conversation_closed"


class NothingToRetry(Conflict):
    """Only a newest turn that failed, or was cancelled or interrupted, can be tried again."""

    code = "nothing_to_retry"


class TurnEnded(Conflict):
    """This turn has ended already."""

    code = "turn_ended"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an agent answered; `history` are the messages that its model is told again, in OpenAI's form."""

    content: str
    citations: Sequence[Mapping[str, Any]] = ()
    tool_calls: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def turn_id(conversation: UUID, number: int) -> UUID:
    """Return the id of a conversation's turn."""
    return uuid5(conversation, f"turn:{number}")


def answer_id(turn: UUID) -> UUID:
    """Return the id of the message that answers in a turn."""
    return uuid5(turn, "assistant")


def run_of(turn: UUID) -> UUID:
    """Return the id of the run that a turn is."""
    return uuid5(turn, "run")
