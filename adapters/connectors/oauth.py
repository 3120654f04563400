"""Tokens that are had for a client's credentials (OAuth 2.0), kept in memory until shortly before they expire."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from urllib.parse import urlencode

from adapters.connectors.given_values import mapping, text
from adapters.connectors.web import Answer, Ask, Web, place
from commands.knowledge.connectors import SourceUnavailable

USUAL_LIFE = 3600.0
"""Seconds that a token is kept whose server tells no end of it."""

LEEWAY = 60.0
"""Seconds before its end after which a token is no longer used."""

NAMED_ERROR = re.compile(r"[a-z_]{1,40}\Z")
REFUSED = (400, 401, 403)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Where a token is had, and what is sent for it."""

    url: str
    form: Mapping[str, str] = field(repr=False)

    @property
    def key(self) -> str:
        """What tells grants apart, without their secrets."""
        return sha256(f"{self.url} {urlencode(sorted(self.form.items()))}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token, and when it is over by the clock."""

    value: str = field(repr=False)
    until: float


class Tokens:
    """The tokens of all sources; whoever needs the same one waits for it, and it is asked for once."""

    def __init__(self, web: Web, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def ask(self, grant: Grant, ask: Ask, send: Callable[[Ask], Awaitable[Answer]] | None = None) -> Answer:
        """Send a request with a token; one that is refused is had anew, once.

        The token goes to the origin of the request's address: let that be the one the grant was made for. `send` is
        how it is sent; None: as connectors ask.
        """
        send = send or self._web.ask
        token = await self.token(grant)
        answer = await send(bearing(ask, token))
        if answer.status != 401:
            return answer
        self.forget(grant, token)
        return await send(bearing(ask, await self.token(grant)))

    async def token(self, grant: Grant) -> str:
        """Return a token that is not over, or raise SourceUnavailable."""
        async with self._fetching.setdefault(grant.key, asyncio.Lock()):
            kept = self._tokens.get(grant.key)
            if kept is None or kept.until <= self._clock():
                kept = await self._had(grant)
                self._tokens[grant.key] = kept
            return kept.value

    def kept(self, grant: Grant) -> str | None:
        """Return the token that was had last, if there is one."""
        kept = self._tokens.get(grant.key)
        return None if kept is None else kept.value

    def forget(self, grant: Grant, token: str) -> None:
        """Drop a token that was refused, unless another one was had meanwhile."""
        kept = self._tokens.get(grant.key)
        if kept is not None and kept.value == token:
            del self._tokens[grant.key]

    async def _had(self, grant: Grant) -> Token:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = await self._web.ask(Ask(url=grant.url, headers=headers, body=urlencode(grant.form).encode()))
        where = place(grant.url)
        if answer.status in REFUSED:
            raise SourceUnavailable(
                f"{where} gives no token ({answer.status}{named_error(answer)}): set the source's secrets anew.",
                code="credentials_refused",
            )
        if answer.status >= 300:
            raise SourceUnavailable(f"{where} gives no token: it answered {answer.status}.")
        told = mapping(answer.json())
        value = text(told.get("access_token"))
        if not value.isascii() or not value.isprintable() or not value or " " in value:
            raise SourceUnavailable(f"{where} answered without a token.")
        return Token(value=value, until=self._clock() + max(0.0, life_of(told) - LEEWAY))


def bearing(ask: Ask, token: str) -> Ask:
    """Return a request that brings a token."""
    return replace(ask, credentials={**ask.credentials, "Authorization": f"Bearer {token}"})


def life_of(told: Mapping[str, object]) -> float:
    """Return the seconds that a token lives; some servers write the number as text."""
    life = told.get("expires_in")
    if isinstance(life, str) and life.isdecimal():
        return float(life)
    return float(life) if isinstance(life, int | float) and not isinstance(life, bool) else USUAL_LIFE


def named_error(answer: Answer) -> str:
    """Return the error's name as OAuth has it; whatever else is told may repeat what was sent."""
    try:
        name = text(mapping(answer.json()).get("error"))
    except SourceUnavailable:
        return ""
    return f", {name}" if NAMED_ERROR.match(name) else ""
