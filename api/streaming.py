"""Server-sent events: typed, numbered, with exactly one terminal event, and a sign of life when nothing comes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody in between gives the connection up."""


@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """One event: `id` is the cursor from which the stream can be resumed."""

    type: str
    data: Mapping[str, Any]
    id: str | None = None


def encoded(event: StreamEvent, sequence: int) -> bytes:
    """Return an event's bytes; JSON has no line breaks, so it is one line of data."""
    data = orjson.dumps({"type": event.type, "sequence": sequence, **event.data})
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        (event.id or str(sequence)).encode(),
        event.type.encode(),
        data,
    )


class EventStream(Response):
    """Sends what a generator yields; closes it when the client has gone."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no", **(headers or {})})
        del self.headers["content-length"]
        self._chunks = chunks
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client has gone."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await sending
            finally:
                await self._chunks.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        beating = asyncio.ensure_future(self._beat(send))
        try:
            async for chunk in self._chunks:
                self._sent += 1
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _beat(self, send: Send) -> None:
        """Show that the connection lives, whenever nothing came for some time: between events, never within one."""
        while True:
            before = self._sent
            await asyncio.sleep(HEARTBEAT)
            if self._sent == before:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})


async def gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def numbered(events: AsyncGenerator[StreamEvent, None]) -> AsyncGenerator[bytes, None]:
    """Yield the events' bytes, numbered from 1."""
    sequence = 0
    async with contextlib.aclosing(events):
        async for event in events:
            sequence += 1
            yield encoded(event, sequence)
