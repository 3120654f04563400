"""A load generator over raw sockets: keep-alive connections that each send a request and wait for its answer."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import cast

import uvloop

LENGTH = b"content-length:"


class Client(asyncio.Protocol):
    """One connection; it reads no more of an answer than its status and where it ends."""

    def __init__(self, make: Callable[[int], bytes], numbers: "itertools.count[int]", end: float) -> None:
        self._make = make
        self._numbers = numbers
        self._end = end
        self._buffer = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.errors = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        at = lower.find(LENGTH) + len(LENGTH)
        length = int(lower[at : lower.find(b"\r\n", at) if lower.find(b"\r\n", at) > 0 else None])
        if len(body) < length:
            return
        self._buffer = b""
        now = time.perf_counter()
        self.latencies.append(now - self._sent_at)
        if head[9:10] != b"2":
            self.errors += 1
        if now < self._end:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._make(next(self._numbers)))


def load(port: int, seconds: float, connections: int, make: Callable[[int], bytes], start: int = 0) -> float:
    """Return answers per second; raise where an answer was no success."""

    async def run() -> float:
        numbers = itertools.count(start)
        began = time.perf_counter()
        clients = [Client(make, numbers, began + seconds) for _ in range(connections)]
        loop = asyncio.get_running_loop()
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(client.done for client in clients))
        took = time.perf_counter() - began
        if errors := sum(client.errors for client in clients):
            raise RuntimeError(f"{errors} answers were no success")
        return sum(len(client.latencies) for client in clients) / took

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
