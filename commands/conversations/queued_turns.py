"""Turns that wait: each begins when the one before has ended, in whatever process finds that out first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from commands.bus import Bus
from commands.conversations.conversation_jobs import QUEUED_TURNS
from commands.conversations.conversation_queue import RefuseMessage
from commands.conversations.on_behalf import Standing, on_behalf
from commands.conversations.turn_work import Say
from commands.conversations.turns import Turns
from commands.jobs import Finished, Job, Outcome
from commands.ports import SYSTEM, Context, Things
from domain.conversation import Conversation
from domain.conversation_queue import next_queued
from domain.errors import Busy, DomainError, Unavailable
from domain.turn import TurnEnded, TurnInProgress

NOT_BEGUN = "turn_not_begun"
"""The code of a turn that was tried to begin until nothing more was tried."""


@dataclass(frozen=True, kw_only=True)
class BeginQueuedTurns:
    """Begins turns that waited, in this process; a job's key is the conversation's id."""

    bus: Bus
    things: Things
    turns: Turns
    asking: Standing
    kind: str = QUEUED_TURNS
    most: int = 1  # what goes wrong in one conversation is no failure of others
    groups: int = 10

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Begin what is to begin."""
        for job in jobs:
            await self._begin_next(UUID(job.key))
        return {job.id: Finished() for job in jobs}

    async def _begin_next(self, id: UUID) -> None:
        """Begin the turn that waits longest; one that can't begin ends with its reason, and makes way for the next."""
        conversation = await self.things.newest(Conversation, id)
        turn = next_queued(conversation)
        if turn is None:
            return
        try:
            context = await on_behalf(self.asking, conversation, channel=turn["channel"], attributes=turn["attributes"])
            await self.turns.begin(Say(conversation=id, queued=turn["id"]), context)
        except (Unavailable, Busy):
            raise
        except (TurnInProgress, TurnEnded):
            return  # another process was faster
        except DomainError as error:
            await self._refuse(id, turn["id"], code=error.error_code, message=str(error))

    async def give_up(self, job: Job, error: str) -> None:
        """End the turn that could not begin for so long, as failed: who waits for it is told, and the next one begins."""
        id = UUID(job.key)
        turn = next_queued(await self.things.newest(Conversation, id))
        if turn is not None:
            await self._refuse(id, turn["id"], code=NOT_BEGUN, message=f"It could not be begun: {error}")

    async def _refuse(self, id: UUID, turn: str, *, code: str, message: str) -> None:
        reason = {"code": code, "message": message}
        await self.bus.dispatch(RefuseMessage(id=id, turn=turn, error=reason), Context(actor=SYSTEM))
