"""Who may talk in a conversation besides whoever began it: pages of the origins that it was opened to."""

from typing import TYPE_CHECKING

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from domain.conversation import Conversation


class OriginAllowed(Aggregate.Event):
    """It was opened to pages of an origin: whoever holds a token for it may talk there."""

    TOPIC = "conversation.origin_allowed"
    origin: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.origins = aggregate.origins | {self.origin}


def allow_origin(conversation: "Conversation", origin: str | None) -> None:
    """Open it to pages of an origin (None: to no page), unless it is closed; a second time changes nothing."""
    conversation.must_be_open()
    if origin is not None and origin not in conversation.origins:
        conversation.trigger_event(conversation.OriginAllowed, origin=origin)
