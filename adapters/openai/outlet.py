"""Where requests leave: with the exact headers of a provider, and with no more of a refusal than tells what is wrong."""

from collections.abc import AsyncIterator, Mapping
from typing import cast

import httpx2

KEPT = ("host", "content-type", "content-length")
"""Headers of openai's client that go out; all else, such as what it takes from the environment, stays here."""

ALWAYS = {"accept": "application/json, text/event-stream", "user-agent": "magnet"}
FRAMING = {"accept-encoding": "identity", "connection": "keep-alive"}
NOT_SETTABLE = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""What belongs to the connection and not to the provider's settings."""


REFUSAL = 300
LONGEST_REFUSAL = 100_000
"""Bytes that are read of an answer that is none: the client reads it whole before it looks at it."""


class Beginning(httpx2.AsyncByteStream):
    """No more of a body than tells what is wrong."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LONGEST_REFUSAL
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        """Close the whole."""
        await self._stream.aclose()


class Outlet(httpx2.AsyncBaseTransport):
    """Gives requests the headers of one provider."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, headers: Mapping[str, str]) -> None:
        self._transport = transport
        self._headers = {name: value for name, value in headers.items() if name not in NOT_SETTABLE}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        kept = {name: request.headers[name] for name in KEPT if name in request.headers}
        request.headers = httpx2.Headers({**ALWAYS, **self._headers, **FRAMING, **kept})
        response = await self._transport.handle_async_request(request)
        if response.status_code >= REFUSAL:
            response.stream = Beginning(cast(httpx2.AsyncByteStream, response.stream))
        return response

    async def aclose(self) -> None:
        """Do nothing: the connections are shared."""
