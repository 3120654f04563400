"""What a tool server offers, without what is secret: it is told behind a door to which we brought the key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.tool_servers.answers import told
from adapters.tool_servers.openapi.operations import NO_NAME
from commands.agents.tools import Offer

REPEATS = "its name, its arguments or its address repeat a secret of this tool server"
"""Why a tool is left out: it can't be called otherwise, and what is offered is on record."""


def without(offer: Offer, secrets: Sequence[str]) -> Offer:
    """Return an offer as it may be recorded: texts that repeat a secret have it hidden.

    A tool that could not be called then is left out; so is the address of a server.
    """
    if not secrets:
        return offer
    unsaid = [*secrets, *(NO_NAME.sub("_", each) for each in secrets)]

    def hidden(text: str) -> str:
        return told(text, unsaid)

    tools: list[Mapping[str, Any]] = []
    left_out = [{"tool": hidden(each["tool"]), "reason": hidden(each["reason"])} for each in offer.left_out]
    for tool in offer.tools:
        called_by = {"name": tool["name"], "request": tool["request"], "arguments": names_in(tool["input_schema"])}
        if changed(called_by, hidden) != called_by:
            left_out.append({"tool": hidden(tool["name"]), "reason": REPEATS})
        else:
            schema = changed(tool["input_schema"], hidden)
            tools.append({**tool, "description": hidden(tool["description"]), "input_schema": schema})
    server = offer.server if offer.server is None or hidden(offer.server) == offer.server else None
    return replace(offer, title=hidden(offer.title), server=server, tools=tools, left_out=left_out)


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of JSON with all of its texts changed, names of fields not."""
    match value:
        case str():
            return change(value)
        case Mapping():
            return {name: changed(each, change) for name, each in value.items()}
        case list() | tuple():
            return [changed(each, change) for each in value]
    return value


def names_in(value: Any) -> list[str]:
    """Return the names of all fields in a value of JSON."""
    match value:
        case Mapping():
            return [*value, *(name for each in value.values() for name in names_in(each))]
        case list() | tuple():
            return [name for each in value for name in names_in(each)]
    return []
