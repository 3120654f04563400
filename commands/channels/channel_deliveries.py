"""What goes out by channels: each part of an answer is sent to its thread by a job, noted before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.bus import Bus, Done
from commands.conversations.conversation import OnConversation
from commands.conversations.conversation_jobs import CHANNEL_ANSWERS
from commands.jobs import Failed, Finished, Job, Outcome, Postponed
from commands.ports import SYSTEM, Context, Things, Unit
from domain.channel import Channel
from domain.conversation import Conversation
from domain.conversation_deliveries import Part, due, note_begun, note_delivered, note_failed
from domain.errors import NotFound, Unavailable

LONGEST_WAIT = 3600.0
"""Seconds after which a channel is asked again that wants to be left alone for longer."""


class NotDelivered(Unavailable):
    """The channel did not take it; it is tried again. `wait` is how many seconds it asked for."""

    code = "not_delivered"

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A part on its way: whose it is, the thread it goes to, and (of a decision) the reference of what was asked."""

    part: Part
    conversation: UUID
    thread: str
    reference: str | None = None


class ChannelAdapter(Protocol):
    """The way out to one type of channels."""

    @property
    def longest(self) -> int:
        """Characters that a text may have."""

    @property
    def tells_twice(self) -> bool:
        """Whether the same part twice is seen twice: then `find` is asked where one may have arrived."""

    async def send(self, channel: Channel, outgoing: Outgoing) -> str:
        """Send a part, and return what the channel calls it; raise NotDelivered."""

    async def find(self, channel: Channel, outgoing: Outgoing) -> str | None:
        """Return what the channel calls a part that arrived, None where it has not; raise NotDelivered."""


Adapters = Mapping[str, ChannelAdapter]


@dataclass(frozen=True, kw_only=True)
class NoteDelivery(OnConversation):
    """Note what became of a part: it is being sent, arrived (with a reference), or (with a reason) is given up."""

    part: Part
    reference: str | None = None
    reason: str | None = None


async def delivery_noted(command: NoteDelivery, unit: Unit) -> Done:
    """Note it."""
    conversation = await unit.load(Conversation, command.id)
    if command.reason is not None:
        note_failed(conversation, command.part, command.reason)
    elif command.reference is not None:
        note_delivered(conversation, command.part, command.reference)
    else:
        note_begun(conversation, command.part)
    unit.save(conversation)
    return Done(aggregate=conversation)


@dataclass(frozen=True, kw_only=True)
class DeliverAnswers:
    """Sends what conversations have to tell to their threads; a job's key is the conversation's id."""

    bus: Bus
    things: Things
    adapters: Adapters
    kind: str = CHANNEL_ANSWERS
    most: int = 1
    groups: int = 8

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Send what is due."""
        return {job.id: await self._deliver(UUID(job.key)) for job in jobs}

    async def _deliver(self, id: UUID) -> Outcome:
        """Send one conversation's parts in their order; where one can't be sent, the rest waits behind it."""
        conversation = await self.things.newest(Conversation, id)
        channel = await self._channel(conversation)
        if channel is None:
            return Finished()
        adapter = self.adapters[channel.type]
        try:
            for part in due(conversation, adapter.longest):
                await self._send(conversation, channel, adapter, part)
        except NotDelivered as error:
            if error.wait is None:
                return Failed(error=str(error))
            return Postponed(delay=min(error.wait, LONGEST_WAIT), payload={})
        return Finished()

    async def _channel(self, conversation: Conversation) -> Channel | None:
        """Return the channel of a conversation; None where it is gone or of another type than is told by jobs."""
        if conversation.thread is None:
            return None
        try:
            channel = await self.things.newest(Channel, UUID(conversation.thread["channel"]))
        except NotFound:
            return None
        return channel if channel.type in self.adapters and not channel.archived else None

    async def _send(self, conversation: Conversation, channel: Channel, adapter: ChannelAdapter, part: Part) -> None:
        assert conversation.thread is not None
        known = conversation.deliveries.get(part.of or "", {})
        outgoing = Outgoing(
            part=part,
            conversation=conversation.id,
            thread=conversation.thread["thread"],
            reference=known.get("reference"),
        )
        reference: str | None = None
        if adapter.tells_twice:
            if part.key in conversation.deliveries:  # who sent it may have been killed before it was noted
                reference = await adapter.find(channel, outgoing)
            else:
                await self._note(NoteDelivery(id=conversation.id, part=part))
        if reference is None:
            reference = await adapter.send(channel, outgoing)
        await self._note(NoteDelivery(id=conversation.id, part=part, reference=reference))

    async def give_up(self, job: Job, error: str) -> None:
        """Record that what is due can't be sent."""
        conversation = await self.things.newest(Conversation, UUID(job.key))
        channel = await self._channel(conversation)
        if channel is not None:
            for part in due(conversation, self.adapters[channel.type].longest):
                await self._note(NoteDelivery(id=conversation.id, part=part, reason=error[:1000]))

    async def _note(self, command: NoteDelivery) -> None:
        await self.bus.dispatch(command, Context(actor=SYSTEM, channel="worker"))
