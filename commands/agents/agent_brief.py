"""What an agent is told in a turn, and what it may do there: by the topic, or by what the message is else."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from domain.agent_conduct import CLOSE_FUNCTION
from domain.errors import Invalid
from domain.topics import TOPIC_INTENTS, TopicChoice

WORDS: Mapping[str, str] = {
    "greeting": "The person greets you: greet them back in one or two sentences, and say what you can help with.",
    "farewell": "The person takes leave: take leave of them in one or two sentences.",
    "unclear": "It is not clear what the person means: ask them one short question that tells you.",
    "off_topic": "The message is about nothing that you help with: say so kindly, answer nothing of it, and say what "
    "you can help with.",
}
"""What an agent is told where a message belongs to no topic."""


FINDING = frozenset({"rag_tool", "retrieval_tool", "files", "agent"})
"""Types of actions that may give an agent passages to cite."""


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What an agent is told and may do; `actions` as its definition has them."""

    instructions: str
    actions: Sequence[Mapping[str, Any]]


def channel_of(definition: Mapping[str, Any], channel: str) -> Mapping[str, Any]:
    """Return what an agent has for a channel; empty where that is nothing."""
    there: Mapping[str, Any] = definition.get("channels", {}).get(channel) or {}
    return there


def brief_of(definition: Mapping[str, Any], choice: TopicChoice | None, channel: str = "") -> Brief:
    """Return what an agent is told and may do, where a message was taken for this, by a channel."""
    brief = by_topic(definition, choice)
    last = channel_of(definition, channel).get("instructions")
    return replace(brief, instructions=f"{brief.instructions}\n\n{last}") if last else brief


def by_topic(definition: Mapping[str, Any], choice: TopicChoice | None) -> Brief:
    """Return what an agent is told and may do, where a message was taken for this."""
    told = [definition["instructions"]]
    topics: list[Mapping[str, Any]] = definition.get("topics") or []
    if choice is None or not topics:
        return Brief(instructions=told[0], actions=definition["actions"])
    if choice.intent not in TOPIC_INTENTS:
        helps = "\n".join(f"- {topic['name']}: {topic['description']}" for topic in topics)
        told.append(f"{WORDS[choice.intent]}\nWhat you help with:\n{helps}")
        return Brief(instructions="\n\n".join(told), actions=())
    topic = next((each for each in topics if each["name"] == choice.topic), topics[0])
    if topic["instructions"]:
        told.append(topic["instructions"])
    return Brief(instructions="\n\n".join(told), actions=topic["actions"])


def functions_of(definition: Mapping[str, Any]) -> set[str]:
    """Return all functions that an agent may have in a turn."""
    return {action["function"] for action in _actions_of(definition)}


def must_differ(names: Set[str], definition: Mapping[str, Any]) -> None:
    """Raise Invalid where a tool of whoever asks has the name of a function of the agent's own."""
    own = functions_of(definition) | ({CLOSE_FUNCTION} if definition.get("may_close") else set())
    if names & own:
        raise Invalid(
            "An action of the agent has the name of one of these tools: rename the tool.",
            code="not_supported",
            pointer="/tools",
        )


def may_cite(definition: Mapping[str, Any]) -> bool:
    """Return whether an agent may be given passages, whatever a message is about."""
    return bool(definition.get("research")) or any(each["type"] in FINDING for each in _actions_of(definition))


def _actions_of(definition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    topics: list[Mapping[str, Any]] = definition.get("topics") or []
    return [action for topic in topics for action in topic["actions"]] if topics else definition["actions"]
