"""The one middleware: request ids, problem documents for whatever happens, logs and metrics."""

import logging
import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_of
from api.metrics import Metrics

SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}\Z")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
SHOWN = logging.getLogger("magnet.request")
log = structlog.get_logger("magnet.request")


class RequestMiddleware:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        status = 500
        begun = False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                own = [*RAW_HEADERS, (b"request-id", request_id.encode())]
                message["headers"] = [*message["headers"], *(each for each in own if each[0] not in present)]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if begun:
                raise
            await problem_of(error, request_id=request_id, instance=scope["path"])(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            route = route_of(scope)
            self._metrics.observe(scope["method"], route, status, seconds)
            if SHOWN.isEnabledFor(logging.INFO):
                took = round(seconds * 1000, 2)
                log.info("request", method=scope["method"], route=route, status=status, ms=took)
            structlog.contextvars.unbind_contextvars("request_id")


def route_of(scope: Scope) -> str:
    """Return the route's template: what a client makes up never becomes a label or a log line."""
    route: Any = scope.get("route")
    return getattr(route, "path", "unknown")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"request-id" and SAFE_ID.match(value):
            return bytes(value).decode()
    return uuid4().hex
