"""What a person is asked before an action is carried out, in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from commands.agents.actions import InvalidArguments, arguments_of
from commands.agents.agent_talk import Acting
from commands.models.model_calls import ToolCall
from commands.ports import PromptRenderer, Template
from domain.errors import DomainError

LONGEST_VALUE = 200
"""Characters that are shown of an argument; the whole stands among the call's arguments."""


async def questions(
    renderer: PromptRenderer, acting: Acting, calls: Sequence[ToolCall], described: Mapping[str, str]
) -> list[str]:
    """Return what a person is asked about each call; `described` has what its model is told of each function.

    Where something stands against a call as things are, that is said besides.
    """
    found = []
    for call in calls:
        words = await question(renderer, acting.action(call), call, described.get(call.name, ""))
        doubt = acting.guard.doubt(call.name)
        found.append(words if doubt is None else f"{words}\n\n{doubt}")
    return found


async def question(renderer: PromptRenderer, action: Mapping[str, Any], call: ToolCall, description: str) -> str:
    """Return what a person is asked: by the action's own template, or by its description and the arguments.

    A template that the arguments don't fill says less than the plain words: they take its place.
    """
    try:
        arguments = arguments_of(call)
    except InvalidArguments:
        return f"{description or call.name} ({call.arguments[:LONGEST_VALUE]})"
    template = action.get("confirmation_message")
    if template is not None:
        try:
            text = (await renderer.render([Template(name="/confirmation_message", source=template)], arguments, {}))[0]
        except DomainError:
            text = ""
        if text.strip():
            return text.strip()
    given = "; ".join(f"{name}: {shown(value)}" for name, value in arguments.items())
    what = (description or call.name.replace("_", " ")).strip()
    return f"{what} ({given})" if given else what


def shown(value: object) -> str:
    """Return an argument as a person reads it."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
