"""Runs leave as OpenTelemetry traces: real OTLP over HTTP, to a collector on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.library import library
from tests.support.model_server import ModelServer, Reply, server_error
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.webhook_receiver import Receiver, receiving

TRACE = "0af7651916cd43dd8448eb211c80319c"
OK = "200 OK\r\nContent-Length: 0\r\n"


@pytest.fixture
def server() -> Any:
    with ModelServer() as running:
        yield running


@pytest.fixture
async def collector() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@asynccontextmanager
async def traced(database: Database, home: Path, server: ModelServer, collector: Receiver) -> AsyncIterator[Running]:
    """A server with a prompt `greet`, which sends its runs to the collector."""
    endpoint = f"http://127.0.0.1:{collector.port}"
    async with (
        serving(database, home, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as magnet,
        library(magnet) as books,
    ):
        await books.models(server)
        await magnet.do("POST", "/v1/prompts", {"name": "greet", "text": "Greet {{ name }}"})
        yield magnet


def spans_in(collector: Receiver) -> list[Span]:
    found = []
    for delivery in collector.deliveries:
        assert delivery.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(delivery.body).resource_spans:
            for scope in resource.scope_spans:
                found += scope.spans
    return found


async def spans(collector: Receiver, count: int) -> list[Span]:
    """Wait for so many spans, and return them."""
    async with asyncio.timeout(PATIENCE):
        while len(found := spans_in(collector)) < count:
            await collector.got(len(collector.deliveries) + 1)
    return found


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


async def test_a_run_is_a_trace_with_its_steps_tokens_and_nothing_of_what_was_said(
    database: Database, tmp_path: Path, server: ModelServer, collector: Receiver
):
    server.script_for("chat-model", Reply(text="Good day to you."))
    async with traced(database, tmp_path, server, collector) as magnet:
        body = {"variables": {"name": "Ada Lovelace"}}
        run = await magnet.do("POST", "/v1/prompts/greet/run", body, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
        root, call, attempt = await spans(collector, 3)
    assert {each.trace_id.hex() for each in (root, call, attempt)} == {TRACE}
    assert (root.parent_span_id, call.parent_span_id, attempt.parent_span_id) == (b"", root.span_id, call.span_id)
    assert (root.name, attempt.name, attempt.kind) == ("chat greet", "chat chat", Span.SPAN_KIND_CLIENT)
    told = attributes(attempt)
    assert told["gen_ai.request.model"] == "chat-model" and told["gen_ai.operation.name"] == "chat"
    usage = run["usage"]
    assert attributes(root)["gen_ai.usage.input_tokens"] == told["gen_ai.usage.input_tokens"] == usage["input"]
    assert told["gen_ai.usage.output_tokens"] == usage["output"]
    assert attributes(root)["magnet.run.id"] == run["run_id"]
    assert root.start_time_unix_nano <= attempt.start_time_unix_nano <= attempt.end_time_unix_nano
    sent = b"".join(each.body for each in collector.deliveries)
    assert b"Ada" not in sent and b"Good day" not in sent


async def test_a_run_that_fails_says_so_and_begins_a_trace_of_its_own(
    database: Database, tmp_path: Path, server: ModelServer, collector: Receiver
):
    server.script_for("chat-model", server_error(500))
    async with traced(database, tmp_path, server, collector) as magnet:
        answer = await magnet.call("POST", "/v1/prompts/greet/run", {"variables": {"name": "x"}})
        assert answer.status_code == 502
        root, *_ = await spans(collector, 3)
        magnet.position = await magnet.container.log.head()
        [run] = (await magnet.get("/v1/runs"))["items"]
    assert root.trace_id.hex() == run["id"].replace("-", "")
    assert root.status.code == 2
    assert attributes(root)["error.type"] == root.status.message == run["error"]


async def test_what_a_collector_did_not_take_is_sent_again_once_it_does(
    database: Database, tmp_path: Path, server: ModelServer, collector: Receiver
):
    server.script_for("chat-model", Reply(text="One."), Reply(text="Two."))
    collector.answers = ["400 Bad Request\r\nContent-Length: 0\r\n", OK, OK]
    async with traced(database, tmp_path, server, collector) as magnet:
        for _ in range(2):
            await magnet.do("POST", "/v1/prompts/greet/run", {"variables": {"name": "x"}})
        await spans(collector, 9)
        head = await magnet.container.log.head()
        assert await magnet.container.positions.wait("otlp_traces_v1", head, PATIENCE)
        listed = (await magnet.get("/v1/projections"))["items"]
    refused, *taken = collector.deliveries
    ids = [span.span_id for span in spans_in(Receiver(deliveries=taken))]
    assert len(set(ids)) == len(ids) == 6
    assert {span.span_id for span in spans_in(Receiver(deliveries=[refused]))} <= set(ids)
    assert [each["state"] for each in listed if each["name"] == "otlp_traces_v1"] == ["live"]
