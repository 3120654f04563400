"""Closing conversations in which nothing is said any more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from commands.bus import Bus, Done
from commands.configuration import Change
from commands.conversations.conversation import OnConversation
from commands.conversations.conversation_jobs import CLOSE_IDLE, FIND_IDLE, after_closing, live_definition
from commands.jobs import Finished, Job, JobQueue, Outcome, Postponed
from commands.ports import SYSTEM, Context, Things, Unit
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_closing import close_idle, last_said

LONGEST = 86_400.0
"""Seconds between two looks at a conversation."""

AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class CloseIdle(OnConversation):
    """Close a conversation unless something was said after this time."""

    since: datetime


async def closed_idle(command: CloseIdle, unit: Unit) -> Done:
    """Close it."""
    conversation = await unit.load(Conversation, command.id)
    close_idle(conversation, since=command.since)
    if conversation.closed:
        after_closing(unit, conversation)
    unit.save(conversation)
    return Done(aggregate=conversation, shown={"closed": conversation.closed})


async def settle_conduct(change: Change) -> None:
    """See, when an agent closes its conversations after another time now, that those that are open are looked at."""
    assert isinstance(change.thing, Agent)
    before = (change.before or {}).get("close_after")
    if live_definition(change.thing).get("close_after") not in (None, before):
        change.unit.effect("job", kind=FIND_IDLE, key=str(change.thing.id))


class OpenConversations(Protocol):
    """Which conversations of an agent are open."""

    async def after(self, agent: UUID, position: int | None, limit: int) -> Sequence[tuple[int, UUID]]:
        """Return (position, id) of those that began after a position, in that order, as far as they are known."""


@dataclass(frozen=True, kw_only=True)
class FindIdle:
    """Has all open conversations of an agent looked at; those that are not known yet ask for that themselves."""

    queue: JobQueue
    conversations: OpenConversations
    kind: str = FIND_IDLE
    most: int = 1
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Ask for it."""
        for job in jobs:
            after: int | None = None
            while found := await self.conversations.after(UUID(job.key), after, AT_ONCE):
                await self.queue.ask(CLOSE_IDLE, [str(id) for _, id in found])
                after = found[-1][0]
        return {job.id: Finished() for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing more is to be recorded: each conversation is looked at after its next turn."""


@dataclass(frozen=True, kw_only=True)
class CloseIdleConversations:
    """Closes conversations when nothing was said for as long as their agents wait."""

    bus: Bus
    things: Things
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    kind: str = CLOSE_IDLE
    most: int = 20
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Close those whose time has come, and say when to look at the others again."""
        return {job.id: await self._look(UUID(job.key)) for job in jobs}

    async def _look(self, id: UUID) -> Outcome:
        conversation = await self.things.newest(Conversation, id)
        wait = live_definition(await self.things.newest(Agent, conversation.begun_with)).get("close_after")
        if wait is None or conversation.closed:
            return Finished()
        since = last_said(conversation)
        left = (since + timedelta(seconds=wait) - self.now()).total_seconds()
        if left <= 0:
            closing = CloseIdle(id=id, since=since)
            receipt = await self.bus.dispatch(closing, Context(actor=SYSTEM, channel="worker"))
            if receipt.shown["closed"]:
                return Finished()
            left = wait
        return Postponed(delay=min(left, LONGEST), payload={})

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing more is to be recorded: it is looked at again after its next turn."""
