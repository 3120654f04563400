"""What projections have set aside and webhooks did not take, over HTTP."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, answer
from api.cursors import cursor_after, place_of
from api.queries.configurations import CURSOR, LIMIT
from api.schemas import list_schema
from domain.errors import Invalid
from projections.documents import rfc3339

PLACE = ("parked_at", "id")


async def dead_letters(call: Call) -> Response:
    """Return the streams that projections have set aside, and the events that webhooks did not take, oldest first."""
    limit, after = call.integer("limit", 50, 1, 500) or 50, _after(call)
    streams = await call.container.administration.dead_letters(after, limit + 1)
    items = [{**asdict(letter), "webhook": None, "parked_at": rfc3339(letter.parked_at)} for letter in streams]
    items += await call.container.webhooks.dead_letters(after, limit + 1)
    items.sort(key=lambda item: [str(item[name]) for name in PLACE])
    shown = items[:limit]
    following = cursor_after([str(shown[-1][name]) for name in PLACE]) if len(items) > limit else None
    return answer({"items": shown, "next_cursor": following}, position=await call.container.log.head())


def _after(call: Call) -> tuple[datetime, UUID] | None:
    place = place_of(call, len(PLACE))
    if place is None:
        return None
    try:
        return datetime.fromisoformat(place[0]), UUID(place[1])
    except ValueError:
        raise Invalid(
            "This is no cursor: take next_cursor of the list.", code="invalid_cursor", pointer="/cursor"
        ) from None


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/dead-letters",
        side="queries",
        tag="dead-letters",
        name="list_dead_letters",
        summary="See what projections have set aside and webhooks did not take",
        permission="projections:read",
        handler=dead_letters,
        parameters=(LIMIT, CURSOR),
        answer=list_schema({"type": "object"}),
    ),
)
