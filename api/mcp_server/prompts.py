"""Prompts as MCP has them: listed with their variables, and filled in without asking a model."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

import orjson

from api.call import Call
from api.mcp_server import arguments
from api.mcp_server.offers import live, served, thing_called
from api.mcp_server.tools import called, named
from api.queries import prompts
from domain.configuration_events import LIVE
from domain.errors import NotFound
from domain.prompt import Prompt
from domain.references import identify

PREVIEW = named(prompts.OPERATIONS, "preview_prompt")
Role = Literal["user", "assistant"]


async def offered(call: Call) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the prompts that the caller may fill in."""
    if served(call, PREVIEW):
        async for shown in live(call, Prompt):
            yield shown


def arguments_of(prompt: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield each variable of a prompt: its name, what it is, and whether it must be given."""
    for name, variable in prompt["variables"].items():
        yield name, variable["description"], arguments.needed(variable)


async def filled_in(call: Call, name: str, given: Mapping[str, str]) -> tuple[str, list[tuple[Role, str]]]:
    """Return what a prompt is for, and its messages; or raise what is wrong. MCP knows two roles only."""
    thing = await thing_called(call, Prompt, name) if served(call, PREVIEW) else None
    found = None if thing is None else await call.container.store.load(identify(Prompt.TOPIC, thing))
    if found is None or not isinstance(found[0], Prompt) or found[0].archived:
        raise NotFound("There is no such prompt, or its use is not allowed: prompts/list names those that there are.")
    definition = found[0].labels[LIVE]["definition"]
    body = {"prompt": thing, "variables": arguments.values_of(given, definition["variables"])}
    response = await PREVIEW.handler(called(call, PREVIEW, {}, body))
    messages = orjson.loads(response.body)["messages"]
    return definition["description"], [
        ("assistant" if each["role"] == "assistant" else "user", each["content"]) for each in messages
    ]
