"""Topics: what an agent is asked about, and which of it a message is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import Field

from domain.definition import Reference, Strict

Intent = Literal["topic", "switch", "greeting", "farewell", "unclear", "off_topic"]
INTENTS: tuple[Intent, ...] = get_args(Intent)
TOPIC_INTENTS = frozenset({"topic", "switch"})
"""Those in which a topic's own instructions and actions serve; in the others the model answers without actions."""


class Classification(Strict):
    """How it is found out what a message is about."""

    prompt: Reference | None = Field(
        None, description="Given the variables `topics`, `present` and `message`; null = the built-in one."
    )
    model: Reference | None = Field(None, description="null = the prompt's, else the agent's, else the default one.")


@dataclass(frozen=True, kw_only=True)
class TopicChoice:
    """What a message was taken for; `fell_back` where the classifier gave no good answer."""

    intent: Intent
    topic: str | None
    fell_back: bool = False

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        return {"intent": self.intent, "topic": self.topic, "fell_back": self.fell_back}

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Self | None:
        """Return what a public form says."""
        return None if document is None else cls(**document)


def usual(topics: Sequence[str], present: str | None, *, fell_back: bool = False) -> TopicChoice:
    """Return the choice of who classifies nothing: the present topic, else the first."""
    return TopicChoice(intent="topic", topic=present if present in topics else topics[0], fell_back=fell_back)


def settled(intent: str, topic: object, topics: Sequence[str], present: str | None) -> TopicChoice:
    """Return the choice that a classifier's answer is, or raise ValueError that says what is wrong with it."""
    if intent not in INTENTS:
        raise ValueError(f"`intent` is one of {', '.join(INTENTS)}.")
    if intent not in TOPIC_INTENTS:
        return TopicChoice(intent=intent, topic=None)
    if not isinstance(topic, str) or topic not in topics:
        raise ValueError(f"With the intent `{intent}`, `topic` is one of {', '.join(topics)}.")
    switched = present in topics and topic != present
    return TopicChoice(intent="switch" if switched else "topic", topic=topic)
