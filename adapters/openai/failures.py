"""What can go wrong with a call: which of it may be tried again, and what is told of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from adapters.retry_after import number, seconds_asked

LONGEST_MESSAGE = 300
LONGEST_READ = 10_000
WORD = re.compile(r"[a-z_]{4,40}")
CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
KEY_LIKE = re.compile(r"\b(sk|pk|key|Bearer)[-_ ][\w*.-]{4,}", re.IGNORECASE)


class Kind(Enum):
    """Families of failures, each with what follows from it."""

    TRANSPORT = "transport"  # no answer, or not to its end
    TIMEOUT = "timeout"
    SERVER = "server"  # 5xx
    LIMIT = "limit"  # 429: later, perhaps
    REFUSED = "refused"  # this request will not do here: 400, 422
    DENIED = "denied"  # nor will any other, until somebody changes something: 401, 403, 404, quota
    INVALID = "invalid"  # it answered something that makes no sense
    OPEN = "open"  # not even asked: the breaker is open
    FORBIDDEN = "forbidden"  # not even asked: the address is not allowed


RETRIED = frozenset({Kind.TRANSPORT, Kind.TIMEOUT, Kind.SERVER, Kind.LIMIT})
BREAKING = frozenset({Kind.TRANSPORT, Kind.TIMEOUT, Kind.SERVER})
"""What makes a provider look down."""


@dataclass(kw_only=True)
class Failure(Exception):
    """One attempt failed. `code` is stable; `message` a sentence that follows the provider's name."""

    kind: Kind
    code: str
    message: str
    status: int | None = None
    retry_after: float | None = None
    phase: str | None = None
    upstream_code: str | None = None
    upstream_message: str | None = None
    mentioned: frozenset[str] = frozenset()
    """Words of a refusal that may be names of fields."""
    answered: bool = False
    """Whether an answer had begun: then its input was read, and is paid for."""
    again: bool = False
    """Whether the request is sent once more at once, without what it was refused for."""

    @property
    def retried(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.kind in RETRIED

    @property
    def falls_back(self) -> bool:
        """Whether another model may do better with the same request."""
        return self.kind is not Kind.REFUSED or self.upstream_code == "context_length_exceeded"

    def details(self) -> dict[str, Any]:
        """Return what is told beside the sentence."""
        told = {
            "phase": self.phase,
            "retry_after": self.retry_after,
            "upstream_code": self.upstream_code,
            "upstream_message": self.upstream_message,
        }
        return {name: value for name, value in told.items() if value is not None}


def invalid(message: str, *, status: int | None = 200) -> Failure:
    """Return the failure of an answer that makes no sense."""
    return Failure(kind=Kind.INVALID, code="invalid_response", message=message, status=status, answered=True)


def broken(message: str, *, status: int | None = None) -> Failure:
    """Return the failure of a connection that ended before the answer did."""
    code = "connection_failed" if status is None else "connection_broken"
    return Failure(kind=Kind.TRANSPORT, code=code, message=message, status=status, answered=status is not None)


def timed_out(phase: str, seconds: float, *, status: int | None = None) -> Failure:
    """Return the failure of an answer that did not come in time."""
    return Failure(
        kind=Kind.TIMEOUT,
        code="model_call_timed_out",
        message=f"did not answer in time: its time-out `{phase}` of {seconds:g} s is over",
        status=status,
        phase=phase,
        answered=status is not None,
    )


def of_status(status: int, body: object, headers: Mapping[str, str], secrets: frozenset[str], now: datetime) -> Failure:
    """Return the failure that a status means; `body` is what openai's errors hold."""
    error = body if isinstance(body, dict) else {}
    code = next((c for c in (error.get("code"), error.get("type")) if isinstance(c, str) and CODE.match(c)), None)
    kind, own, message = _meaning(status, code, error)
    tells = status in (400, 404, 422) and isinstance(error.get("message"), str)
    return Failure(
        kind=kind,
        code=own,
        message=message,
        status=status,
        retry_after=retry_after(headers, now) if kind in RETRIED else None,
        upstream_code=code,
        upstream_message=told(error["message"], secrets) if tells else None,
        mentioned=frozenset(WORD.findall(str(body)[:LONGEST_READ])) if kind is Kind.REFUSED else frozenset(),
    )


def reported(error: object) -> Failure:
    """Return the failure that a provider reports within an answer that had begun well."""
    found = error if isinstance(error, dict) else {}
    code = next((c for c in (found.get("code"), found.get("type")) if isinstance(c, str) and CODE.match(c)), None)
    if code == "insufficient_quota":
        kind, own, message = _meaning(429, code, found)
    elif code in ("rate_limit_exceeded", "rate_limit_error", "429"):
        kind, own, message = Kind.LIMIT, "model_limit_reached", "takes no more requests for now"
    elif code in ("invalid_request_error", "context_length_exceeded", "content_filter"):
        kind, own, message = Kind.REFUSED, "model_request_refused", "refused the request"
    else:
        kind, own, message = Kind.SERVER, "provider_error", "reported an error within its answer"
    return Failure(kind=kind, code=own, message=message, status=200, upstream_code=code, answered=True)


def _meaning(status: int, code: str | None, error: Mapping[str, Any]) -> tuple[Kind, str, str]:
    if status == 429:
        if "insufficient_quota" in (code, error.get("type")):
            return Kind.DENIED, "insufficient_quota", "has no quota left for this key (429)"
        return Kind.LIMIT, "model_limit_reached", "takes no more requests for now (429)"
    if status in (401, 403):
        return Kind.DENIED, "provider_access_denied", f"refused the key or what it may do ({status})"
    if status == 404:
        return Kind.DENIED, "model_not_found", "knows no such model, or has no API at this address (404)"
    if status in (408, 409):
        return Kind.SERVER, "provider_error", f"could not answer just then ({status})"
    if status >= 500:
        return Kind.SERVER, "provider_error", f"failed ({status})"
    if status < 400:
        return Kind.DENIED, "provider_redirects", f"sends requests elsewhere ({status}), which is not followed"
    return Kind.REFUSED, "model_request_refused", f"refused the request ({status})"


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a provider wants to be left alone: retry-after-ms, seconds or a date."""
    milliseconds = number(headers.get("retry-after-ms"))
    return seconds_asked(headers.get("retry-after"), now) if milliseconds is None else milliseconds / 1000


def told(message: str, secrets: frozenset[str]) -> str:
    """Return a provider's own words, short, in one line and without any secret."""
    for secret in secrets:
        message = message.replace(secret, "***")
    message = "".join(character if character.isprintable() else " " for character in message[:LONGEST_READ])
    message = KEY_LIKE.sub("***", message)
    return message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + "…"
