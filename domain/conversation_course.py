"""What a conversation notes of its course besides what is said: what each message is about, who goes on with it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from eventsourcing.domain import Aggregate

from domain.topics import TopicChoice

if TYPE_CHECKING:
    from domain.conversation import Conversation


class ChannelNamed(Aggregate.Event):
    """It is held by this way, such as `slack`: the agent may have other settings there."""

    TOPIC = "conversation.channel_named"
    channel: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.channel = self.channel


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


class HandedOff(Aggregate.Event):
    """Another agent goes on with it, from this turn on; `agent` is {id, name, version, variant}."""

    TOPIC = "conversation.handed_off"
    turn: str
    agent: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.alter(self.turn, handed_to=self.agent, topic=None)
        aggregate.answering = self.agent["id"]
        aggregate.topic = None


class DecisionExplained(Aggregate.Event):
    """A person said why they decline what the agent wants to do; the decision itself follows."""

    TOPIC = "conversation.decision_explained"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"comment"})
    turn: str
    confirmation: str
    subject: str | None
    comment: str

    def apply(self, aggregate: "Conversation") -> None:
        asked = aggregate.confirmations.get(self.confirmation)
        if asked is not None:  # else what was asked is erased
            explained = {self.confirmation: {**asked, "comment": self.comment}}
            aggregate.confirmations = aggregate.confirmations | explained


class GuardrailTriggered(Aggregate.Event):
    """A guardrail found something in what was said; `told` is what a model is told of it since, where that differs."""

    TOPIC = "conversation.guardrail_triggered"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"told"})
    turn: str
    subject: str | None
    stage: str
    guardrail: str
    action: str
    findings: dict[str, int]
    told: str | None

    def apply(self, aggregate: "Conversation") -> None:
        found = {
            "stage": self.stage,
            "guardrail": self.guardrail,
            "action": self.action,
            "findings": self.findings,
        }
        turn = aggregate.turns[self.turn]
        aggregate.alter(
            self.turn,
            guardrails=[*turn["guardrails"], found],
            told=turn["told"] if self.told is None else self.told,
            refused=turn["refused"] or (self.action, self.stage) == ("block", "input"),
        )


def note_guardrail(conversation: "Conversation", turn: str, *, found: Mapping[str, Any], told: str | None) -> None:
    """Note what a guardrail found in a turn that goes on: {stage, guardrail, action, findings}."""
    conversation.must_go_on(turn)
    conversation.trigger_event(
        conversation.GuardrailTriggered, turn=turn, subject=conversation.subject, told=told, **found
    )


class Summarized(Aggregate.Event):
    """What was said in it up to a turn was put in short: its model is told that instead of the messages."""

    TOPIC = "conversation.summarized"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"summary"})
    turn: str
    upto: str
    subject: str | None
    summary: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.summary = {"upto": self.upto, "text": self.summary}
        aggregate.summarized_by = aggregate.answering


def summarize(conversation: "Conversation", turn: str, *, upto: str, summary: str) -> None:
    """Keep in short what was said up to a turn, for this one that goes on and those that follow."""
    conversation.must_go_on(turn)
    conversation.trigger_event(
        conversation.Summarized, turn=turn, upto=upto, subject=conversation.subject, summary=summary
    )


def hand_off(conversation: "Conversation", turn: str, agent: Mapping[str, Any]) -> None:
    """Have another agent go on with a turn that goes on, and with all that follow."""
    conversation.must_go_on(turn)
    conversation.trigger_event(conversation.HandedOff, turn=turn, agent=dict(agent))


def answering(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the agent that a turn is with, as {id, name, version, variant}: the one that it was handed to last."""
    agent: dict[str, Any] = turn["handed_to"] or turn["agent"]
    return agent


def note_topic(conversation: "Conversation", turn: str, choice: TopicChoice) -> None:
    """Note what a turn that goes on is about; the same again changes nothing."""
    conversation.must_go_on(turn)
    if conversation.turns[turn]["topic"] != choice.document():
        conversation.trigger_event(conversation.TopicChosen, turn=turn, **choice.document())
