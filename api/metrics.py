"""Metrics in Prometheus' form; their names are public."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.call import Call, Operation

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self.head = Gauge("magnet_log_position", "Position of the last event", registry=self.registry)
        self.lag = Gauge(
            "magnet_projection_lag", "Events a projection is behind", ["projection"], registry=self.registry
        )
        self.quarantined = Gauge(
            "magnet_projection_quarantined",
            "Streams a projection has set aside",
            ["projection"],
            registry=self.registry,
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
    return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)


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
