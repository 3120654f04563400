"""One connection of the model server: requests in, bytes out, and what became of them."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from tests.support.model_server import answers
from tests.support.model_server.records import Received
from tests.support.model_server.steps import Gate, Hang, Raw, Reply, Reset

if TYPE_CHECKING:
    from tests.support.model_server.server import ModelServer

LOOK_EVERY = 0.002
"""Seconds between two looks at a gate that the test opens from its own thread."""


class Connection(asyncio.Protocol):
    """Reads requests one after the other, and answers each by the server's script."""

    def __init__(self, server: "ModelServer", number: int) -> None:
        self._server = server
        self._number = number
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._request: Received | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None and self._request.ended is None:
            self._server.ended(self._request, "left")
        if self._task is not None:
            self._task.cancel()
        self._server.disconnected(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(self._buffer) < end + 4 + length:
            return
        raw = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        method, target, _ = first.split(" ", 2)
        path, _, query = target.partition("?")
        body = json.loads(raw) if raw else None
        self._request = Received(
            method=method, path=path, query=query, headers=headers, body=body, connection=self._number
        )
        self._server.received(self._request)
        self._task = asyncio.get_running_loop().create_task(self._serve(self._request))

    async def _serve(self, request: Received) -> None:
        step = self._server.step_for(request)
        if isinstance(step, Hang):
            await asyncio.Event().wait()
        elif isinstance(step, Reset):
            self._reset(request)
            return
        elif isinstance(step, Raw):
            await self._send_raw(request, step)
        elif request.stream:
            await self._send_stream(request, step)
        else:
            await self._send_plain(request, step)
        if request.ended is None:
            self._server.ended(request, "answered")
        self._task = None
        if not self.transport.is_closing():
            self._next()

    async def _send_raw(self, request: Received, step: Raw) -> None:
        length = len(step.body) + (1 if step.closes or step.hold else 0)
        self._head(step.status, {"Content-Type": step.content_type, "Content-Length": str(length), **step.headers})
        await self._write(step.body)
        if step.hold:
            await asyncio.Event().wait()
        if step.closes:
            self._close(request)

    async def _send_plain(self, request: Received, step: Reply) -> None:
        await self._wait(step.first_after, None)
        if step.gate is not None:
            await self._wait(0, step.gate)
        body = answers.completion(request, step)
        if step.stop_after is not None:
            await self._send_raw(request, Raw(body=body[: len(body) // 2], hold=step.ending == "hang", closes=True))
            return
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body)), **step.headers})
        await self._write(body)

    async def _send_stream(self, request: Received, step: Reply) -> None:
        await self._wait(step.first_after, None)
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **step.headers})
        for number, event in enumerate(answers.events(request, step)):
            if step.stop_after is not None and number > step.stop_after:
                await self._stop(request, step.ending)
                return
            if number > 1:
                await self._wait(step.between, step.gate)
            await self._write(b"%x\r\n%b\r\n" % (len(event), event))
            self._server.sent(request, number)
        await self._write(b"0\r\n\r\n")

    async def _stop(self, request: Received, ending: str) -> None:
        if ending == "clean":
            await self._write(b"0\r\n\r\n")
        elif ending == "hang":
            await asyncio.Event().wait()
        elif ending == "reset":
            self._reset(request)
        else:
            await self._write(b'40\r\ndata: {"choices"')
            self._close(request)

    def _head(self, status: int, headers: Mapping[str, Any]) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()

    async def _wait(self, seconds: float, gate: Gate | None) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        while gate is not None and not gate.is_open:
            await asyncio.sleep(LOOK_EVERY)

    def _close(self, request: Received) -> None:
        self._server.ended(request, "failed")
        self.transport.close()

    def _reset(self, request: Received) -> None:
        self._server.ended(request, "failed")
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
