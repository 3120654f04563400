"""Following the log over HTTP: as server-sent events without an end, or by asking again and waiting."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from api.call import Call, Operation, Parameter
from api.permissions import allowed
from api.queries.log_filters import FILTERS, filters_of
from api.streaming import EventStream, gone
from domain.errors import Invalid
from projections.recorded import LogEntry

PERMISSION = "log:read"
BATCH, BATCH_BYTES = 500, 1024 * 1024
"""What one consumer is sent at once: a batch is made while the one before is being taken, no more."""

AFTER = Parameter(name="after", schema={"type": "integer", "minimum": 0}, description="Events after this position.")
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    schema={"type": "integer", "minimum": 0},
    description="Goes on after this event; before `after`.",
)


async def stream(call: Call) -> Response:
    """Send what comes after a position, and all that comes then."""
    after = _last_event_id(call)
    if after is None:
        after = call.integer("after", 0, 0, 2**62) or 0
    filters = filters_of(call)
    return EventStream(frames(call, after, filters), {"Magnet-Position": str(await call.container.log.head())})


async def frames(call: Call, after: int, filters: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
    """Yield batch after batch, for as long as the caller may see them."""
    container = call.container
    yield b": events after %d\n\n" % after
    async with container.follow_log(after, filters, limit=BATCH, heaviest=BATCH_BYTES) as following:
        async for batch in following:
            caller = await container.authenticator.still(call.actor)
            if caller is None or not allowed(caller.roles, PERMISSION):
                yield b": this credential may read the log no more\n\n"
                return
            yield await container.event_frames.of(batch)


async def first_batch(
    call: Call, after: int, filters: Mapping[str, Any], *, limit: int, seconds: int
) -> tuple[Sequence[LogEntry], int]:
    """Wait for the first events after a position; return none when the time is over, and how far the log was seen."""
    async with call.container.follow_log(after, filters, limit=limit, heaviest=BATCH_BYTES) as following:
        leaving = asyncio.ensure_future(gone(call.request.receive))
        leaving.add_done_callback(lambda _: following.close())
        over = asyncio.get_running_loop().call_later(seconds, following.close)
        try:
            batch: list[LogEntry] = await anext(following, [])
        finally:
            over.cancel()
            leaving.cancel()
        return batch, following.position


def _last_event_id(call: Call) -> int | None:
    value = call.request.headers.get("last-event-id")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise Invalid(
            "Last-Event-ID is the position that an event had as its `id`.", code="invalid_position", pointer=""
        )
    return int(value)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events/stream",
        side="queries",
        tag="events",
        name="stream_events",
        summary="Follow the log by server-sent events: `id` is the position, `data` the event",
        permission=PERMISSION,
        handler=stream,
        parameters=(AFTER, *FILTERS),
        headers=(LAST_EVENT_ID,),
        media=("text/event-stream",),
    ),
)
