"""What a conversation notes of its course besides what is said: what each message is about."""

from typing import TYPE_CHECKING

from eventsourcing.domain import Aggregate

from domain.topics import TopicChoice

if TYPE_CHECKING:
    from domain.conversation import Conversation


class TopicChosen(Aggregate.Event):
    """It was found out what a message is about."""

    TOPIC = "conversation.topic_chosen"
    turn: str
    intent: str
    topic: str | None
    fell_back: bool

    def apply(self, aggregate: "Conversation") -> None:
        choice = {"intent": self.intent, "topic": self.topic, "fell_back": self.fell_back}
        aggregate.alter(self.turn, topic=choice)
        if self.topic is not None:
            aggregate.topic = self.topic


def note_topic(conversation: "Conversation", turn: str, choice: TopicChoice) -> None:
    """Note what a turn that goes on is about; the same again changes nothing."""
    conversation.must_go_on(turn)
    if conversation.turns[turn].get("topic") != choice.document():
        conversation.trigger_event(conversation.TopicChosen, turn=turn, **choice.document())
