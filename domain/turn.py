"""Turn: what a person says, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid5

from domain.errors import Conflict
from domain.turn_effects import told_of

TurnState = Literal["queued", "running", "awaiting_confirmation", "completed", "failed", "cancelled", "interrupted"]
OPEN_STATES = frozenset({"running", "awaiting_confirmation"})


CLIENT_TOOL = "client_tool"
"""Type of a call that whoever asks carries out: its turn waits for what it comes to."""

DECLINED = "The person has not agreed to this: it was not done."
"""What a model is told of a call that a person declined."""


def declined_with(comment: str | None) -> str:
    """Return what a model is told of a call that a person declined, with what they said of that."""
    return DECLINED if comment is None else f"{DECLINED} They said: {comment}"


class TurnInProgress(Conflict):
    """The agent is still answering: wait for the turn's end, or cancel it."""

    code = "turn_in_progress"


class ConversationClosed(Conflict):
    """This conversation is closed: begin another one."""

    code = "conversation_closed"


class NothingToRetry(Conflict):
    """Only a newest turn that failed, or was cancelled or interrupted, can be tried again."""

    code = "nothing_to_retry"


class ConfirmationDecided(Conflict):
    """This was decided otherwise already, or the turn no longer waits for it."""

    code = "confirmation_decided"


class TurnNotNewest(Conflict):
    """Something was said since then: a conversation goes on from its newest turn."""

    code = "turn_not_newest"


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


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Where a turn waits for a person: what there is of its reply, and what going on needs.

    `calls` wait, each {call, function, type, arguments, message}. `given` are the passages that the text may cite, without
    their texts, `cited` the numbers of those that it has.
    """

    reply: Reply
    calls: Sequence[Mapping[str, Any]]
    given: Sequence[Mapping[str, Any]] = ()
    cited: Sequence[int] = ()


def turn_id(conversation: UUID, number: int) -> UUID:
    """Return the id of a conversation's turn."""
    return uuid5(conversation, f"turn:{number}")


def answer_id(turn: UUID) -> UUID:
    """Return the id of the message that answers in a turn."""
    return uuid5(turn, "assistant")


def run_of(turn: UUID, leg: int = 1) -> UUID:
    """Return the id of the run that a turn is; each time it goes on after a pause, it is another one."""
    return uuid5(turn, "run" if leg == 1 else f"run:{leg}")


def new_turn(**known: Any) -> dict[str, Any]:
    """Return what a conversation keeps of a turn: what is known of it, and nothing of the rest yet.

    Known are at least `id`, `number`, `state`, `run_id`, `message_id`, `content`, `retry_of`, `agent` and `started_at`.
    """
    return {
        "legs": [],
        "before": "",
        "pause": None,
        "actions": [],
        "reply": None,
        "error": None,
        "partial": "",
        "details": {},
        "ended_at": None,
        "ended_version": None,
        "copied_from": None,
        "topic": None,
        "handed_to": None,
        "guardrails": [],
        "told": None,
        "refused": False,
        "research": None,
        **known,
    }


def content_of(turn: Mapping[str, Any]) -> str:
    """Return what the agent has said in a turn, as a conversation keeps it."""
    whole = turn["state"] in ("completed", "awaiting_confirmation")
    reply = turn["reply"]["content"] if turn["reply"] else ""
    return str(reply if whole else turn["partial"] or reply)


def message_told(turn: Mapping[str, Any]) -> str:
    """Return what a model is told of what a person said in a turn: with parts masked, where that was so."""
    return str(turn["content"] if turn["told"] is None else turn["told"])


def messages_of(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages of turns as a model is told them; a turn without an answer has what was said in it."""
    return [
        message for turn in turns for message in ({"role": "user", "content": message_told(turn)}, *history_of(turn))
    ]


def history_of(turn: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return what a model is told again of a turn's reply: each call has a result, as providers ask for.

    A call that waited for a person has the result of what was done, or else that it was declined. Of a turn without a
    reply, what was begun is told that changes something.
    """
    if turn["reply"] is None:
        return told_of([turn])
    history: list[dict[str, Any]] = turn["reply"]["history"]
    since: list[str] = []
    for place in reversed(range(len(history))):
        message = history[place]
        if message["role"] == "tool":
            since.append(message["tool_call_id"])
        elif calls := message.get("tool_calls"):
            # Right behind those that there are: something else may have been said since, where a turn was ended by that.
            known = place + 1 + len(since)
            missing = [result_told(turn, call["id"]) for call in calls if call["id"] not in since]
            return [*history[:known], *missing, *history[known:]] if missing else history
    return history


def result_told(turn: Mapping[str, Any], call: str) -> dict[str, Any]:
    """Return what a model is told of a call that its turn's history has no result of."""
    told = sum(message.get("tool_call_id") == call for message in turn["reply"]["history"])
    results = [action["result"] for action in turn["actions"] if action["id"] == call]
    return {"role": "tool", "tool_call_id": call, "content": results[-1] if len(results) > told else DECLINED}
