"""Turns that nobody waits for: carried out by whichever process takes their job."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from commands.bus import Bus
from commands.conversations.conversation import EndTurn, InterruptTurn
from commands.conversations.conversation_jobs import BACKGROUND_TURNS
from commands.conversations.on_behalf import Standing, on_behalf
from commands.conversations.turn_work import Claims, never_begun
from commands.conversations.turns import Turns
from commands.jobs import Finished, Job, Outcome
from commands.ports import SYSTEM, Context, Things
from domain.conversation import Conversation
from domain.errors import Busy, DomainError, Unavailable


@dataclass(frozen=True, kw_only=True)
class CarryOutTurns:
    """Carries out turns in this process; a job's key is the turn's id.

    One is taken once, whoever has its job: when its process is killed, it counts as interrupted as any other does.
    """

    bus: Bus
    things: Things
    turns: Turns
    claims: Claims
    asking: Standing
    kind: str = BACKGROUND_TURNS
    most: int = 1  # what goes wrong with one is no failure of others
    groups: int = 10

    async def carry_out(self, jobs: Sequence[Job]) -> dict[UUID, Outcome]:
        """Begin to carry out what waits for it."""
        for job in jobs:
            await self._take(job)
        return {job.id: Finished() for job in jobs}

    async def _take(self, job: Job) -> None:
        conversation = await self.things.newest(Conversation, UUID(job.payload["conversation"]))
        if conversation.turn(job.key)["state"] != "running":
            return
        try:
            channel, attributes = job.payload["channel"], job.payload["attributes"]
            context = await on_behalf(self.asking, conversation, channel=channel, attributes=attributes)
            await self.turns.take_over(conversation, job.key, context)
        except (Unavailable, Busy):
            raise
        except DomainError as error:
            await self._end(job, never_begun(conversation.id, UUID(job.key), error))

    async def give_up(self, job: Job, error: str) -> None:
        """Note that nobody could carry it out for so long."""
        await self._end(job, InterruptTurn(id=UUID(job.payload["conversation"]), turn=job.key))

    async def _end(self, job: Job, command: EndTurn | InterruptTurn) -> None:
        if await self.claims.claim(UUID(job.key)):
            await self.bus.dispatch(command, Context(actor=SYSTEM))
