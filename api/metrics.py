"""Metrics in Prometheus' form; their names are public."""

import asyncio
import os
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from api.call import Call, Operation
from api.shared_counts import VARIABLE

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


NEWEST: Literal["mostrecent"] = "mostrecent"
"""What is set when it is asked for is as the process that was asked last has found it."""


class Metrics:
    """The metrics of one process, or of all that count in one directory (`api.shared_counts`)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.told = self.registry
        if VARIABLE in os.environ:
            self.told = CollectorRegistry()
            MultiProcessCollector(self.told)  # type: ignore[no-untyped-call]
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.requests = Counter(
            "magnet_http_requests_total", "Requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "magnet_http_request_seconds",
            "Seconds until the answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.head = Gauge(
            "magnet_log_position", "Position of the last event", registry=self.registry, multiprocess_mode=NEWEST
        )
        self.lag = Gauge(
            "magnet_projection_lag",
            "Events a projection is behind",
            ["projection"],
            registry=self.registry,
            multiprocess_mode=NEWEST,
        )
        self.quarantined = Gauge(
            "magnet_projection_quarantined",
            "Streams a projection has set aside",
            ["projection"],
            registry=self.registry,
            multiprocess_mode=NEWEST,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (method, route, status)
        if key not in self._children:  # looking a child up by its labels costs more than counting
            counter = self.requests.labels(method, route, str(status))
            self._children[key] = (counter, self.seconds.labels(method, route))
        counter, histogram = self._children[key]
        counter.inc()
        histogram.observe(seconds)


async def metrics(call: Call) -> Response:
    """Return all metrics."""
    known = call.container.metrics
    known.head.set(await call.container.log.head())
    for status in await call.container.administration.status(checksums=False):
        known.lag.labels(status.name).set(status.lag)
        known.quarantined.labels(status.name).set(status.quarantined)
    told = await asyncio.to_thread(generate_latest, known.told)  # tenths of a second for many routes and processes
    return Response(told, media_type=CONTENT_TYPE_LATEST)


OPERATIONS = (
    Operation(
        method="GET",
        path="/metrics",
        side="both",
        tag="operations",
        name="get_metrics",
        summary="Metrics in Prometheus' form",
        permission="metrics:read",
        handler=metrics,
    ),
)
