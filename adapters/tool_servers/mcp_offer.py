"""What an MCP server offers: its tools, and its prompts and resources as tools that read them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import jsonschema_rs
import mcp_types as types
import orjson
from mcp.client import Client

from adapters.openai.text import cleaned
from adapters.tool_servers.openapi.operations import LARGEST_OFFER, LONGEST_DESCRIPTION, MOST_TOOLS, Names, name_of
from adapters.tool_servers.openapi.schemas import LARGEST
from commands.agents.tools import Offer, ToolServerUnavailable
from domain.prompt import check_schema

MOST_PAGES = 100
MOST_LISTED = 200
"""Prompts, or resources, that are named in a schema."""


async def offer_of(client: Client) -> Offer:
    """Ask a server for all that it offers."""
    can = client.server_capabilities
    names, tools, left_out = Names(), list[dict[str, Any]](), list[dict[str, str]]()
    listed = await paged(client.list_tools, "tools") if can.tools is not None else []
    for tool in listed:
        name = names.give(name_of({"operationId": tool.name}, "tool", ""))
        schema, reason = usable(tool.input_schema)
        if reason:
            left_out.append({"tool": name, "reason": reason})
            continue
        read_only = tool.annotations is not None and tool.annotations.read_only_hint is True
        request = {"kind": "tool", "name": tool.name}
        tools.append(described(name, tool.description or tool.title or "", schema, request, effects=not read_only))
    if can.prompts is not None and (prompts := await paged(client.list_prompts, "prompts")):
        tools.append(prompts_tool(names.give("get_prompt"), prompts))
    if can.resources is not None:
        resources = await paged(client.list_resources, "resources")
        templates = await paged(client.list_resource_templates, "resource_templates")
        if resources or templates:
            tools.append(resources_tool(names.give("read_resource"), resources, templates))
    if len(orjson.dumps(tools)) > LARGEST_OFFER:
        raise ToolServerUnavailable(f"What it offers takes more than {LARGEST_OFFER:,} bytes.", code="offer_too_large")
    info = client.server_info
    title = "" if info is None else clean(info.title or info.name)[:200]
    return Offer(title=title, server=None, tools=tools, left_out=left_out)


async def paged(ask: Callable[..., Awaitable[Any]], field: str) -> list[Any]:
    """Return all of a list that comes in pages."""
    found: list[Any] = []
    cursor = None
    for _ in range(MOST_PAGES):
        page = await ask(cursor=cursor)
        found += getattr(page, field)
        cursor = page.next_cursor
        if len(found) > MOST_TOOLS:
            break
        if cursor is None:
            return found
    raise ToolServerUnavailable(f"It lists more than {MOST_TOOLS:,} {field.replace('_', ' ')}.", code="offer_too_large")


def usable(schema: Any) -> tuple[dict[str, Any], str]:
    """Return a tool's schema, and else why it can't be used."""
    made: dict[str, Any] = orjson.loads(clean(orjson.dumps(schema).decode()))
    if len(orjson.dumps(made)) > LARGEST:
        return {}, f"what it takes has a schema of more than {LARGEST:,} bytes"
    if made.get("type", "object") != "object":
        return {}, "what it takes is no object"
    try:
        check_schema(made)
        jsonschema_rs.validator_for(made, offline=True)
    except (ValueError, RecursionError) as error:
        return {}, f"what it takes is described by what is no JSON schema: {str(error)[:200]}"
    return made, ""


def described(
    name: str, description: str, schema: Mapping[str, Any], request: Mapping[str, Any], *, effects: bool
) -> dict[str, Any]:
    """Return a tool."""
    text = clean(description.strip() or name)
    return {
        "name": name,
        "description": text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 2]} …",
        "input_schema": dict(schema),
        "side_effects": effects,
        "request": dict(request),
    }


def prompts_tool(name: str, prompts: Sequence[types.Prompt]) -> dict[str, Any]:
    """Return the tool that reads a server's prompts."""
    told = []
    for prompt in prompts:
        takes = ", ".join(f"{each.name}{'' if each.required else ' (optional)'}" for each in prompt.arguments or ())
        told.append(f"- {prompt.name}{f' ({takes})' if takes else ''}: {prompt.description or prompt.title or ''}")
    text = {"type": "string"}
    named = [clean(prompt.name) for prompt in prompts]
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", **({"enum": named} if len(named) <= MOST_LISTED else {})},
            "arguments": {"type": "object", "additionalProperties": text},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    return described(
        name, "\n".join(["Reads a prompt of the server:", *told]), schema, {"kind": "prompt"}, effects=False
    )


def resources_tool(
    name: str, resources: Sequence[types.Resource], templates: Sequence[types.ResourceTemplate]
) -> dict[str, Any]:
    """Return the tool that reads a server's resources."""
    told = [f"- {each.uri}: {each.description or each.title or each.name}" for each in resources]
    told += [f"- {each.uri_template}: {each.description or each.title or each.name}" for each in templates]
    uris = [clean(str(each.uri)) for each in resources]
    known = {"enum": uris} if not templates and len(uris) <= MOST_LISTED else {}
    schema = {
        "type": "object",
        "properties": {"uri": {"type": "string", **known}},
        "required": ["uri"],
        "additionalProperties": False,
    }
    return described(
        name, "\n".join(["Reads a resource of the server:", *told]), schema, {"kind": "resource"}, effects=False
    )


def clean(text: str) -> str:
    """Return a text that can be recorded."""
    return cleaned(text)[0]
