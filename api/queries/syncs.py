"""Queries on syncs over HTTP: lists, one with its progress, and the documents that failed."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.documents import source_of
from api.commands.syncs import sync_of
from api.queries.configurations import CURSOR, LIMIT, ORDER
from api.queries.documents import known_source
from api.schemas import list_schema
from domain.errors import Invalid, NotFound
from domain.references import UUID_FORM
from domain.sync import TOTALS
from projections.configurations import after_cursor, next_cursor
from projections.documents import rfc3339
from projections.syncs import SyncError, SyncRow, SyncsProjection, SyncsQuery

READ_MODEL = SyncsProjection.name
STATES = ("running", "cancelling", "completed", "failed", "cancelled")
ERRORS_SHOWN = 100
"""Errors that stand in a sync itself; all of them are in a list of their own."""


async def page(call: Call) -> Response:
    """Return a page of a source's syncs."""
    source = await known_source(call)
    cursor = call.query.get("cursor")
    query = SyncsQuery(
        source=source,
        limit=call.integer("limit", 50, 1, 500) or 50,
        after=None if cursor is None else after_cursor(cursor),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        state=call.choice("state", STATES) if "state" in call.query else None,
    )
    position = await call.wait_for_read_model(READ_MODEL)
    found, following = await call.container.syncs_view.page(query)
    last = await call.container.syncs_view.last_synced(source)
    names = await call.container.log.names({source})
    shown = {
        "items": [sync(each, names.get(source)) for each in found],
        "next_cursor": None if following is None else next_cursor(following),
        "last_synced": None if last is None else rfc3339(last),
    }
    return answer(shown, position=position)


async def one(call: Call) -> Response:
    """Return a sync with its progress."""
    position = await call.wait_for_read_model(READ_MODEL)
    found = await existing(call)
    errors = await call.container.syncs_view.errors(found.id, None, ERRORS_SHOWN)
    names = await call.container.log.names({found.source})
    shown = sync(found, names.get(found.source)) | {"errors": [error(each) for each in errors]}
    return answer(shown, position=position, headers={"ETag": f'"{found.version}"'})


async def errors(call: Call) -> Response:
    """Return a page of the documents that failed in a sync."""
    position = await call.wait_for_read_model(READ_MODEL)
    found = await existing(call)
    limit = call.integer("limit", 50, 1, 500) or 50
    cursor = call.query.get("cursor")
    if cursor is not None and not UUID_FORM.match(cursor):
        raise Invalid("This is no cursor: take next_cursor of the list.", code="invalid_cursor", pointer="/cursor")
    after = None if cursor is None else UUID(cursor)
    failed = await call.container.syncs_view.errors(found.id, after, limit + 1)
    shown = failed[:limit]
    following = str(shown[-1].document) if len(failed) > limit else None
    return answer({"items": [error(each) for each in shown], "next_cursor": following}, position=position)


async def existing(call: Call) -> SyncRow:
    """Return the sync that is addressed, or raise NotFound."""
    found = await call.container.syncs_view.get(source_of(call), sync_of(call))
    if found is None:
        raise NotFound("There is no such sync.")
    return found


def sync(row: SyncRow, source_name: str | None) -> dict[str, Any]:
    """Return a sync's public form."""
    return {
        "id": str(row.id),
        "source": {"id": str(row.source), "name": source_name},
        "state": row.state,
        "error": row.error,
        "counts": {"listed": row.listed, "left_out": row.left_out, **row.totals},
        "progress": {"done": row.fetched, "total": row.to_fetch},
        "rate": None if row.rate is None else round(row.rate, 3),
        "estimate_seconds": None if row.estimate is None else round(row.estimate, 1),
        "started_at": rfc3339(row.started_at),
        "updated_at": rfc3339(row.updated_at),
        "ended_at": None if row.ended_at is None else rfc3339(row.ended_at),
    }


def error(row: SyncError) -> dict[str, Any]:
    """Return the public form of a document that failed."""
    return {
        "document_id": str(row.document),
        "external_id": row.external_id,
        "code": row.code,
        "reason": row.reason,
    }


INTEGER = {"type": ["integer", "null"]}
ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("document_id", "external_id", "code", "reason")},
}
SYNC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "source": {"description": "`{id, name}`"},
        "state": {"enum": list(STATES)},
        "error": {"type": ["object", "null"], "description": "`{code, reason}`"},
        "counts": {
            "type": "object",
            "properties": dict.fromkeys(("listed", "left_out", *TOTALS), INTEGER),
        },
        "progress": {
            "type": "object",
            "description": "Of what is to be fetched.",
            "properties": {"done": INTEGER, "total": INTEGER},
        },
        "rate": {"type": ["number", "null"], "description": "Documents fetched in a second."},
        "estimate_seconds": {"type": ["number", "null"], "description": "Until the rest is fetched."},
        "started_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "ended_at": {"type": ["string", "null"], "format": "date-time"},
        "errors": {"type": "array", "items": ERROR, "description": f"The first {ERRORS_SHOWN}."},
    },
}


def _query(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/knowledge-sources/{{ref}}/syncs{path}",
        side="queries",
        tag="knowledge-sources",
        name=name,
        summary=summary,
        permission="syncs:read",
        handler=handler,
        **more,
    )


STATE = Parameter(name="state", schema={"type": "string", "enum": list(STATES)}, description="Only these.")
OPERATIONS = (
    _query(
        "",
        "list_syncs",
        "List the syncs of a knowledge source, and when it was last synced",
        page,
        answer=list_schema(SYNC),
        parameters=(LIMIT, CURSOR, replace(ORDER, description="The newest or the oldest first."), STATE),
    ),
    _query("/{id}", "get_sync", "Read a sync: counts, rate, estimate, errors", one, answer=SYNC),
    _query(
        "/{id}/errors",
        "list_sync_errors",
        "List the documents that failed in a sync",
        errors,
        answer=list_schema(ERROR),
        parameters=(LIMIT, CURSOR),
    ),
)
