"""Runs leave the log as traces: each once it has ended, also where the collector was away meanwhile."""

from collections.abc import Callable
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.outflow import Outflow, Prepared
from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.listener import Listener
from adapters.postgres.reading import rows_of
from adapters.telemetry.collector import Collector
from domain.run import Run
from projections.spans import Span, ended_runs, spans_of

NAME = "otlp_traces_v1"
BATCH = 500
"""Events of the log that are looked at together."""

EVERYTHING = LogFilter()
SQL = sql.load("adapters.telemetry", "traces.sql")


def trace_export(
    endpoint: str,
    installation: UUID,
    *,
    dsn: str,
    pool: AsyncConnectionPool,
    reader: EventLog,
    listener: Listener,
    moved: Callable[[str, int], object],
) -> Outflow[Span]:
    """Return what sends runs as traces to a collector."""

    async def prepare(after: int) -> Prepared[Span]:
        entries = await reader.read(after, BATCH, EVERYTHING)
        ended = ended_runs(entries)
        runs = [entry.stream for entry in ended]
        begun = {entry.stream: entry for entry in await reader.newest(runs, Run.Created.TOPIC)}
        traces = dict(await rows_of(pool, SQL["traces"], {"runs": uuids(runs)})) if runs else {}
        spans = [span for each in ended for span in spans_of(begun[each.stream], each, traces[each.stream])]
        return Prepared(items=spans, reached=entries[-1].position if entries else after)

    resource = {"service.name": "magnet", "service.instance.id": str(installation)}
    return Outflow(
        name=NAME, dsn=dsn, pool=pool, listener=listener, moved=moved, prepare=prepare,
        sink=lambda: Collector(endpoint, resource), away=(OSError,),
    )  # fmt: skip
