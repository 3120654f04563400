"""Conversations that are closed by their agents: the function by which a model does it, with its last words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from commands.agents.agent_talk import NO_TOOLS, ClientTools
from domain.agent_conduct import CLOSE_FUNCTION
from domain.turn import Reply

CLOSING = ClientTools(
    functions=[
        {
            "type": "function",
            "function": {
                "name": CLOSE_FUNCTION,
                "description": "Closes the conversation for good. Call it when the person has said that they need "
                "nothing more, together with your last words to them, and with no other function.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]
)


def closing_tools(definition: Mapping[str, Any]) -> ClientTools:
    """Return what an agent can do with its conversation."""
    return CLOSING if definition.get("may_close") else NO_TOOLS


def with_last_words(reply: Reply, said: Sequence[str]) -> Reply:
    """Return the reply of a model that closed the conversation: its last words are told again, its call is not."""
    last = {"role": "assistant", "content": "".join(said).strip()}
    return replace(reply, history=[*reply.history, last])
