"""The command that stops a turn, as far as the record goes: who carries one out is told by `Turns`."""

from dataclasses import dataclass

from commands.bus import Done
from commands.conversations.conversation import ByOwner, own
from commands.conversations.conversation_jobs import turn_over
from commands.ports import Unit
from domain.conversation_queue import withdraw
from domain.turn import TurnEnded


@dataclass(frozen=True, kw_only=True)
class CancelTurn(ByOwner):
    """End a turn that waits: for a person by declining, behind another one by taking its message back.

    Of one that runs, or was cancelled before, nothing is recorded but the request's key.
    """

    turn: str


async def turn_cancelled(command: CancelTurn, unit: Unit) -> Done:
    """End it, or raise TurnEnded where it had ended otherwise."""
    conversation = await own(unit, command)
    state = conversation.turn(command.turn)["state"]
    match state:
        case "awaiting_confirmation":
            conversation.decline()
            turn_over(unit, conversation)
        case "queued":
            withdraw(conversation, command.turn)
        case "completed" | "failed" | "interrupted":
            raise TurnEnded(details={"turn": {"id": command.turn, "state": state}})
    unit.save(conversation)
    return Done(aggregate=conversation)
