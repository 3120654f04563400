"""Queries on the log itself over HTTP: events, their types, tags, projections and dead letters."""

from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.queries.configurations import LIMIT, READ_MODEL
from api.schemas import list_schema
from domain.errors import Invalid
from domain.references import UUID_FORM
from projections.documents import rfc3339
from projections.event_types import event_types
from projections.events import public_events

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
EVENTS = (
    LIMIT,
    Parameter(name="cursor", schema=TEXT, description="`next_cursor` of the page before."),
    Parameter(name="after", schema={"type": "integer", "minimum": 0}, description="Events after this position."),
    Parameter(name="type", schema=TEXT, description="Event types, separated by commas."),
    Parameter(name="kind", schema=TEXT, description="The kind of thing, such as `prompt`."),
    Parameter(name="aggregate", schema={"type": "string", "format": "uuid"}, description="The thing's id."),
    Parameter(name="actor", schema=TEXT, description="Id or name of who caused it."),
    Parameter(name="correlation", schema=TEXT, description="The Request-Id that it belongs to."),
    Parameter(name="reason", schema=TEXT, description="Part of the reason given."),
    Parameter(name="since", schema=TIME, description="Recorded at this time or later."),
    Parameter(name="until", schema=TIME, description="Recorded before this time."),
)


async def events(call: Call) -> Response:
    """Return events in the order of the log."""
    aggregate = call.text("aggregate")
    if aggregate is not None and not UUID_FORM.match(aggregate):
        raise Invalid("'aggregate' is the id of a thing.", code="invalid_id", pointer="/aggregate")
    limit = call.integer("limit", 50, 1, 500) or 50
    after = call.integer("after", 0, 0, 2**62) or 0
    after = max(after, call.integer("cursor", 0, 0, 2**62) or 0)
    types = call.text("type", 2000)
    filters: dict[str, Any] = {
        "aggregate": aggregate,
        "types": types.split(",") if types is not None else None,
        "kind": call.text("kind"),
        "actor": call.text("actor"),
        "correlation": call.text("correlation"),
        "reason": call.text("reason"),
        "since": call.time("since"),
        "until": call.time("until"),
    }
    head = await call.container.log.head()
    entries = await call.container.read_log(after, limit + 1, filters)
    shown = entries[:limit]
    following = str(shown[-1].position) if len(entries) > limit else None
    items = await public_events(shown, call.container.log)
    return answer({"items": items, "next_cursor": following}, position=head)


async def types(call: Call) -> Response:
    """Return every type of event, with its fields."""
    return answer({"items": event_types(), "next_cursor": None}, position=await call.container.log.head())


async def tags(call: Call) -> Response:
    """Return each tag with the number of things that carry it."""
    position = await call.wait_for_read_model(READ_MODEL)
    return answer({"items": await call.container.view.tags(), "next_cursor": None}, position=position)


async def projections(call: Call) -> Response:
    """Return where each projection stands."""
    found = await call.container.administration.status()
    items = [{**asdict(status), "updated_at": rfc3339(status.updated_at)} for status in found]
    return answer({"items": items, "next_cursor": None}, position=await call.container.log.head())


async def dead_letters(call: Call) -> Response:
    """Return the streams that projections have set aside."""
    found = await call.container.administration.dead_letters()
    items = [{**asdict(letter), "parked_at": rfc3339(letter.parked_at)} for letter in found]
    return answer({"items": items, "next_cursor": None}, position=await call.container.log.head())


def _query(path: str, tag: str, name: str, summary: str, permission: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        side="queries",
        tag=tag,
        name=name,
        summary=summary,
        permission=permission,
        handler=handler,
        answer=list_schema({"type": "object"}),
        **more,
    )


OPERATIONS = (
    _query("/v1/events", "events", "list_events", "Read the log", "log:read", events, parameters=EVENTS),
    _query("/v1/event-types", "events", "list_event_types", "Read which events there are", "configuration:read", types),
    _query("/v1/tags", "tags", "list_tags", "List and count tags", "configuration:read", tags),
    _query(
        "/v1/projections",
        "projections",
        "list_projections",
        "See where projections stand",
        "projections:read",
        projections,
    ),
    _query(
        "/v1/dead-letters",
        "dead-letters",
        "list_dead_letters",
        "See what projections have set aside",
        "projections:read",
        dead_letters,
    ),
)
