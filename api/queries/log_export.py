"""The log as a file: JSON lines or CSV, made while it is being sent."""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from api.call import Call, Parameter

FORMS = ("json", "ndjson", "csv")
NDJSON, CSV = "application/x-ndjson", "text/csv"
MEDIA = ("application/json", NDJSON, CSV)
CHANGES = Parameter(
    name="changes",
    schema={"type": "boolean", "default": True},
    description="With `changes`: each field that an event changed, before and after.",
)
FORMAT = Parameter(
    name="format",
    schema={"type": "string", "enum": list(FORMS)},
    description="`ndjson` and `csv` give everything up to the present head of the log as one file; "
    f"else what `Accept` names: {NDJSON} or {CSV}.",
)
SECTION, SECTION_BYTES = 200, 4 * 1024 * 1024
"""How much of the log is held at once."""

COLUMNS = (
    "position", "id", "recorded_at", "type", "kind", "aggregate_id", "name", "version", "actor_type", "actor_id",
    "actor_name", "reason", "summary", "changes", "correlation_id", "causation_id", "data", "hash",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def form_of(call: Call) -> str:
    """Return json, ndjson or csv: what `format` says, else what `Accept` names first."""
    if "format" in call.query:
        return call.choice("format", FORMS)
    for part in call.request.headers.get("accept", "").split(","):
        media = part.partition(";")[0].strip().lower()
        if media in (NDJSON, CSV):
            return "ndjson" if media == NDJSON else "csv"
        if media in ("application/json", "*/*"):
            break
    return "json"


def export(
    call: Call, form: str, after: int, head: int, filters: Mapping[str, Any], *, most: int | None, changes: bool
) -> Response:
    """Return what fits after a position and up to the head, as a file."""
    headers = {"Content-Disposition": f'attachment; filename="events.{form}"', "Magnet-Position": str(head)}
    sections = parts(call, after, head, filters, most=most, changes=changes)
    if form == "csv":
        return StreamingResponse(lines(sections, csv_rows, csv_row(COLUMNS)), media_type=CSV, headers=headers)
    return StreamingResponse(lines(sections, json_lines, b""), media_type=NDJSON, headers=headers)


async def parts(
    call: Call, after: int, head: int, filters: Mapping[str, Any], *, most: int | None, changes: bool
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield events section by section; an error in their middle breaks the connection, so that it is seen."""
    left = most
    while after < head:
        limit = SECTION if left is None else min(SECTION, left)
        entries = await call.container.read_log(after, limit, filters, SECTION_BYTES)
        entries = [entry for entry in entries if entry.position <= head]
        if not entries:
            return
        yield await call.container.shown_events(entries, changes=changes)
        after = entries[-1].position
        left = None if left is None else left - len(entries)
        if left == 0:
            return


async def lines(
    sections: AsyncGenerator[list[dict[str, Any]], None],
    written: Callable[[Sequence[Mapping[str, Any]]], bytes],
    heading: bytes,
) -> AsyncGenerator[bytes, None]:
    """Yield a file's bytes."""
    if heading:
        yield heading
    async for events in sections:
        yield written(events)


def json_lines(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Return events as JSON, one a line."""
    return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


def csv_rows(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Return events as lines of CSV."""
    return b"".join(csv_row([cell(event, column) for column in COLUMNS]) for event in events)


def cell(event: Mapping[str, Any], column: str) -> str:
    """Return what stands in a column of an event; what is no text stands there as JSON."""
    value = event["actor"][column[6:]] if column.startswith("actor_") else event.get(column)
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else orjson.dumps(value).decode()


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula (CWE-1236)."""
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_row(cells: Sequence[str]) -> bytes:
    """Return a line of CSV (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
