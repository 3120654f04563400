"""Queries on the log itself over HTTP: events, their types, tags, and projections."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.cursors import PART, cursor_after, part_of, place_of
from api.permissions import OWN_PERMISSIONS, allowed
from api.queries.configurations import CURSOR, LIMIT, READ_MODEL
from api.queries.event_stream import AFTER, first_batch
from api.queries.log_export import CHANGES, FORMAT, MEDIA, export, form_of
from api.queries.log_filters import FILTERS, filters_of
from api.schemas import list_schema
from domain.errors import NotFound
from domain.references import UUID_FORM
from projections.documents import rfc3339
from projections.event_types import event_types
from projections.recorded import LogEntry

LONGEST_WAIT = 60
HEAVIEST = 8 * 1024 * 1024
"""Bytes of events after which a page ends, however many are asked for."""

EVENTS = (
    LIMIT,
    CURSOR,
    AFTER,
    Parameter(
        name="wait",
        schema={"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        description="Seconds to wait for the first event, where there is none yet. "
        "An empty page's `Magnet-Position` is the `after` to go on with.",
    ),
    CHANGES,
    FORMAT,
    *FILTERS,
)


async def events(call: Call) -> Response:
    """Return events in the order of the log; with `wait`, as soon as there are some."""
    after = call.integer("after", 0, 0, 2**62) or 0
    after = max(after, call.integer("cursor", 0, 0, 2**62) or 0)
    seconds = call.integer("wait", 0, 0, LONGEST_WAIT) or 0
    filters, changes = filters_of(call), call.choice("changes", ("true", "false")) == "true"
    head = await call.container.log.head()
    if (form := form_of(call)) != "json":
        most = call.integer("limit", None, 1, 2**62)
        return export(call, form, after, head, filters, most=most, changes=changes)
    limit = call.integer("limit", 50, 1, 500) or 50
    entries: Sequence[LogEntry] = await call.container.read_log(after, limit + 1, filters, HEAVIEST)
    if not entries and seconds:
        entries, head = await first_batch(call, max(after, head), filters, limit=limit, seconds=seconds)
    shown = entries[:limit]
    if shown:
        head = max(head, shown[-1].position)  # what came between both readings is shown too
    more = len(entries) > limit or sum(entry.size for entry in entries) >= HEAVIEST
    following = str(shown[-1].position) if more else None
    items = await call.container.shown_events(shown, changes=changes)
    return answer({"items": items, "next_cursor": following}, position=head)


async def event(call: Call) -> Response:
    """Return one event, by its position or its id."""
    ref = call.path("ref")
    entry = None
    if ref.isascii() and ref.isdigit() and len(ref) < 19:
        entry = await call.container.log.at(int(ref))
    elif UUID_FORM.match(ref):
        entry = await call.container.log.find(UUID(ref))
    if entry is None:
        raise NotFound("There is no such event.")
    [shown] = await call.container.shown_events([entry], changes=True)
    return answer(shown, position=await call.container.log.head())


async def types(call: Call) -> Response:
    """Return every type of event, with its fields."""
    return answer(part_of(call, event_types(), "type"), position=await call.container.log.head())


async def tags(call: Call) -> Response:
    """Return each tag with the number of things that carry it, of those that the caller may read."""
    limit, after = call.integer("limit", 50, 1, 500) or 50, place_of(call, 1)
    position = await call.wait_for_read_model(READ_MODEL)
    unread = [kind for kind, (read, _) in OWN_PERMISSIONS.items() if not allowed(call.actor.roles, read)]
    items = await call.container.view.tags(after[0] if after else None, limit + 1, without=unread)
    following = cursor_after([items[limit - 1]["tag"]]) if len(items) > limit else None
    return answer({"items": items[:limit], "next_cursor": following}, position=position)


async def projections(call: Call) -> Response:
    """Return where each projection stands."""
    found = await call.container.administration.status()
    items = [{**asdict(status), "updated_at": rfc3339(status.updated_at)} for status in found]
    return answer(part_of(call, items, "name"), position=await call.container.log.head())


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
    _query("/v1/events", "events", "list_events", "Read the log", "log:read", events, parameters=EVENTS, media=MEDIA),
    Operation(
        method="GET",
        path="/v1/events/{ref}",
        side="queries",
        tag="events",
        name="get_event",
        summary="Read one event, by its position or its id",
        permission="log:read",
        handler=event,
        answer={"type": "object"},
    ),
    _query(
        "/v1/event-types",
        "events",
        "list_event_types",
        "Read which events there are",
        "configuration:read",
        types,
        parameters=PART,
    ),
    _query(
        "/v1/tags", "tags", "list_tags", "List and count tags", "configuration:read", tags, parameters=(LIMIT, CURSOR)
    ),
    _query(
        "/v1/projections",
        "projections",
        "list_projections",
        "See where projections stand",
        "projections:read",
        projections,
        parameters=PART,
    ),
)
