"""Asking a tool server what it offers, and trying its tools out, over HTTP."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation
from api.commands.configurations import nothing_else
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from commands.agents.tool_server import SyncTools, TryTool
from domain.definition import JSON, Strict, parse
from domain.references import identify

COUNTED = {"type": "array", "items": {"type": "string"}}
SYNCED: Mapping[str, Any] = {
    "tools": {"type": "integer", "description": "How many it offers."},
    "added": COUNTED,
    "changed": COUNTED,
    "removed": COUNTED,
    "left_out": {
        "type": "array",
        "items": {"type": "object"},
        "description": "`{tool, reason}` of what can't be called.",
    },
    "unknown_settings": {**COUNTED, "description": "Pointers to settings and mocks of tools that it does not offer."},
}
TRIED: Mapping[str, Any] = {
    "ok": {"type": "boolean", "description": "Whether the tool answered without an error."},
    "request": {"type": "string", "description": "What was sent, without what is secret; empty for a mock."},
    "status": {"type": ["integer", "null"], "description": "Of HTTP; null where there is none."},
    "result": {"type": "string", "description": "What a model would be told."},
    "mocked": {"type": "boolean"},
    "duration_ms": {"type": "number"},
}


class TryToolBody(Strict):
    """Which tool is called, with what."""

    tool: str = Field(min_length=1, max_length=64)
    arguments: dict[str, JSON] = Field(default_factory=dict)


async def sync(call: Call) -> Response:
    """Ask a tool server what it offers, and record that."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    command = SyncTools(id=identify("tool_server", call.path("ref")), if_match=call.if_match())
    return call.receipt(await call.container.tool_servers.sync(command, call.context(reason=message, raw=raw)))


async def try_out(call: Call) -> Response:
    """Call a tool, and show what came of it."""
    body, message, raw = await call.body()
    asked = parse(TryToolBody, body)
    command = TryTool(
        id=identify("tool_server", call.path("ref")),
        if_match=call.if_match(),
        tool=asked.tool,
        arguments=asked.arguments,
    )
    return call.receipt(await call.container.tool_servers.try_out(command, call.context(reason=message, raw=raw)))


def _answer(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {**PROBLEM_FREE_RECEIPT, "properties": {**PROBLEM_FREE_RECEIPT["properties"], **shown}}


def _with_message(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], "message": MESSAGE}}


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tool-servers/{ref}/sync",
        side="commands",
        tag="tool-servers",
        name="sync_tool_server",
        summary="Ask a tool server what it offers, and record it; a problem says what is wrong with it",
        permission="tools:test",
        handler=sync,
        body={"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
        body_required=False,
        if_match=True,
        answer=_answer(SYNCED),
    ),
    Operation(
        method="POST",
        path="/v1/tool-servers/{ref}/test",
        side="commands",
        tag="tool-servers",
        name="test_tool",
        summary="Call a tool, really, unless the tool server is mocked: its request, status, result and duration",
        permission="tools:test",
        handler=try_out,
        body=_with_message(body_schema(TryToolBody)),
        if_match=True,
        answer=_answer(TRIED),
    ),
)
