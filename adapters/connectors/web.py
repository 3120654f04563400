"""Requests of connectors to the addresses of sources: checked, bounded, tried again, with credentials for one origin only."""

import asyncio
import random
import re
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import httpcore2
import orjson

from adapters.egress import Egress, EgressRefused, checked_pool
from adapters.retry_after import seconds_asked
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from commands.knowledge.document_checks import MOST_BYTES
from domain.errors import Invalid
from domain.paths import at
from domain.provider import web_origin

ATTEMPTS = 5
REDIRECTS = 5
REFUSAL = 300
GONE = (404, 410)
MOST_TOLD = 300
REDIRECTED = frozenset({301, 302, 303, 307, 308})
AGAIN = frozenset({429, 500, 502, 503, 504})
BROKEN = 500
"""What stays so concerns this request alone; the others of AGAIN concern all."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 120.0
"""Seconds that are waited for a source that asks for it; one that asks for more is away."""

SECONDS = 120.0
"""How long an answer may take, all of it."""

TIMEOUTS = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": SECONDS}
CONNECTIONS = 32
WORD = re.compile(r"[^\s&=\"',:;{}\[\]]{6,}")
SAFE = "/?#[]@!$&'()*+,;=%:~"
"""What may stand in a URL as it is; all else that is no letter or digit is percent-encoded."""


class AddressRefused(NotFetched):
    """The address is none that may be asked."""

    code = "address_refused"


class Unanswered(Exception):
    """A request had no answer; `sent` says whether it may have arrived."""

    def __init__(self, told: str, *, sent: bool) -> None:
        super().__init__(told)
        self.sent = sent


class TooLarge(NotFetched):
    """The answer has more bytes than a document may have."""

    code = "too_large"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a source answered, and from where in the end; names of headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    hidden: frozenset[str] = field(default=frozenset(), repr=False)
    """What the request brought that must not be repeated."""

    def json(self) -> Any:
        """Return the body, or raise SourceUnavailable where it is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise SourceUnavailable(f"{place(self.url)} answered what is no JSON.") from None

    def of_source(self) -> Self:
        """Return it, or raise SourceUnavailable where it is a refusal: without it the source is not known whole."""
        self._must_be_let_in()
        if self.status >= REFUSAL:
            raise SourceUnavailable(f"{place(self.url)} answered {self.status}{self._told()}.")
        return self

    def of_document(self) -> Self:
        """Return it, or raise NotFetched where it is a refusal that concerns this document only."""
        if self.status in GONE:
            raise NotFetched(f"{place(self.url)} is not there ({self.status}).", code="gone")
        return self.of_part()

    def of_item(self, path: str, word: str | int) -> Self:
        """Return it as `of_document`, where an API says at a path of what it answers that the item is not there.

        A 404 without that is of whoever stands before the API, or of an address that the API has no more.
        """
        try:
            said = at(orjson.loads(self.body), path) == word
        except orjson.JSONDecodeError:
            said = False
        return self.of_document() if said else self.of_part()

    def of_part(self) -> Self:
        """Return it, or raise NotFetched where it is a refusal: of what is not the document itself it never says that that is gone."""
        self._must_be_let_in()
        if self.status >= REFUSAL:
            raise NotFetched(f"{place(self.url)} answered {self.status}{self._told()}.")
        return self

    def _must_be_let_in(self) -> None:
        if self.status == 401:
            raise SourceUnavailable(
                f"{place(self.url)} does not know these credentials (401): set the source's secrets anew.",
                code="credentials_refused",
            )

    def _told(self) -> str:
        """Return what a refusal says, where it says it in short."""
        told = self.body[:MOST_TOLD].decode(errors="replace").strip()
        if any(secret in told for secret in self.hidden):
            return ""
        return f": {' '.join(told.split())}" if told.isprintable() and told and len(self.body) <= MOST_TOLD else ""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request; `credentials` are headers that go to the origin of `url` only, `body` makes it a POST.

    A POST is only tried again because connectors send none that changes anything. `method` is for what is sent
    `once`, and `seconds` is how long its answer may take.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None
    most: int = MOST_BYTES
    method: str | None = None
    seconds: float = SECONDS

    @property
    def verb(self) -> str:
        """What is sent."""
        return self.method or ("GET" if self.body is None else "POST")


