"""Forking conversations, also to say something otherwise and have it answered anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from commands.bus import Bus
from commands.conversations.conversation import ForkConversation, owned, principal_of
from commands.conversations.turn_work import Begun, Say
from commands.conversations.turns import Turns
from commands.ports import Context, Receipt, Things
from domain.conversation import Conversation
from domain.conversation_course import answering
from domain.conversation_forks import Cut, held_for


@dataclass(frozen=True, kw_only=True)
class Forking:
    """Forks conversations."""

    bus: Bus
    things: Things
    turns: Turns

    async def fork(
        self, origin: UUID, message: str | None, context: Context, *, subject: str | None, expected: int | None
    ) -> Receipt:
        """Begin a conversation with what was said in another one up to a message, or raise."""
        command = await self._command(origin, message, context, subject=subject, expected=expected, edits=False)
        return await self.bus.dispatch(command, context)

    async def edit(
        self,
        origin: UUID,
        message: str | None,
        content: str,
        context: Context,
        *,
        subject: str | None,
        expected: int | None,
        background: bool = False,
    ) -> Begun:
        """Begin a conversation with what was said before a person's message, and answer the content in its place."""
        earlier = await self.bus.earlier(context)
        if earlier is not None:
            return Begun.of(earlier)
        begins = await self._command(origin, message, context, subject=subject, expected=expected, edits=True)
        files = await self._files(origin, message)
        say = Say(conversation=begins.id, content=content, files=files, begins=begins, background=background)
        return await self.turns.begin(say, context)

    async def _files(self, origin: UUID, message: str | None) -> Sequence[Mapping[str, Any]]:
        """Return the files of the message that is said otherwise: they are given again."""
        conversation = await self.things.newest(Conversation, origin)
        newest = next(reversed(conversation.turns.values()), None)
        return conversation.files.get(message or (newest["message_id"] if newest else ""), ())

    async def _command(
        self,
        origin: UUID,
        message: str | None,
        context: Context,
        *,
        subject: str | None,
        expected: int | None,
        edits: bool,
    ) -> ForkConversation:
        principal = principal_of(context.actor)
        found = owned(await self.things.newest(Conversation, origin), principal)
        cut = (Cut.before if edits else Cut.after)(found, message)
        agents = [answering(turn) for turn in cut.turns if turn["agent"]]
        return ForkConversation(
            id=uuid4(),
            expected=expected,
            principal=principal,
            agent=UUID(agents[-1]["id"] if agents else found.agent),
            subject=held_for(found, subject),
            variables={},
            origin=origin,
            message=message,
            edits=edits,
        )
