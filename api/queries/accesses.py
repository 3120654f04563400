"""Who read the log over HTTP: the access log, which notes this very reading too."""

from dataclasses import replace

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.queries.configurations import CURSOR, LIMIT, ORDER
from api.schemas import list_schema
from projections.accesses import OUTCOMES

TIME = {"type": "string", "format": "date-time"}


async def accesses(call: Call) -> Response:
    """Return accesses."""
    limit = call.integer("limit", 50, 1, 500) or 50
    filters = {
        "actor": call.text("actor"),
        "outcome": call.choice("outcome", OUTCOMES) if "outcome" in call.query else None,
        "since": call.time("since"),
        "until": call.time("until"),
    }
    items = await call.container.access_log.page(
        after=call.integer("cursor", None, 1, 2**62),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        limit=limit + 1,
        filters=filters,
    )
    following = str(items[limit - 1]["id"]) if len(items) > limit else None
    return answer({"items": items[:limit], "next_cursor": following}, position=await call.container.log.head())


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/audit/accesses",
        side="queries",
        tag="audit",
        name="list_accesses",
        summary="See who read the log, or was refused something",
        permission="log:read",
        handler=accesses,
        parameters=(
            LIMIT,
            CURSOR,
            replace(ORDER, description="The newest or the oldest first."),
            Parameter(name="actor", schema={"type": "string"}, description="Id or name of who asked."),
            Parameter(
                name="outcome", schema={"type": "string", "enum": list(OUTCOMES)}, description="What came of it."
            ),
            Parameter(name="since", schema=TIME, description="At this time or later."),
            Parameter(name="until", schema=TIME, description="Before this time."),
        ),
        answer=list_schema(
            {
                "type": "object",
                "required": ["id", "at", "actor", "method", "path", "query", "outcome", "status", "attempts"],
                "properties": {
                    "id": {"type": "integer"},
                    "at": TIME,
                    "actor": {"type": "object"},
                    "address": {"type": ["string", "null"]},
                    "method": {"type": "string"},
                    "path": {"type": "string"},
                    "query": {"type": "string", "description": "As it was sent."},
                    "outcome": {"type": "string", "enum": list(OUTCOMES)},
                    "status": {"type": "integer"},
                    "code": {"type": ["string", "null"]},
                    "attempts": {
                        "type": "integer",
                        "description": "More than one: many of nobody known, told together.",
                    },
                    "request_id": {"type": "string"},
                },
            }
        ),
    ),
)