class Web:
    """The one way of connectors to other machines."""

    def __init__(self, egress: Egress, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._pool = checked_pool(egress, connections=CONNECTIONS)
        self._pause = pause
        self._not_before: dict[str, float] = {}

    async def ask(self, ask: Ask) -> Answer:
        """Return the answer, whatever its status, unless that says to try again later.

        Raises SourceUnavailable where the source can't be reached or does not want to answer now, AddressRefused
        and TooLarge.
        """
        failure = ""
        for attempt in range(ATTEMPTS):
            await self._wait_for(ask.url)
            pause = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5)
            try:
                answer = await self._sent(ask)
            except Unanswered as error:
                failure = str(error)
            else:
                if answer.status not in AGAIN or (answer.status == BROKEN and attempt + 1 == ATTEMPTS):
                    return answer
                failure = f"answered {answer.status}"
                pause = self._asked_pause(answer, pause)
            if attempt + 1 < ATTEMPTS:
                await self._pause(pause)
        raise SourceUnavailable(f"{place(ask.url)} {failure} ({ATTEMPTS} attempts).")

    async def once(self, ask: Ask) -> Answer:
        """Return the answer to a request that is sent a single time, whatever its status.

        Raises Unanswered, which says whether it was sent at all, AddressRefused, TooLarge and SourceUnavailable.
        """
        try:
            origin_of(ask.url)
        except ValueError as error:
            raise AddressRefused(f"{place(ask.url)!r} is no address that can be asked: {error}.") from None
        return await self._sent(ask)

    async def _sent(self, ask: Ask) -> Answer:
        """Return an answer, or raise Unanswered where there was none."""
        try:
            return await self._follow(ask)
        except httpcore2.LocalProtocolError:
            # What it says repeats the header, which may hold a secret.
            raise SourceUnavailable(
                f"{place(ask.url)}: a header or secret holds what can't be sent.", code="credentials_not_sendable"
            ) from None
        except httpcore2.RemoteProtocolError:
            raise Unanswered("answered what is no HTTP, or in part", sent=True) from None
        except (httpcore2.NetworkError, httpcore2.TimeoutException, TimeoutError) as error:
            unsent = isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout | httpcore2.PoolTimeout)
            told = f"can't be reached: {str(error) or type(error).__name__}"
            raise Unanswered(told, sent=not unsent) from None

    def _asked_pause(self, answer: Answer, pause: float) -> float:
        """Return how long to wait, and let nobody else ask that origin before."""
        asked = seconds_asked(answer.headers.get("retry-after"))
        if asked is None:
            return pause
        if asked > LONGEST_PAUSE:
            raise SourceUnavailable(f"{place(answer.url)} answered {answer.status}: ask again in {asked:.0f} s.")
        self._not_before[origin_of(answer.url)] = time.monotonic() + asked
        return asked

    async def _wait_for(self, url: str) -> None:
        """Wait until an origin that asked for it may be asked again."""
        try:
            left = self._not_before.get(origin_of(url), 0.0) - time.monotonic()
        except ValueError as error:
            raise AddressRefused(f"{place(url)!r} is no address that can be asked: {error}.") from None
        if left > 0:
            await self._pause(left)

    async def _follow(self, ask: Ask) -> Answer:
        """Send a request and follow where it is sent on to."""
        url, home = ask.url, origin_of(ask.url)
        for _ in range(REDIRECTS + 1):
            here = origin_of(url)
            headers = {**ask.headers, **(ask.credentials if here == home else {})}
            try:
                async with asyncio.timeout(ask.seconds):
                    answer = await self._send(url, headers, ask)
            except EgressRefused as error:
                raise AddressRefused(f"{place(url)}: {error}") from None
            location = answer.headers.get("location")
            if answer.status not in REDIRECTED or location is None:
                return answer
            if ask.verb not in ("GET", "HEAD"):
                raise SourceUnavailable(f"{place(url)} sends a {ask.verb} on to another address: set that one.")
            try:
                url = urljoin(url, location)
                origin_of(url)
            except ValueError as error:
                raise AddressRefused(f"{place(ask.url)} leads to what is no address: {error}.") from None
        raise NotFetched(f"{place(ask.url)} was sent on more than {REDIRECTS} times.", code="too_many_redirects")

    async def _send(self, url: str, headers: Mapping[str, str], ask: Ask) -> Answer:
        target = parsed(url)
        sent = {
            "Host": target.netloc,
            "User-Agent": "Magnet/1",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **headers,
            **({} if ask.body is None else {"Content-Length": str(len(ask.body))}),
        }
        async with self._pool.stream(
            ask.verb,
            httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.target),
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=ask.body,
            extensions={
                "timeout": {**TIMEOUTS, "read": max(TIMEOUTS["read"], ask.seconds)} if ask.method else TIMEOUTS
            },
        ) as answer:
            told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            if told.get("content-encoding", "identity").lower() not in ("identity", ""):
                raise NotFetched(f"{place(url)} sent it packed, although it was asked not to.", code="packed")
            pieces, size = [], 0
            async with aclosing(answer.aiter_stream()) as stream:
                async for piece in stream:
                    size += len(piece)
                    if size > ask.most:
                        raise TooLarge(f"{place(url)} has more than {ask.most:,} bytes.")
                    pieces.append(piece)
        hidden = hidden_in([*headers.values(), (ask.body or b"").decode(errors="replace")])
        return Answer(url=url, status=answer.status, headers=told, body=b"".join(pieces), hidden=hidden)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.aclose()


