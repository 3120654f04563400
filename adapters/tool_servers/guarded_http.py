"""HTTP of the MCP client: only where users' addresses may lead, with credentials for one origin, and bounded."""

from collections.abc import AsyncIterator, Mapping
from typing import cast

import httpx2

from adapters.connectors.web import origin_of, place
from adapters.egress import Egress, EgressRefused, checked_pool
from adapters.tool_servers.answers import MOST_BYTES

CONNECTIONS = 32


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """Sends requests over connections to checked addresses; httpx2 takes no other connections in any other way."""

    def __init__(self, egress: Egress) -> None:
        self._pool = checked_pool(egress, connections=CONNECTIONS)


class Counted(httpx2.AsyncByteStream):
    """A body, up to the most bytes that are read of all that a visit is answered."""

    def __init__(self, stream: httpx2.AsyncByteStream, door: "Door") -> None:
        self._stream = stream
        self._door = door

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._door.count(len(piece))
            yield piece

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


class Door(httpx2.AsyncBaseTransport):
    """The way out of one visit to one server; it remembers in words what went wrong, which the client may not tell."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, home: str, credentials: Mapping[str, str], query: str
    ) -> None:
        self._transport = transport
        self._home = home
        self._credentials = credentials
        self._query = query
        self._left = MOST_BYTES
        self.failure: str | None = None
        self.code: str | None = None
        """What the failure is, where it is none of the server's."""
        self.status: int | None = None
        """The last refusal."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, or raise httpx2.ConnectError where it must not be."""
        url = str(request.url)
        if origin_of(url) != self._home:
            raise self._refused(f"{place(url)} is at another origin than the tool server", request)
        request.headers.update({**self._credentials, "accept-encoding": "identity", "user-agent": "Magnet/1"})
        if self._query:
            request.url = request.url.copy_with(raw_path=joined(request.url.raw_path, self._query))
        try:
            response = await self._transport.handle_async_request(request)
        except EgressRefused as error:
            self.code = "address_refused"
            raise self._refused(f"{place(url)}: {error}", request) from None
        except httpx2.TransportError as error:
            self.failure = f"{place(url)} can't be reached: {str(error) or type(error).__name__}"
            raise
        if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            await response.aclose()
            raise self._refused(f"{place(url)} sent it packed, although it was asked not to", request)
        if response.status_code >= 300:
            self.status = response.status_code
        response.stream = Counted(cast(httpx2.AsyncByteStream, response.stream), self)
        return response

    def count(self, size: int) -> None:
        """Count bytes of answers, or raise httpx2.ReadError where they are too many."""
        self._left -= size
        if self._left < 0:
            self.failure = f"it answered more than {MOST_BYTES:,} bytes"
            raise httpx2.ReadError(self.failure)

    def _refused(self, words: str, request: httpx2.Request) -> httpx2.ConnectError:
        self.failure = words
        return httpx2.ConnectError(words, request=request)

    async def aclose(self) -> None:
        """Do nothing: the connections are shared."""


def joined(path: bytes, query: str) -> bytes:
    """Return a path with more of a query."""
    return path + (b"&" if b"?" in path else b"?") + query.encode()
