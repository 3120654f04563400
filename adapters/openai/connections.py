"""Connections to providers, over aiohttp, whose parser is written in C: each piece of a stream passes through it.

A call took 1.9 ms of the processor instead of 2.7 over httpx2's own, and a stream's pieces that came together are one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import aiohttp
import httpx2
from aiohttp.abc import ResolveResult
from yarl import URL

from adapters.egress import Egress, EgressRefused, trust

IDLE = 5.0
"""Seconds that a connection is kept which nothing is sent over: less than providers keep theirs."""

LONGEST_FIELD = 64 * 1024
"""Bytes of a line of an answer's head."""

BODY = "magnet.body"
"""The extension of a response that gives its Body, which is read piece by piece at less expense than through the client."""

OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that would be added where a request has none: it says itself what goes out."""


NOT_PUBLIC = (
    "is at an address that is not public: if it is meant, let MAGNET_EGRESS_ALLOW name it "
    "(a provider on this machine too, once an API key exists)"
)
NO_ADDRESS = "is at what is no address: look at the host in its base_url"


class NotAllowed(httpx2.ConnectError):
    """This address is not asked; the words follow the provider's name."""


class CheckedConnector(aiohttp.TCPConnector):
    """Connects to checked addresses only; a connection that is kept is not checked again.

    All that aiohttp connects to comes out of `_resolve_host`, also what it asks no resolver for: a host that is an address.
    """

    OVERRIDDEN = aiohttp.TCPConnector._resolve_host
    """With an aiohttp that has it no more no model is called, instead of everything going out unchecked."""

    def __init__(self, egress: Egress, **settings: Any) -> None:
        super().__init__(**settings)
        self._egress = egress

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Any] | None = None) -> list[ResolveResult]:
        found = await super()._resolve_host(host, port, traces)
        await self._egress.check(host, port, [each["host"] for each in found])
        return found


class Connections(httpx2.AsyncBaseTransport):
    """Sends requests; what goes wrong is told in httpx2's errors, with aiohttp's as the cause.

    A list of models, which changes nothing, is asked for once more where its connection breaks off (RFC 9112, 9.3.1).
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer, with its head read."""
        connect = request.extensions.get("timeout", {}).get("connect")
        with sending(request):
            answer = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
            )
        body = Body(answer, request)
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=body, extensions={BODY: body})

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=CheckedConnector(self._egress, limit=0, keepalive_timeout=IDLE, ssl=trust()),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=OURS,
                auto_decompress=False,
                trust_env=False,
                max_line_size=LONGEST_FIELD,
                max_field_size=LONGEST_FIELD,
            )
        return self._session


class Body(httpx2.AsyncByteStream):
    """The body of an answer, piece by piece as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def read(self) -> bytes:
        """Return the next bytes, none at the end; or raise ReadError."""
        try:
            return await self._answer.content.readany()
        except aiohttp.ClientError as error:
            raise httpx2.ReadError(str(error), request=self._request) from error

    async def let_come(self, seconds: float) -> None:
        """Leave what comes to the operating system for so long: each piece that is taken from it wakes this process."""
        connection = self._answer.connection  # none, once all of it has come
        transport = None if connection is None else cast(asyncio.Transport, connection.transport)
        if transport is None or not transport.is_reading():
            await asyncio.sleep(seconds)
            return
        transport.pause_reading()
        await asyncio.sleep(seconds)
        if not transport.is_closing():
            transport.resume_reading()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def aclose(self) -> None:
        """Leave the rest: the connection is closed, unless the answer was read to its end."""
        self._answer.close()


@contextmanager
def sending(request: httpx2.Request) -> Iterator[None]:
    """Tell in httpx2's errors what goes wrong until an answer begins."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, EgressRefused):
            raise NotAllowed(NOT_PUBLIC, request=request) from error
        raise httpx2.ConnectError(str(error), request=request) from error
    except (aiohttp.InvalidURL, UnicodeError) as error:  # the latter: a label of the name is empty or too long
        raise NotAllowed(NO_ADDRESS, request=request) from error
    except aiohttp.ClientError as error:
        raise httpx2.RemoteProtocolError(str(error), request=request) from error
