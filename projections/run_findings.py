"""What is found of what was said in runs that are turns of conversations: topics, feedback, what post-processing says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from domain.conversation import Conversation
from domain.turn import answer_id
from projections.recorded import Recorded

FOUND = ("topic", "feedback", "resolution", "language")
"""What is found of what was said in a run: in part later, in the conversation of which it is a turn."""

OF_TURNS: tuple[type[Any], ...] = (Conversation.TurnStarted, Conversation.TurnResumed)
"""Events that say which run a turn is, or goes on as."""

FINDINGS: tuple[type[Any], ...] = (
    Conversation.TopicChosen,
    Conversation.HandedOff,
    Conversation.FeedbackGiven,
    Conversation.Processed,
)
"""Events that say what was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRun:
    """A run that is a turn of a conversation, or a part of one; `message` is the one that answers in it."""

    run: UUID
    message: UUID
    conversation: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnTopic:
    """What a turn is about."""

    message: UUID
    topic: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFeedback:
    """What a person thinks of the answer of a turn."""

    message: UUID
    rating: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationFound:
    """What was found in a conversation after it had been closed."""

    conversation: UUID
    resolution: str
    language: str


class FindingsWriter(Protocol):
    """The rows of what was found, inside the present transaction."""

    async def topics(self, rows: Sequence[TurnTopic]) -> None:
        """Note what turns are about, each once."""

    async def feedback(self, rows: Sequence[TurnFeedback]) -> None:
        """Note what persons think of answers, each once."""

    async def processed(self, rows: Sequence[ConversationFound]) -> None:
        """Note what was found in conversations."""


def turn_runs(events: Sequence[Recorded]) -> list[TurnRun]:
    """Return which turns are which runs."""
    return [
        TurnRun(run=UUID(entry.event.run), message=answer_id(UUID(entry.event.turn)), conversation=entry.stream)
        for entry in events
        if isinstance(entry.event, OF_TURNS)
    ]


async def note_findings(events: Sequence[Recorded], view: FindingsWriter) -> None:
    """Note what was found, the last of it where that changes; nothing is asked of the view where there is nothing."""
    topics: dict[UUID, TurnTopic] = {}
    feedback: dict[UUID, TurnFeedback] = {}
    processed: list[ConversationFound] = []
    for entry in events:
        match entry.event:
            case Conversation.TopicChosen(turn=turn, topic=topic):
                message = answer_id(UUID(turn))
                topics[message] = TurnTopic(message=message, topic=topic)
            case Conversation.HandedOff(turn=turn):  # about nothing, until the other agent has found out
                message = answer_id(UUID(turn))
                topics[message] = TurnTopic(message=message, topic=None)
            case Conversation.FeedbackGiven(message=answer, rating=rating):
                feedback[UUID(answer)] = TurnFeedback(message=UUID(answer), rating=rating)
            case Conversation.Processed(resolution=resolution, language=language):
                found = ConversationFound(conversation=entry.stream, resolution=resolution, language=language)
                processed.append(found)
    if topics:
        await view.topics(list(topics.values()))
    if feedback:
        await view.feedback(list(feedback.values()))
    if processed:
        await view.processed(processed)
