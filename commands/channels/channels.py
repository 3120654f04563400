"""What comes in by channels: a message belongs to the conversation of its thread, which is made once and found again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import orjson

from commands.bus import Bus
from commands.channels.channel_standing import actor_of
from commands.conversations.conversation import BeginConversation, principal_of
from commands.conversations.conversation_jobs import live_definition
from commands.conversations.turn_work import Begun, Confirm, Say
from commands.conversations.turns import Turns
from commands.ports import Context, IdempotencyKey, Things
from domain.agent import Agent
from domain.channel import Channel
from domain.conversation import Conversation
from domain.conversation_queue import OnBusy
from domain.errors import DomainError, NotFound

MOST_OF_A_THREAD = 1000
"""Conversations that one thread may come to, each after the one before was closed."""


class BadSignature(DomainError):
    """The signature is missing, wrong or too old: sign what is sent with the channel's secret, at the time it is sent."""

    code = "bad_signature"


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message from elsewhere. `message_id` is the same whenever the same comes again; `person` names who said it.

    One that does not `begin` belongs to a conversation that there is, or is no concern of ours.
    """

    thread: str
    message_id: str
    text: str
    person: str | None
    begins: bool = True


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What somebody decided elsewhere."""

    thread: str
    message_id: str
    confirmation: str
    approved: bool
    person: str | None
    comment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Takes what comes in by channels; answers go out by jobs."""

    bus: Bus
    things: Things
    turns: Turns

    async def hear(self, channel: Channel, said: Said, request_id: str) -> Begun | None:
        """Take a message and begin to answer it, once however often it comes; None where it is no concern of ours."""
        context = _context(channel, said.message_id, said.text, request_id)
        earlier = await self.bus.earlier(context)
        if earlier is not None:
            return Begun.of(earlier)
        id, conversation = await self._held_in(channel, said.thread)
        if conversation is None:
            if not said.begins:
                return None
            begin = BeginConversation(
                id=id,
                agent=UUID(channel.definition["agent"]),
                subject=said.person,
                principal=principal_of(context.actor),
                variables={},
                channel=channel.type,
                thread={"channel": channel.id, "thread": said.thread},
            )
            await self.bus.dispatch(begin, replace(context, idempotency=None))
        say = Say(conversation=id, content=said.text, on_busy=await self._on_busy(channel, conversation))
        return await self.turns.begin(say, context)

    async def decide(self, channel: Channel, decided: Decided, request_id: str) -> Begun:
        """Take a decision, and let the turn go on; raise NotFound where nothing of the kind is asked in this thread."""
        said = orjson.dumps([decided.confirmation, decided.approved]).decode()
        context = _context(channel, decided.message_id, said, request_id)
        id, conversation = await self._held_in(channel, decided.thread)
        if conversation is None:
            raise NotFound("No conversation is held in this thread.")
        by = None if decided.person is None else f"decided by {decided.person}"[:1000]
        confirm = Confirm(
            conversation=id, confirmation=decided.confirmation, approved=decided.approved, comment=decided.comment
        )
        return await self.turns.decide(confirm, replace(context, reason=by))

    async def _held_in(self, channel: Channel, thread: str) -> tuple[UUID, Conversation | None]:
        """Return the id of a thread's conversation, and it where there is one; after a closed one comes another."""
        for number in range(1, MOST_OF_A_THREAD + 1):
            id = uuid5(channel.id, orjson.dumps([thread, number]).decode())
            try:
                found = await self.things.newest(Conversation, id)
            except NotFound:
                return id, None
            if not found.closed:
                return id, found
        raise NotFound("This thread has come to too many conversations: begin another one.")

    async def _on_busy(self, channel: Channel, conversation: Conversation | None) -> OnBusy:
        """Return what is done with a message while a turn runs: nobody elsewhere could be told that it is refused."""
        agent = UUID(channel.definition["agent"] if conversation is None else conversation.answering)
        wanted = live_definition(await self.things.newest(Agent, agent)).get("on_busy")
        return "interrupt" if wanted == "interrupt" else "enqueue"


def _context(channel: Channel, message_id: str, said: str, request_id: str) -> Context:
    scope = orjson.dumps(["channel", str(channel.id), message_id])
    key = IdempotencyKey(key=message_id[:255], scope=sha256(scope).digest(), body=sha256(said.encode()).digest())
    return Context(actor=actor_of(channel), correlation_id=request_id, idempotency=key, channel=channel.type)


def begun_shown(begun: Begun | None) -> Mapping[str, Any]:
    """Return what is told to who brought a message."""
    if begun is None:
        return {"conversation": None, "turn": None}
    state = "queued" if begun.queued else "running"
    return {"conversation": str(begun.conversation), "turn": {"id": str(begun.turn), "state": state}}
