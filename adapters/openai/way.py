"""The way to one provider: where its paths are, and which headers go there."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI
from yarl import URL

from adapters.model_catalogue import CalledProvider
from adapters.openai.failures import Failure, Kind

AZURE_VERSION = "2024-10-21"
"""The `api-version` of an Azure provider that names none: the newest that is stable for all that is used."""

ALWAYS = {"accept": "application/json, text/event-stream", "user-agent": "magnet"}
FRAMING = {"accept-encoding": "identity", "connection": "keep-alive"}
OF_A_BODY = {"content-type": "application/json"}
NOT_SETTABLE = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""What belongs to the connection and not to the provider's settings."""


class Way:
    """Knows what a request to a provider is besides its body.

    openai's client says where a path is, once for each, and sends nothing: having it make and send every request took
    three times as long as sending them does.
    """

    def __init__(self, provider: CalledProvider, allowed: Callable[[str], bool] | None) -> None:
        self.provider = provider
        self._allowed = allowed
        self._client = client_of(provider, httpx2.MockTransport(lambda _: httpx2.Response(200)))
        self._addresses: dict[tuple[str, str], tuple[str, URL]] = {}
        given = {name: value for name, value in headers_of(provider).items() if name not in NOT_SETTABLE}
        self._headers = {**ALWAYS, **given, **FRAMING}
        self._headers_of_a_body = {**self._headers, **OF_A_BODY}

    async def to(self, method: str, path: str) -> URL:
        """Return where a path is; raise Failure where that may not be reached."""
        if (method, path) not in self._addresses:
            draft = self._client.get if method == "GET" else self._client.post
            found = str((await draft(path, cast_to=httpx2.Response)).request.url)
            self._addresses[method, path] = found, URL(found, encoded=True)
        text, url = self._addresses[method, path]
        if self._allowed is not None and not self._allowed(text):
            raise Failure(
                kind=Kind.FORBIDDEN,
                code="address_not_allowed",
                message="is at an address that may not be reached from here",
            )
        return url

    def headers(self, body: bytes | None) -> Mapping[str, str]:
        """Return the headers of a request; what the client takes from the environment is not among them."""
        return self._headers if body is None else self._headers_of_a_body


def client_of(provider: CalledProvider, transport: httpx2.AsyncBaseTransport) -> AsyncOpenAI:
    """Return openai's client of a provider."""
    definition = provider.definition
    settled: dict[str, Any] = {
        "api_key": "is-among-the-headers",
        "max_retries": 0,
        "http_client": httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False),
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
