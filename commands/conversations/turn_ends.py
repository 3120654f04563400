"""How turns end: what is told of it, the same from memory, from another process and from the log."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from commands.runs.runs import failure_of
from domain.errors import DEFECT, Conflict, DomainError, Unavailable
from domain.turn import answer_id, content_of


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
    reply = turn["reply"] if turn["state"] in ("completed", "awaiting_confirmation") else None
    shown: dict[str, Any] = {
        "turn": {"id": turn["id"], "state": turn["state"]},
        "message": {
            "id": str(answer_id(UUID(turn["id"]))),
            "role": "assistant",
            "content": content_of(turn),
            "citations": [] if reply is None else reply["citations"],
            "tool_calls": [] if reply is None else reply["tool_calls"],
        },
        "run_id": turn["run_id"],
        **{name: turn["details"][name] for name in ("usage", "cost", "code", "research") if name in turn["details"]},
        "id": str(conversation),
        "version": turn["ended_version"],
        "position": position,
    }
    if turn["state"] == "awaiting_confirmation":
        shown["confirmations"] = turn["pause"]["confirmations"]
    elif turn["state"] == "failed":
        error, details = turn["error"], turn["details"]
        # Of one that could not begin, and of who was erased, there are only the code and our own sentence.
        plain = DomainError if error["code"] == DEFECT else Conflict
        kind = details.get("kind", plain.__name__)
        shown["failure"] = {"kind": kind, **error, "details": details.get("error", {})}
    elif turn["state"] == "interrupted":
        shown["failure"] = failure_of(TurnInterrupted())["failure"]
    return shown


def told(turn: Mapping[str, Any], conversation: UUID, position: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the last events of a turn's stream, (type, data) each: what it waits for, and its end."""
    document = turn_document(turn, conversation, position)
    asked = [("confirmation.requested", {"confirmation": each}) for each in document.get("confirmations", ())]
    return [*asked, (told_as(turn["state"]), document)]


def abandoned(turn: UUID, run: UUID) -> tuple[str, Mapping[str, Any]]:
    """Return what is told of a turn whose end could not be recorded."""
    shown = {"turn": {"id": str(turn), "state": "interrupted"}, "run_id": str(run)}
    return "turn.failed", {**shown, **failure_of(TurnInterrupted())}


def leg_of(turn: Mapping[str, Any], run: UUID) -> Mapping[str, Any]:
    """Return a turn as it was when it ended as a run, which it may have gone on from, or as it is now."""
    return next((leg for leg in turn["legs"] if leg["run_id"] == str(run)), turn)


def told_as(state: str) -> str:
    """Return the type of the stream event that tells of an end."""
    return "turn.failed" if state == "interrupted" else f"turn.{state}"


def details_of(error: DomainError | None) -> dict[str, Any]:
    """Return what a failed turn keeps of its reason, besides code and message."""
    if error is None:
        return {}
    failure = failure_of(error)["failure"]
    return {"kind": failure["kind"], "error": failure["details"]}
