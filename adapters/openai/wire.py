"""The way to providers, one per provider's version, with our own policy around it.

This module imports openai, which takes its time: import it when the first call is made.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import aiohttp

from adapters.model_catalogue import CalledModel, CalledProvider
from adapters.openai import failures
from adapters.openai.connections import Connections
from adapters.openai.failures import Failure
from adapters.openai.pace import Pace
from adapters.openai.patience import Due, Patience
from adapters.openai.text import NotJson, read_json
from adapters.openai.way import Way, by_deployment
from commands.deadline import Deadline

WAYS = 200
"""Ways kept; one is some KB, and no connection hangs on it."""

REFUSAL = 300
LONGEST_REFUSAL = 100_000
"""Bytes that are read of an answer that is none."""


class Wire:
    """Sends requests to providers, and gives back their answers byte by byte."""

    def __init__(self, allowed: Callable[[str], bool] | None = None) -> None:
        self._allowed = allowed
        self._connections = Connections()
        self._ways: OrderedDict[tuple[Any, int], Way] = OrderedDict()

    def post(self, model: CalledModel, path: str, body: bytes, patience: Patience) -> "Exchange":
        """Return an exchange to enter."""
        provider = model.provider
        if by_deployment(provider) and "/deployments" not in provider.definition.base_url:
            path = f"/deployments/{quote(model.definition.model, safe='')}{path}"
        return self.send(provider, path, body, patience)

    def get(self, provider: CalledProvider, path: str, patience: Patience) -> "Exchange":
        """Return an exchange to enter, without a body."""
        return Exchange(self._connections, self._way(provider), path, None, patience)

    def send(self, provider: CalledProvider, path: str, body: bytes, patience: Patience) -> "Exchange":
        """Return an exchange to enter, for what is asked of a provider and of none of its models."""
        return Exchange(self._connections, self._way(provider), path, body, patience)

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    def _way(self, provider: CalledProvider) -> Way:
        key = (provider.id, provider.version)
        way = self._ways.get(key)
        if way is None:
            way = self._ways[key] = Way(provider, self._allowed)
            if len(self._ways) > WAYS:
                self._ways.popitem(last=False)
        self._ways.move_to_end(key)
        return way


class Exchange(AbstractAsyncContextManager["Exchange"]):
    """One request and its answer. Every error is a Failure; leaving it ends it, also upstream."""

    def __init__(self, connections: Connections, way: Way, path: str, body: bytes | None, patience: Patience) -> None:
        self._connections = connections
        self._way = way
        self._path = path
        self._body = body
        self._patience = patience
        self._answer: aiohttp.ClientResponse | None = None
        self._pace = Pace()
        self._deadline = Deadline()
        self.status: int | None = None

    async def __aenter__(self) -> "Exchange":
        due = self._patience.first
        try:
            with self._deadline.until(due.at):
                answer = await self._send()
                if answer.status >= REFUSAL:
                    raise await self._refusal(answer)
        except TimeoutError:
            self._end()
            raise failures.timed_out(due.phase, due.seconds) from None
        except BaseException:
            self._end()
            raise
        self.status = answer.status
        self.content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._content = answer.content
        return self

    async def _send(self) -> aiohttp.ClientResponse:
        method = "GET" if self._body is None else "POST"
        url, headers = await self._way.to(method, self._path), self._way.headers(self._body)
        self._answer = await self._connections.send(method, url, headers, self._body, self._patience.connect)
        return self._answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """Leave the rest: the connection is closed, unless the answer was read to its end."""
        self._deadline.close()
        if self._answer is not None:
            self._answer.close()

    async def read(self, due: Due) -> bytes | None:
        """Return the next bytes, or None at the end; raise Failure where they break off or are late."""
        if pause := self._pace.pause:
            await self._let_come(pause)
        began = time.monotonic()
        try:
            with self._deadline.until(due.at):
                piece = await self._content.readany()
        except TimeoutError:
            raise failures.timed_out(due.phase, due.seconds, status=self.status) from None
        except (aiohttp.ClientError, OSError):
            raise failures.broken("broke off its answer", status=self.status) from None
        self._pace.came(time.monotonic() - began)
        return piece or None

    async def _let_come(self, seconds: float) -> None:
        """Leave what comes to the operating system for so long: each piece that is taken from it wakes this process."""
        assert self._answer is not None
        connection = self._answer.connection  # none, once all of it has come
        transport = None if connection is None else cast(asyncio.Transport, connection.transport)
        if transport is None or not transport.is_reading():
            await asyncio.sleep(seconds)
            return
        transport.pause_reading()
        await asyncio.sleep(seconds)
        if not transport.is_closing():
            transport.resume_reading()

    async def read_all(self, longest: int) -> bytes:
        """Return the whole body; raise Failure where it is longer than so many bytes."""
        parts: list[bytes] = []
        length = 0
        due = self._patience.first
        while (chunk := await self.read(due)) is not None:
            parts.append(chunk)
            length += len(chunk)
            if length > longest:
                raise failures.invalid("sent an answer that is too long", status=self.status)
            due = self._patience.next()
        return b"".join(parts)

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Failure:
        """Return what an answer that is none means, by its status and what there is of a body."""
        body = b""
        try:
            while len(body) < LONGEST_REFUSAL and (piece := await answer.content.readany()):
                body += piece
        except (aiohttp.ClientError, OSError):
            return failures.broken("broke off the connection before it answered")
        try:
            told: object = read_json(body[:LONGEST_REFUSAL])[0]
        except NotJson:
            told = body[:LONGEST_REFUSAL].decode("utf-8", "replace")
        error = told.get("error", told) if isinstance(told, dict) else told
        secrets = secrets_of(self._way.provider)
        return failures.of_status(answer.status, error, answer.headers, secrets, datetime.now(UTC))


def secrets_of(provider: CalledProvider) -> frozenset[str]:
    """Return what must never be told."""
    return frozenset(filter(None, (provider.api_key, *provider.secret_headers.values())))