def hidden_in(sent: Iterable[str]) -> frozenset[str]:
    """Return the words of what is sent that may be secrets: an answer that repeats one is not told."""
    words = {word for text in sent for word in WORD.findall(text)}
    for word in list(words):
        with suppress(ValueError):
            words |= set(WORD.findall(b64decode(word + "=" * (-len(word) % 4), validate=True).decode()))
    return frozenset(words)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The parts of a URL as they are sent."""

    scheme: str
    host: str
    port: int | None
    netloc: str
    target: str


def parsed(url: str) -> Target:
    """Return the parts of a URL that `origin_of` takes, or raise AddressRefused."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    try:
        host = name if ":" in name else name.encode("idna").decode()
    except UnicodeError:
        raise AddressRefused(f"{place(url)}: this is no name of a host.") from None
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if parts.port is None else f"{shown}:{parts.port}"
    path = quote(parts.path or "/", safe=SAFE)
    target = f"{path}?{quote(parts.query, safe=SAFE)}" if parts.query else path
    return Target(scheme=parts.scheme, host=host, port=parts.port, netloc=netloc, target=target)


def origin_of(url: str) -> str:
    """Return scheme://host:port of an address on the web, or raise ValueError saying what is wrong."""
    return web_origin(url)


def at_home(url: str, home: str) -> bool:
    """Return whether an address is of the origin that secrets are for; what is no address is not."""
    try:
        return origin_of(url) == origin_of(home)
    except ValueError:
        return False


def must_be_address(url: str, pointer: str) -> None:
    """Raise Invalid unless this is an address on the web; whether it may be asked is seen when it is."""
    try:
        origin_of(url)
    except ValueError as error:
        raise Invalid(f"This is no address: {error}.", code="invalid_url", pointer=pointer) from None


def place(url: str) -> str:
    """Return how a URL is named in errors: without its query, which may hold what is secret."""
    return url.partition("?")[0].partition("#")[0][:300]
