"""Queries on runs and usage over HTTP."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.permissions import allowed
from api.queries.configurations import CURSOR, LIMIT, ORDER
from api.schemas import list_schema
from domain.errors import Invalid, NotFound
from domain.references import UUID_FORM
from projections.configurations import after_cursor, next_cursor
from projections.run_findings import FOUND
from projections.runs import ATTRIBUTE, BUCKETS, DIMENSIONS, RunsProjection, RunsQuery, UsageQuery

READ_MODEL = RunsProjection.name
TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
PERIOD = (
    Parameter(name="since", schema=TIME, description="Started at this time or later."),
    Parameter(name="until", schema=TIME, description="Started before this time."),
)
MOST_ROWS = 10_000
"""Rows of usage in one answer."""

OUTCOMES = ("running", "completed", "failed", "cancelled", "interrupted")
FILTERS = (
    Parameter(
        name="kind",
        schema=TEXT,
        description="prompt, search, answer, turn, completion, embedding, indexing, sync, sample_questions, pipeline or "
        "evaluation.",
    ),
    Parameter(name="target", schema=TEXT, description="Name or id of what was run."),
    Parameter(name="outcome", schema={"type": "string", "enum": list(OUTCOMES)}, description="How it ended."),
    Parameter(name="subject", schema=TEXT, description="Whom it was run for."),
    Parameter(name="principal", schema=TEXT, description="Id or name of who asked."),
    Parameter(name="channel", schema=TEXT, description="How it was asked for, `api`, `openai` or `mcp`."),
)
TOLD = {
    "topic": "Only turns that were taken for this topic of their agent.",
    "feedback": "Only turns of whose answer a person last said this, `up` or `down`.",
    "resolution": "Only answers of RAG tools with this resolution (`answered`, `not_answered`, `no_results`), or turns of "
    "conversations that post-processing found to be `resolved`, `partly_resolved` or `unresolved`.",
    "language": "Only answers to questions that their RAG tool found to be in this language, or turns of "
    "conversations that post-processing found to be in it, such as `en`.",
}
TELLING = tuple(Parameter(name=name, schema=TEXT, description=TOLD[name]) for name in FOUND)
ATTRIBUTES = Parameter(
    name="attribute",
    schema=TEXT,
    description="`NAME:VALUE`: only calls of which a header `Magnet-Attribute-NAME` said VALUE.",
)
ATTRIBUTE_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,63}")


def attributes(call: Call) -> dict[str, str]:
    """Return the attribute that is asked for, by its name."""
    asked = call.text("attribute")
    if asked is None:
        return {}
    name, colon, value = asked.partition(":")
    if not (colon and value and ATTRIBUTE_NAME.fullmatch(name.lower())):
        raise Invalid("An attribute is asked for by NAME:VALUE.", pointer="/attribute")
    return {name.lower(): value}


def dimension(name: str) -> bool:
    """Return whether usage can be grouped by this."""
    return name in DIMENSIONS or bool(
        name.startswith(ATTRIBUTE) and ATTRIBUTE_NAME.fullmatch(name.removeprefix(ATTRIBUTE))
    )


async def page(call: Call) -> Response:
    """Return a page of runs."""
    position = await call.wait_for_read_model(READ_MODEL)
    cursor = call.query.get("cursor")
    query = RunsQuery(
        limit=call.integer("limit", 50, 1, 500) or 50,
        after=None if cursor is None else after_cursor(cursor),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        since=call.time("since"),
        until=call.time("until"),
        **{name: call.text(name) for name in ("kind", "target", "outcome", "subject", "principal", "channel")},
        attributes=attributes(call),
        found={name: value for name in FOUND if (value := call.text(name)) is not None},
        only=None if allowed(call.actor.roles, "runs:read_all") else call.actor.id,
    )
    items, following = await call.container.runs_view.page(query)
    return answer(
        {"items": items, "next_cursor": None if following is None else next_cursor(following)}, position=position
    )


async def one(call: Call) -> Response:
    """Return a run with its steps, and what was said where that was recorded."""
    position = await call.wait_for_read_model(READ_MODEL)
    id = call.path("id")
    if not UUID_FORM.match(id):
        raise NotFound("There is no such run.")
    reads_all = allowed(call.actor.roles, "runs:read_all")
    own = {"type": call.actor.type, "id": call.actor.id}
    found = await call.container.run_reader.read(UUID(id), with_texts=True)
    if found is not None and (found["principal"]["type"], found["principal"]["id"]) != tuple(own.values()):
        # What was said may hold passages that not everyone may read.
        texts = allowed(call.actor.roles, "runs:read_texts")
        found = await call.container.run_reader.read(UUID(id), with_texts=texts) if reads_all else None
    if found is None:
        raise NotFound("There is no such run.")
    return answer(found, position=position)


async def usage(call: Call) -> Response:
    """Return calls, tokens, cost, errors and latencies by time and dimension."""
    position = await call.wait_for_read_model(READ_MODEL)
    bucket = call.query.get("bucket")
    if bucket is not None:
        bucket = call.choice("bucket", BUCKETS)
    by = [name for name in (call.text("by") or "").split(",") if name]
    if strange := [name for name in by if not dimension(name)]:
        known = ", ".join((*DIMENSIONS, f"{ATTRIBUTE}NAME"))
        raise Invalid(f"Usage is grouped by {known}; {len(strange)} of these are none of them.", pointer="/by")
    query = UsageQuery(
        limit=MOST_ROWS + 1,
        bucket=bucket,
        by=by,
        since=call.time("since"),
        until=call.time("until"),
        attributes=attributes(call),
        filters={name: value for name in DIMENSIONS if (value := call.text(name)) is not None},
    )
    items = list(await call.container.runs_view.usage(query))
    if len(items) > MOST_ROWS:
        raise Invalid(
            f"This has more than {MOST_ROWS:,} rows: group by less or a longer bucket, or narrow it by since, until or a filter.",
            code="too_many_rows",
            pointer="/by",
        )
    if call.choice("format", ("json", "csv")) == "csv":
        return Response(
            as_csv(items, by, bucket),
            media_type="text/csv; charset=utf-8",
            headers={"Magnet-Position": str(position), "Content-Disposition": 'attachment; filename="usage.csv"'},
        )
    return answer({"items": items, "next_cursor": None}, position=position)


def as_csv(items: list[Mapping[str, Any]], by: list[str], bucket: str | None) -> str:
    """Return usage as CSV; a value that a spreadsheet would take for a formula is told apart by an apostrophe."""
    written = io.StringIO()
    places = [*(["bucket"] if bucket else []), *by]
    tokens = ("input", "cache_read", "cache_write", "output", "reasoning", "total")
    writer = csv.writer(written)
    writer.writerow(
        [*places, "count", "errors", "subjects", *tokens, "amount", "currency", "unknown", "p50", "p95", "costs"]
    )
    for item in items:
        values = [item.get(place) for place in places]
        values += [item["count"], item["errors"], item["subjects"], *(item["usage"][name] for name in tokens)]
        values += [item["cost"]["amount"], item["cost"]["currency"], item["cost"]["unknown"]]
        values += [item["latency_ms"]["p50"], item["latency_ms"]["p95"]]
        values.append(", ".join(f"{currency} {amount}" for currency, amount in item["costs"].items()))
        writer.writerow([f"'{v}" if isinstance(v, str) and v[:1] in "=+-@\t\r" else v for v in values])
    return written.getvalue()


def _query(path: str, tag: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        side="queries",
        tag=tag,
        name=name,
        summary=summary,
        permission="usage:read" if tag == "usage" else "runs:read",
        handler=handler,
        **{"answer": list_schema({"type": "object"}), **more},
    )


OPERATIONS = (
    _query(
        "/v1/runs",
        "runs",
        "list_runs",
        "List runs",
        page,
        parameters=(LIMIT, CURSOR, ORDER, *FILTERS, *TELLING, ATTRIBUTES, *PERIOD),
    ),
    _query("/v1/runs/{id}", "runs", "get_run", "Read a run with its steps", one, answer={"type": "object"}),
    _query(
        "/v1/usage",
        "usage",
        "get_usage",
        "Read calls, tokens, cost, errors and latencies by time and dimension",
        usage,
        parameters=(
            Parameter(name="bucket", schema={"type": "string", "enum": list(BUCKETS)}, description="Of time, in UTC."),
            Parameter(
                name="by",
                schema=TEXT,
                description=f"Separated by commas: {', '.join(DIMENSIONS)}; `{ATTRIBUTE}NAME` is what headers "
                "`Magnet-Attribute-NAME` said of calls.",
            ),
            Parameter(name="format", schema={"type": "string", "enum": ["json", "csv"]}, description="Of the answer."),
            *(
                Parameter(name=name, schema=TEXT, description=f"Only this {name}.")
                for name in DIMENSIONS
                if name not in FOUND
            ),
            *TELLING,
            ATTRIBUTES,
            *PERIOD,
        ),
    ),
)
