"""The way to providers: openai's clients with our own policy around them, one per provider's version.

This module imports openai, which takes its time: import it when the first call is made.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, AsyncStream, RequestOptions

from adapters.egress import Egress
from adapters.model_catalogue import CalledModel, CalledProvider
from adapters.openai import failures, unreached
from adapters.openai.connections import BODY, NO_ADDRESS, Body, Connections, NotAllowed
from adapters.openai.failures import Failure, Kind
from adapters.openai.outlet import Outlet
from adapters.openai.pace import Pace
from adapters.openai.patience import Due, Patience
from commands.deadline import Deadline

CLIENTS = 200
"""Clients kept; one is some KB, and no connection hangs on it."""

AZURE_VERSION = "2024-10-21"
"""The `api-version` of an Azure provider that names none: the newest that is stable for all that is used."""

TRANSPORT_ERRORS = (httpx2.HTTPError, httpx2.StreamError, OSError)


class Wire:
    """Sends requests to providers, and gives back their answers byte by byte."""

    def __init__(self, egress: Egress) -> None:
        self._transport = Connections(egress)
        self._clients: OrderedDict[tuple[Any, int], AsyncOpenAI] = OrderedDict()

    def post(self, model: CalledModel, path: str, body: bytes, patience: Patience) -> "Exchange":
        """Return an exchange to enter."""
        provider = model.provider
        if by_deployment(provider) and "/deployments" not in provider.definition.base_url:
            path = f"/deployments/{quote(model.definition.model, safe='')}{path}"
        return Exchange(self._client(provider), provider, path, body, patience)

    def get(self, provider: CalledProvider, path: str, patience: Patience) -> "Exchange":
        """Return an exchange to enter, without a body."""
        return Exchange(self._client(provider), provider, path, None, patience)

    def send(self, provider: CalledProvider, path: str, body: bytes, patience: Patience) -> "Exchange":
        """Return an exchange to enter, for what is asked of a provider and of none of its models."""
        return Exchange(self._client(provider), provider, path, body, patience)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _client(self, provider: CalledProvider) -> AsyncOpenAI:
        key = (provider.id, provider.version)
        client = self._clients.get(key)
        if client is None:
            try:
                client = self._clients[key] = self._made(provider)
            except httpx2.InvalidURL:
                raise not_allowed(NO_ADDRESS) from None
            if len(self._clients) > CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return client

    def _made(self, provider: CalledProvider) -> AsyncOpenAI:
        definition = provider.definition
        outlet = Outlet(self._transport, headers_of(provider))
        # The outlet sets every header itself: what the client takes from the environment stays here.
        settled: dict[str, Any] = {
            "api_key": "set-by-the-outlet",
            "max_retries": 0,
            "http_client": httpx2.AsyncClient(transport=outlet, trust_env=False, follow_redirects=False),
        }
        base = definition.base_url.rstrip("/")
        if not by_deployment(provider):
            version = {"api-version": definition.api_version} if definition.api_version else {}
            return AsyncOpenAI(base_url=base, default_query=version, **settled)
        if not base.endswith("/openai") and "/openai/" not in base:
            base += "/openai"
        return AsyncAzureOpenAI(base_url=base, api_version=definition.api_version or AZURE_VERSION, **settled)


def by_deployment(provider: CalledProvider) -> bool:
    """Return whether models stand in the path there: Azure's own API, other than the one it has at /openai/v1."""
    definition = provider.definition
    return definition.type == "azure_openai" and not definition.base_url.rstrip("/").endswith("/openai/v1")


def headers_of(provider: CalledProvider) -> Mapping[str, str]:
    """Return the headers that a provider's requests carry: its own, and its secrets."""
    headers = {name.lower(): value for name, value in provider.definition.headers.items()}
    if provider.api_key:
        azure = provider.definition.type == "azure_openai"
        headers |= {"api-key": provider.api_key} if azure else {"authorization": f"Bearer {provider.api_key}"}
    return headers | {name.lower(): value for name, value in provider.secret_headers.items()}


class Exchange(AbstractAsyncContextManager["Exchange"]):
    """One request and its answer. Every error is a Failure; leaving it ends it, also upstream."""

    def __init__(
        self, client: AsyncOpenAI, provider: CalledProvider, path: str, body: bytes | None, patience: Patience
    ) -> None:
        self._client = client
        self._provider = provider
        self._path = path
        self._body = body
        self._patience = patience
        self._response: httpx2.Response | None = None
        self._pace = Pace()
        self._deadline = Deadline()
        self.status: int | None = None

    async def __aenter__(self) -> "Exchange":
        try:
            await self._begin(self._patience.first)
        except BaseException:
            self._deadline.close()
            raise
        return self

    async def _begin(self, due: Due) -> None:
        try:
            with self._deadline.until(due.at):
                self._response = await self._send()
        except TimeoutError:
            raise failures.timed_out(due.phase, due.seconds) from None
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except openai.APIConnectionError as error:
            raise self._unreached(error) from None
        except (openai.OpenAIError, *TRANSPORT_ERRORS):
            raise failures.broken("could not be reached") from None
        self.status = self._response.status_code
        self.content_type = self._response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._content: Body = self._response.extensions[BODY]

    async def _send(self) -> httpx2.Response:
        options: RequestOptions = {"timeout": httpx2.Timeout(None, connect=self._patience.connect)}
        asked: dict[str, Any] = {"cast_to": httpx2.Response, "stream": True, "stream_cls": AsyncStream[Any]}
        # Asked for as it is, openai gives the response without reading or parsing it.
        if self._body is None:
            return cast(httpx2.Response, await self._client.get(self._path, options=options, **asked))
        return cast(httpx2.Response, await self._client.post(self._path, content=self._body, options=options, **asked))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline.close()
        if self._response is not None:
            await self._response.aclose()

    async def read(self, due: Due) -> bytes | None:
        """Return the next bytes, or None at the end; raise Failure where they break off or are late."""
        if pause := self._pace.pause:
            await self._content.let_come(pause)
        began = time.monotonic()
        try:
            with self._deadline.until(due.at):
                piece = await self._content.read()
        except TimeoutError:
            raise failures.timed_out(due.phase, due.seconds, status=self.status) from None
        except TRANSPORT_ERRORS:
            raise failures.broken("broke off its answer", status=self.status) from None
        self._pace.came(time.monotonic() - began)
        return piece or None

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

    def _refusal(self, error: openai.APIStatusError) -> Failure:
        return failures.of_status(
            error.status_code, error.body, error.response.headers, secrets_of(self._provider), datetime.now(UTC)
        )

    def _unreached(self, error: openai.APIConnectionError) -> Failure:
        cause = error.__cause__
        if isinstance(cause, NotAllowed):
            return not_allowed(str(cause))
        if isinstance(cause, httpx2.ConnectTimeout):
            return failures.timed_out("connect", self._patience.connect)
        if isinstance(cause, httpx2.ConnectError):
            return failures.broken(unreached.reason(cause))
        return failures.broken("broke off the connection before it answered")


def not_allowed(message: str) -> Failure:
    """Return the failure of an address that is not asked."""
    return Failure(kind=Kind.FORBIDDEN, code="address_not_allowed", message=message)


def secrets_of(provider: CalledProvider) -> frozenset[str]:
    """Return what must never be told."""
    return frozenset(filter(None, (provider.api_key, *provider.secret_headers.values())))
