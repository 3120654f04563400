"""An OpenTelemetry collector: spans are sent to it over OTLP, HTTP and protobuf."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from projections.spans import Span

SCOPE = InstrumentationScope("magnet")
PATH = "/v1/traces"
SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class CollectorAway(OSError):
    """The collector did not take the spans."""


class Collector:
    """Sends spans to where OTEL_EXPORTER_OTLP_ENDPOINT points; further settings of OpenTelemetry's hold as well."""

    def __init__(self, endpoint: str, resource: Mapping[str, str]) -> None:
        self._exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + PATH)
        self._resource = Resource(dict(resource))

    async def open(self) -> None:
        """Nothing is to be done: each request stands by itself."""

    async def write(self, items: Sequence[Span]) -> None:
        """Send spans, or raise CollectorAway."""
        sent = [readable(span, self._resource) for span in items]
        if await asyncio.to_thread(self._exporter.export, sent) is not SpanExportResult.SUCCESS:
            raise CollectorAway("the collector took no spans")

    async def close(self) -> None:
        """Let go of connections."""
        await asyncio.to_thread(self._exporter.shutdown)


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Return a span as OpenTelemetry's exporters take it."""
    return ReadableSpan(
        name=span.name,
        context=context(span.trace, span.id),
        parent=None if span.parent is None else context(span.trace, span.parent),
        resource=resource,
        attributes=dict(span.attributes) | ({} if span.error is None else {"error.type": span.error}),
        kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
        status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=nanoseconds(span.began),
        end_time=nanoseconds(span.ended),
        instrumentation_scope=SCOPE,
    )


def context(trace: int, id: int) -> SpanContext:
    """Return what names a span everywhere."""
    return SpanContext(trace_id=trace, span_id=id, is_remote=False, trace_flags=SAMPLED)


def nanoseconds(time: datetime) -> int:
    """Return a time as OpenTelemetry counts."""
    return int(time.timestamp() * 1_000_000) * 1000
