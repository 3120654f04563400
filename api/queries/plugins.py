"""Which plugins there are, over HTTP."""

from dataclasses import asdict

from starlette.responses import Response

from api.call import Call, Operation, answer
from api.cursors import PART, part_of
from api.schemas import list_schema

TEXT = {"type": "string"}
TEXT_OR_NONE = {"type": ["string", "null"]}
FIELDS = {
    "group": {**TEXT, "description": "Its entry point's group; empty where not even that could be read."},
    "name": {**TEXT, "description": "Of a knowledge source: the `type` of sources."},
    "package": {**TEXT, "description": "The package, or the module of MAGNET_PLUGINS, that it comes from."},
    "version": TEXT_OR_NONE,
    "description": TEXT,
    "state": {"type": "string", "enum": ["ready", "unhealthy", "failed"]},
    "error": {**TEXT_OR_NONE, "description": "Why it is not ready."},
    "schema": {"type": ["object", "null"], "description": "JSON schema of its `Config`."},
    "secrets": {"type": "object", "description": "The secrets that it may be given: name -> what it is."},
    "built_in": {"type": "boolean"},
}


async def plugins(call: Call) -> Response:
    """Return all plugins of the process that answers."""
    items = [asdict(each) for each in await call.container.plugins.shown()]
    return answer(part_of(call, items, "group", "name", "package"), position=await call.container.log.head())


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/plugins",
        side="queries",
        tag="plugins",
        name="list_plugins",
        summary="List plugins and built-in connectors, with the JSON schema of their settings and how they are",
        permission="configuration:read",
        handler=plugins,
        parameters=PART,
        answer=list_schema({"type": "object", "required": list(FIELDS), "properties": FIELDS}),
    ),
)
