"""How turns end: what is told of it, the same from memory, from another process and from the log."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from commands.runs import failure_of
from domain.errors import Conflict, DomainError, Unavailable
from domain.turn import answer_id


class TurnInterrupted(Unavailable):
    """Whoever carried the turn out is gone; what was said is kept: try the turn again."""

    code = "turn_interrupted"


class ShuttingDown(Unavailable):
    """This process is about to end: ask again."""

    code = "shutting_down"


class TurnNotCancelled(Conflict):
    """The process that carries the turn out has not answered yet: ask again."""

    code = "turn_not_cancelled"


def turn_document(turn: Mapping[str, Any], conversation: UUID, position: int) -> dict[str, Any]:
    """Return what a turn's end shows: the contract's Message, and `failure` where there is no answer."""
    reply = turn["reply"]
    shown: dict[str, Any] = {
        "turn": {"id": turn["id"], "state": turn["state"]},
        "message": {
            "id": str(answer_id(UUID(turn["id"]))),
            "role": "assistant",
            "content": turn["partial"] if reply is None else reply["content"],
            "citations": [] if reply is None else reply["citations"],
            "tool_calls": [] if reply is None else reply["tool_calls"],
        },
        "run_id": turn["run_id"],
        **{name: turn["details"][name] for name in ("usage", "cost") if name in turn["details"]},
        "id": str(conversation),
        "version": turn["ended_version"],
        "position": position,
    }
    if turn["state"] == "failed":
        error, details = turn["error"], turn["details"]
        shown["failure"] = {"kind": details["kind"], **error, "details": details["error"]}
    elif turn["state"] == "interrupted":
        shown["failure"] = failure_of(TurnInterrupted())["failure"]
    return shown


def told_as(state: str) -> str:
    """Return the type of the stream event that tells of an end."""
    return "turn.failed" if state == "interrupted" else f"turn.{state}"


def details_of(error: DomainError | None) -> dict[str, Any]:
    """Return what a failed turn keeps of its reason, besides code and message."""
    if error is None:
        return {}
    failure = failure_of(error)["failure"]
    return {"kind": failure["kind"], "error": failure["details"]}
