"""Chats on web pages: somebody without a key begins a conversation, or goes on with theirs, and gets a token for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from commands.bus import Bus
from commands.conversations.conversation import BeginConversation, absent, owned, principal_of
from commands.conversations.conversation_jobs import live_definition
from commands.conversations.conversation_tokens import HELD, OpenConversation
from commands.conversations.welcoming import welcome_of
from commands.ports import Context, Receipt, SecretBox, Things
from domain.agent import Agent
from domain.channel import Channel
from domain.conversation import Conversation

PURPOSE = "web visitor"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Begin a conversation, or with `conversation` go on with one; `visitor` is the secret by which a browser is known."""

    channel: Channel
    origin: str
    visitor: str
    conversation: UUID | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class WebChats:
    """Lets visitors of pages in."""

    bus: Bus
    things: Things
    box: SecretBox

    async def visit(self, visit: Visit, context: Context) -> Receipt:
        """Return the receipt of the conversation, with its token; raise NotFound where it is not the visitor's."""
        subject = self.subject(visit.channel, visit.visitor)
        principal = principal_of(context.actor)
        id = visit.conversation
        if id is None:
            begin = BeginConversation(
                id=uuid4(),
                agent=UUID(visit.channel.definition["agent"]),
                subject=subject,
                principal=principal,
                variables={},
                channel=HELD,
            )
            id = (await self.bus.dispatch(begin, context)).id
        elif owned(await self.things.newest(Conversation, id), principal).subject != subject:
            raise absent()
        opening = OpenConversation(id=id, principal=principal, origin=visit.origin, expires_at=visit.expires_at)
        return await self.bus.dispatch(opening, replace(context, idempotency=None))

    def subject(self, channel: Channel, visitor: str) -> str:
        """Return for whom a visitor's conversations are held: who reads it can't talk in their place."""
        return f"visitor-{self.box.mac(PURPOSE, f'{channel.id} {visitor}'.encode()).hex()[:32]}"

    async def described(self, channel: Channel) -> Mapping[str, Any]:
        """Return what a page shows before anything is said."""
        agent = await self.things.newest(Agent, UUID(channel.definition["agent"]))
        shown = {name: channel.config[name] for name in ("color", "position", "note", "files", "texts")}
        return {
            "name": channel.name,
            "title": channel.definition["title"] or agent.definition["title"] or channel.name,
            **shown,
            "welcome_message": welcome_of(agent, HELD),
            "sample_questions": live_definition(agent)["sample_questions"][:5],
        }
