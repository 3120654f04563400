"""The tools of a tool server over HTTP."""

from typing import Any

from starlette.responses import Response

from api.call import Call, Operation, answer
from api.schemas import list_schema
from domain.references import identify
from domain.tool_server import ToolServer

FIELDS = {
    "name": {"type": "string", "description": "An action's `operation`."},
    "description": {"type": "string", "description": "What models are told of it."},
    "input_schema": {"type": "object", "description": "JSON schema of its arguments."},
    "side_effects": {"type": "boolean", "description": "Whether calling it changes something."},
    "enabled": {"type": "boolean"},
    "requires_confirmation": {"type": "boolean"},
}


async def tools(call: Call) -> Response:
    """Return the tools of a tool server as they were when it was synced, with what is set for each."""
    server = await call.container.store.newest(ToolServer, identify("tool_server", call.path("ref")))
    items = [shown(server, tool) for tool in server.offered]
    return answer({"items": items, "next_cursor": None}, position=await call.container.log.head())


def shown(server: ToolServer, tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's public form."""
    settings = server.settings(tool["name"])
    return {
        "name": tool["name"],
        "description": settings.description or tool["description"],
        "input_schema": tool["input_schema"],
        "side_effects": server.has_effects(tool),
        "enabled": settings.enabled,
        "requires_confirmation": settings.requires_confirmation,
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tool-servers/{ref}/tools",
        side="queries",
        tag="tool-servers",
        name="list_tools_of_tool_server",
        summary="List the tools of a tool server, as they were when it was synced",
        permission="configuration:read",
        handler=tools,
        answer=list_schema({"type": "object", "required": list(FIELDS), "properties": FIELDS}),
    ),
)
