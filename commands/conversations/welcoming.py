"""How agents greet."""

from commands.conversations.conversation_jobs import live_definition
from domain.agent import Agent


def welcome_of(agent: Agent, channel: str | None) -> str:
    """Return how an agent greets where it is talked to by a channel."""
    live = live_definition(agent)
    there = live.get("channels", {}).get(channel) or {}
    said = there.get("welcome_message")
    return str(live["welcome_message"] if said is None else said)
