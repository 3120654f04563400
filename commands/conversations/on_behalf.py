"""Acting for whoever began a conversation, when they are not there: with the rights that they have by then."""

from collections.abc import Awaitable, Callable, Mapping

from commands.conversations.conversation_tokens import HELD, as_visitor
from commands.ports import Actor, Context
from domain.conversation import Conversation
from domain.errors import Conflict

Standing = Callable[[Mapping[str, str]], Awaitable[Actor | None]]
"""Returns a principal with what it may now; None where its credential is valid no more."""


class NobodyAsks(Conflict):
    """The credential of who said this is valid no more: it is not answered."""

    code = "credential_ended"


async def on_behalf(
    asking: Standing, conversation: Conversation, *, channel: str, attributes: Mapping[str, str]
) -> Context:
    """Return the context in which what was said by a channel is answered, or raise NobodyAsks."""
    actor = await asking(conversation.principal)
    if actor is None:
        raise NobodyAsks
    if channel == HELD:
        actor = as_visitor(actor)
    return Context(actor=actor, channel=channel, attributes=attributes)
