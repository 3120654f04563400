"""What a script consists of: replies, and everything that can go wrong with one."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.model_server.records import Received


class Gate:
    """Holds a stream back until the test opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        """Let it go on."""
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()


@dataclass(frozen=True, kw_only=True)
class ToolCalled:
    """A tool that the model wants called; `arguments` is sent as it is, a mapping as its JSON."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    id: str = ""

    @property
    def text(self) -> str:
        """The arguments as they are sent."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the model, plain or streamed as the request asks.

    `pieces` is how a stream cuts the text (default: word by word), `cut` the length of the pieces that tool
    arguments come in. `usage` replaces what is counted; `sends_usage=False` leaves it out. A stream ends early
    after `stop_after` pieces: by `ending` `clean` (no finish reason, no [DONE]), `broken` (the connection closes
    inside a chunk), `reset`, or `hang`. `gate` holds what follows the first piece. Times in seconds.
    """

    text: str = ""
    pieces: Sequence[str] | None = None
    tool_calls: Sequence[ToolCalled] = ()
    cut: int | None = None
    refusal: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    sends_usage: bool = True
    stop_after: int | None = None
    ending: str = "broken"
    done: bool = True
    gate: Gate | None = None
    first_after: float = 0.0
    between: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Bytes as they are, with a status.

    `hold` sends nothing more after them and keeps the connection open; `closes` ends it inside the body.
    """

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    closes: bool = False


@dataclass(frozen=True, kw_only=True)
class Hang:
    """No answer at all, until the client leaves."""


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The connection is reset instead of an answer."""


Step = Reply | Raw | Hang | Reset | Callable[[Received], "Reply | Raw | Hang | Reset"]


def answered(value: Any, status: int = 200, **headers: str) -> Raw:
    """Return any JSON as an answer; header names are written with _ for -."""
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return Raw(body=json.dumps(value).encode(), status=status, headers=sent)


def refused(status: int, code: str, message: str = "It was refused.", **headers: str) -> Raw:
    """Return an error in OpenAI's form."""
    return answered({"error": {"message": message, "type": code, "param": None, "code": code}}, status, **headers)


def rate_limited(**headers: str) -> Raw:
    """Return 429; `retry_after="2"` and the like become headers."""
    return refused(429, "rate_limit_exceeded", "Slow down.", **headers)


def insufficient_quota() -> Raw:
    """Return the 429 that waiting does not help."""
    return refused(429, "insufficient_quota", "You exceeded your current quota.")


def server_error(status: int = 500, **headers: str) -> Raw:
    """Return an error of the provider."""
    return refused(status, "server_error", "The server had an error.", **headers)


def html() -> Raw:
    """Return a web page with 200, as a proxy or a wrong address gives it."""
    return Raw(body=b"<!DOCTYPE html><html><body>Welcome</body></html>", content_type="text/html")


def bad_json() -> Step:
    """Return text that breaks off inside a JSON value; in a stream, such an event."""
    return lambda request: _by_form(request, b'{"id": "x", "choices": [{"index": 0, "delta": {"content": "a"')


def long_line(size: int = 10_000_000) -> Step:
    """Return one text of this many characters, in a stream as one line."""
    return lambda request: Reply(text="x" * size, pieces=["x" * size])


def wrong_types() -> Step:
    """Return the right names with values of wrong types."""
    value = {"id": 1, "object": [], "choices": {"0": {"delta": {"content": 5}, "message": 7}}, "usage": "many"}
    return lambda request: _by_form(request, json.dumps(value | {"data": "none"}).encode())


def stream_of(*events: Any, done: bool = True, **more: Any) -> Raw:
    """Return a stream of these events (bytes as they are, else as JSON) as a finished body."""
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    body = b"".join(b"data: " + line + b"\n\n" for line in lines) + (b"data: [DONE]\n\n" if done else b"")
    return Raw(body=body, content_type="text/event-stream", **more)


def _by_form(request: Received, body: bytes) -> Raw:
    return stream_of(body) if request.stream else Raw(body=body)


def _message(**message: Any) -> Step:
    """Return an answer with this message (or delta) as it is."""

    def step(request: Received) -> Raw:
        choice = {"index": 0, "finish_reason": "stop", "delta" if request.stream else "message": message}
        value = {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}
        return _by_form(request, json.dumps(value).encode())

    return step


def _cut_character(request: Received) -> Raw:
    """Break off inside a character: ü has two bytes."""
    event = b'{"id":"c","choices":[{"index":0,"delta":{"content":"gr\xc3'
    return Raw(
        body=b"data: " + event if request.stream else event.replace(b"delta", b"message"),
        content_type="text/event-stream" if request.stream else "application/json",
    )


def _no_choices(request: Received) -> Raw:
    return _by_form(request, b'{"id": "c", "object": "chat.completion", "choices": []}')


FAULTS: Mapping[str, Step] = {
    "rate_limited": rate_limited(),
    "rate_limited_with_retry_after": rate_limited(retry_after="2"),
    "insufficient_quota": insufficient_quota(),
    "bad_request": refused(400, "invalid_request_error"),
    "unauthorized": refused(401, "invalid_api_key"),
    "forbidden": refused(403, "forbidden"),
    "not_found": refused(404, "model_not_found"),
    "unprocessable": refused(422, "unprocessable"),
    "server_error": server_error(),
    "unavailable": server_error(503),
    "redirect": Raw(body=b"", status=307, headers={"Location": "http://127.0.0.1:1/"}),
    "reset": Reset(),
    "hang_before_headers": Hang(),
    "hang_between_tokens": Reply(text="one two three", stop_after=1, ending="hang"),
    "half_stream": Reply(text="one two three", stop_after=1, ending="broken"),
    "half_stream_clean": Reply(text="one two three", stop_after=1, ending="clean"),
    "reset_in_stream": Reply(text="one two three", stop_after=1, ending="reset"),
    "cut_inside_a_character": _cut_character,
    "bad_json": bad_json(),
    "nul": _message(role="assistant", content="a\x00b"),
    "surrogate": _message(role="assistant", content="a\ud800b"),
    "long_line": long_line(),
    "wrong_types": wrong_types(),
    "html": html(),
    "no_choices": _no_choices,
    "null": lambda request: _by_form(request, b"null"),
    "empty": Raw(body=b""),
    "not_utf8": lambda request: _by_form(request, b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "deep": lambda request: _by_form(request, b"[" * 100_000),
    "error_in_answer": lambda request: _by_form(
        request, b'{"error": {"message": "Overloaded.", "code": "overloaded"}}'
    ),
}
"""Every fault by its name."""
