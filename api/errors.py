"""Problem details (RFC 9457): the one table from errors to HTTP statuses."""

import math
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.responses import Response

from commands.agents.tools import ToolServerUnavailable
from commands.channels.channels import BadSignature
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from commands.knowledge.reading import ReaderDown, TooLarge, Unreadable, UnsupportedMediaType
from commands.models.model_calls import ModelCallFailed, ModelCallTimedOut, ModelLimitReached, NoModel
from domain.errors import DEFECT, Conflict, DomainError, Forbidden, Invalid, NotFound, StaleVersion, Unavailable
from domain.rendering import RendererDown
from projections.documents import rfc3339

log = structlog.get_logger(__name__)

STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (NotFound, 404),
    (BadSignature, 401),
    (Forbidden, 403),
    (StaleVersion, 412),
    (Unavailable, 503),
    (RendererDown, 503),
    (ReaderDown, 503),
    (Conflict, 409),
    (NoModel, 409),
    (ModelLimitReached, 429),
    (ModelCallTimedOut, 504),
    (ModelCallFailed, 502),
    (SourceUnavailable, 502),
    (NotFetched, 502),
    (ToolServerUnavailable, 502),
    (TooLarge, 413),
    (UnsupportedMediaType, 415),
    (Unreadable, 422),
    (Invalid, 422),
)
"""The first class that fits decides."""

UPSTREAM = 502
HERE: Mapping[str, int] = {
    "address_refused": 409,
    "address_not_allowed": 409,
    "credentials_missing": 409,
    "credentials_not_sendable": 409,
    "no_address": 409,
    "no_plugin": 409,
    "git_missing": 409,
    "local_model_unusable": 409,
    "model_hash_differs": 409,
    "model_not_pinned": 409,
    "wrong_plugin_settings": 422,
    "tool_timed_out": 504,
    "source_timed_out": 504,
}
"""What stands instead of UPSTREAM, by the code: nobody else failed where this installation has to be set otherwise."""

MOST_ERRORS = 100
LONGEST_POINTER = 500
"""How much of what is wrong is told: an answer is not to grow with a hostile request."""


class HttpProblem(DomainError):
    """A refusal that only HTTP knows."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status
        self.headers = headers or {}


def status_of(error: DomainError) -> int:
    """Return the status for a refusal."""
    if isinstance(error, HttpProblem):
        return error.status
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    return HERE.get(error.error_code, status) if status == UPSTREAM else status


def headers_of(error: DomainError) -> Mapping[str, str]:
    """Return the headers that belong to a refusal."""
    if isinstance(error, HttpProblem):
        return error.headers
    wait = error.details.get("retry_after")
    return {"Retry-After": str(max(1, math.ceil(wait)))} if isinstance(wait, int | float) else {}


def problem(
    *,
    status: int,
    code: str,
    detail: str,
    request_id: str,
    instance: str = "",
    errors: list[dict[str, str]] | None = None,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
    }
    if errors is not None:
        body["errors"] = errors
    for name, value in (details or {}).items():
        body.setdefault(name, rfc3339(value) if isinstance(value, datetime) else value)
    sent = {"Request-Id": request_id, **(headers or {})}
    if status in (429, 503) and "Retry-After" not in sent:
        sent["Retry-After"] = "1"
    return Response(orjson.dumps(body), status, sent, media_type="application/problem+json")


def problem_document(error: BaseException, *, request_id: str, instance: str) -> dict[str, Any]:
    """Return the problem document of an error, for where the status line has been sent."""
    document: dict[str, Any] = orjson.loads(problem_of(error, request_id=request_id, instance=instance).body)
    return document


def problem_of(error: BaseException, *, request_id: str, instance: str) -> Response:
    """Return the problem document of an error; what nobody foresaw is logged and tells nothing."""
    if isinstance(error, DomainError):
        status = status_of(error)
        if status != 500:
            errors = None
            if isinstance(error, Invalid):
                errors = [
                    {"pointer": e.pointer[:LONGEST_POINTER], "message": e.message, "code": e.code}
                    for e in error.errors[:MOST_ERRORS]
                ]
            return problem(
                status=status,
                code=error.error_code,
                detail=str(error),
                request_id=request_id,
                instance=instance,
                errors=errors,
                details=error.details,
                headers=headers_of(error),
            )
    log.error("request_failed", error=type(error).__name__, exc_info=error)
    return problem(
        status=500,
        code=DEFECT,
        detail="Something went wrong here, not with the request; the log has it under the request id.",
        request_id=request_id,
        instance=instance,
    )
