"""uvicorn's HTTP protocol, with limits on what comes before a body, and problem documents for what is no HTTP."""

from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.one_piece import OnePiece

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers."""

SLOWEST_HEAD = 30.0
"""Seconds that they may take to arrive, and that a new connection may stay silent."""


LINGER = 2.0
"""Seconds that what a refused client still sends is dropped, so that it sees the answer."""


class Protocol(HttpToolsProtocol):
    """Refuses malformed, endless and never-ending heads; bodies have their limits in `api.body`."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._in_head = True
        self._refused = False
        self._messages = 0
        self._head = 0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(OnePiece(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; count what comes of a head after its first piece."""
        if self._refused:
            return
        messages = self._messages
        super().data_received(data)
        if not self._in_head or self._refused:
            return
        if self._timer is None:
            self._wait()
        if messages == self._messages:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self._refuse(431, "head_too_large", f"Address and headers may have {LARGEST_HEAD} bytes.")

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._in_head = True
        self._messages += 1
        self._head = 0

    def on_headers_complete(self) -> None:
        """Count and wait no more."""
        super().on_headers_complete()
        self._in_head = False
        if self._timer is not None:
            self._stop_waiting()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and close."""
        self._refuse(400, "malformed_request", "This is no valid HTTP request.")

    def _wait(self) -> None:
        self._timer = self.loop.call_later(SLOWEST_HEAD, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(408, "head_timeout", f"The headers took longer than {SLOWEST_HEAD:.0f} s: send them faster.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer without the application, and close; where another answer is under way, only close."""
        self._refused = True
        self._stop_waiting()
        if self.transport.is_closing() or not self._may_answer():
            self.transport.close()
            return
        self.transport.write(refusal(status, code, detail))
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER, self.transport.close)

    def _may_answer(self) -> bool:
        """Return whether what would be written now is read as the answer to what is refused."""
        if self.pipeline:
            return False
        free = self.cycle is None or self.cycle.response_complete
        return free or not (self._in_head or self.cycle.response_started)


def refusal(status: int, code: str, detail: str) -> bytes:
    """Return a whole answer with a problem document."""
    phrase, request_id = HTTPStatus(status).phrase, uuid4().hex
    problem = {
        "type": f"/problems/{code}",
        "title": phrase,
        "status": status,
        "detail": detail,
        "instance": "",
        "code": code,
        "request_id": request_id,
    }
    body = orjson.dumps(problem)
    lines = (
        f"HTTP/1.1 {status} {phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        f"request-id: {request_id}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
