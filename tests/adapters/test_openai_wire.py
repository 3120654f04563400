"""Where requests go and what they carry: addresses, keys and headers, of each kind of provider."""

import asyncio
import socket
from functools import partial
from typing import Any

import pytest

from adapters.egress import Egress
from commands.models.model_calls import ModelCallFailed
from tests.support.called_models import Caller, calling, model_of, provider_at
from tests.support.model_server import ModelServer, Raw, refused

KEY = "sk-canary-0123456789"
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


async def failing(caller: Caller, **request: Any) -> ModelCallFailed:
    with pytest.raises(ModelCallFailed) as failure:
        await caller.chat(**request)
    return failure.value


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/proxy/openai/v1", "/proxy/openai/v1/chat/completions"),
    ],
)
@WAYS
async def test_requests_go_to_the_base_url_as_it_is_with_and_without_v1(base: str, path: str, stream: bool):
    with ModelServer(keys=[KEY]) as server:
        async with calling(model_of(provider_at(server.origin + base, api_key=KEY))) as caller:
            await caller.chat(stream=stream)
    assert (server.last.path, server.last.query) == (path, "")
    assert server.last.headers["authorization"] == f"Bearer {KEY}"
    assert "api-key" not in server.last.headers


@pytest.mark.parametrize("base", ["", "/openai", "/openai/"])
@WAYS
async def test_azure_has_the_model_in_the_path_its_version_in_the_query_and_the_key_in_a_header_of_its_own(
    base: str, stream: bool
):
    with ModelServer(keys=[KEY]) as server:
        provider = provider_at(server.origin + base, type="azure_openai", api_key=KEY, api_version="2025-01-01")
        async with calling(model_of(provider, model="my gpt/4")) as caller:
            answer = await caller.chat(stream=stream)
    assert answer.text == "echo: Hello there"
    assert server.last.path == "/openai/deployments/my%20gpt%2F4/chat/completions"
    assert server.last.query == "api-version=2025-01-01"
    assert server.last.headers["api-key"] == KEY
    assert "authorization" not in server.last.headers


async def test_azure_without_a_version_is_asked_for_one_and_embeds_at_its_own_path():
    with ModelServer(keys=[KEY]) as server:
        provider = provider_at(server.origin, type="azure_openai", api_key=KEY)
        async with calling(model_of(provider, kind="embedding")) as caller:
            await caller.embed(["a"])
    assert server.last.path == "/openai/deployments/embedding-model/embeddings"
    assert server.last.query == "api-version=2024-10-21"


async def test_azures_newer_api_has_neither():
    with ModelServer(keys=[KEY]) as server:
        provider = provider_at(f"{server.origin}/openai/v1", type="azure_openai", api_key=KEY)
        async with calling(model_of(provider)) as caller:
            await caller.chat()
    assert (server.last.path, server.last.query) == ("/openai/v1/chat/completions", "")
    assert server.last.headers["api-key"] == KEY


async def test_headers_are_those_of_the_provider_and_secret_ones_go_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with ModelServer() as server:
        provider = provider_at(
            server.url,
            headers={"X-Team": "red", "X-Kind": "public", "Content-Type": "text/plain", "Host": "elsewhere"},
            secret_headers={"x-kind": "s3cret"},
        )
        async with calling(model_of(provider)) as caller:
            await caller.chat()
    sent = dict(server.last.headers)
    assert (sent["x-team"], sent["x-kind"], sent["content-type"]) == ("red", "s3cret", "application/json")
    assert sent["host"] == f"127.0.0.1:{server.port}"
    assert "environment" not in str(sent)
    assert "authorization" not in sent
    assert not [name for name in sent if name.startswith(("x-stainless", "openai-"))]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@WAYS
async def test_a_key_bound_to_its_origin_is_never_sent_elsewhere(status: int, stream: bool):
    with ModelServer() as server, ModelServer() as elsewhere:
        async with calling(model_of(provider_at(server.url, api_key=KEY))) as caller:
            location = f"{elsewhere.url}/chat/completions"
            server.script(Raw(body=b"", status=status, headers={"Location": location}))
            failure = await failing(caller, stream=stream)
    assert (failure.error_code, failure.details["upstream_status"]) == ("provider_redirects", status)
    assert elsewhere.requests == []
    assert elsewhere.open_connections == 0
    assert len(server.requests) == 1


@WAYS
async def test_the_connection_of_an_answer_that_was_read_to_its_end_is_used_again(stream: bool):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url))) as caller:
            for _ in range(3):
                await caller.chat(stream=stream)
            assert (len(server.requests), server.open_connections) == (3, 1)
        await server.until(lambda: server.open_connections == 0)


@WAYS
async def test_an_address_that_is_not_allowed_is_not_asked(stream: bool):
    with ModelServer() as server:
        for kind in ("chat", "embedding", "rerank"):
            async with calling(model_of(provider_at(server.url), kind=kind), egress=Egress()) as caller:
                called = {
                    "chat": partial(caller.chat, stream=stream),
                    "embedding": partial(caller.embed, ["a"]),
                    "rerank": partial(caller.rerank, "a", ["b"]),
                }
                with pytest.raises(ModelCallFailed) as failure:
                    await called[kind]()
            assert failure.value.error_code == "address_not_allowed"
            assert "MAGNET_EGRESS_ALLOW" in str(failure.value)
    assert (server.requests, server.open_connections) == ([], 0)


def names_lead_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have each look-up of a name find the next of these lists of addresses; return the names that were asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    return asked


async def test_a_name_that_changes_its_address_after_the_check_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch):
    asked = names_lead_to(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    with ModelServer() as server:
        provider = provider_at(f"http://models.example:{server.port}/v1")
        async with calling(model_of(provider), egress=Egress(["127.0.0.0/8"])) as caller:
            await caller.chat()
    assert asked == ["models.example"]
    assert server.last.headers["host"] == f"models.example:{server.port}"


async def test_a_name_with_one_private_address_is_not_asked(monkeypatch: pytest.MonkeyPatch):
    names_lead_to(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with ModelServer() as server:
        async with calling(model_of(provider_at(f"http://models.example:{server.port}/v1")), egress=Egress()) as caller:
            failure = await failing(caller)
    assert failure.error_code == "address_not_allowed"
    assert (server.requests, server.open_connections) == ([], 0)


async def test_what_may_be_reached_is_asked_for_each_connection_and_not_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
):
    names_lead_to(monkeypatch, ["127.0.0.1"])
    keyless, asked = True, 0

    async def loopback() -> bool:
        nonlocal asked
        asked += 1
        return keyless

    with ModelServer() as server:
        provider = provider_at(f"http://models.example:{server.port}/v1")
        async with calling(model_of(provider, retries=0), egress=Egress(loopback=loopback)) as caller:
            await caller.chat()
            keyless = False
            server.script(Raw(body=b"{", closes=True))
            broken = await failing(caller)
            assert (broken.error_code, asked) == ("connection_broken", 1)
            failure = await failing(caller)  # although the name is remembered
    assert (failure.error_code, asked, len(server.requests)) == ("address_not_allowed", 2, 2)


async def test_nothing_that_is_told_of_a_failure_holds_a_secret():
    with ModelServer() as server:
        provider = provider_at(server.url, api_key=KEY, secret_headers={"x-team": "s3cret-team"})
        async with calling(model_of(provider)) as caller:
            server.script(refused(400, "invalid_request_error", f"Bad: {KEY} s3cret-team sk-other-0123\x00\u202e\n"))
            failure = await failing(caller)
    told = f"{failure!s} {failure!r} {dict(failure.details)} {failure.attempts} {provider!r}"
    assert failure.details["upstream_message"].startswith("Bad: *** *** ***")
    assert failure.details["upstream_message"].isprintable()
    for secret in (KEY, "s3cret-team", "sk-other"):
        assert secret not in told


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_of_an_endless_refusal_only_the_beginning_is_read(status: int):
    with ModelServer() as server:
        async with calling(model_of(provider_at(server.url), retries=0)) as caller:
            server.script(Raw(body=b"x" * 200_000, status=status, hold=True))
            failure = await failing(caller)
            await server.until(lambda: server.last.ended == "left")
    assert failure.details["upstream_status"] == status


async def test_the_models_that_a_provider_offers_are_listed():
    with ModelServer(keys=[KEY], models=["one", "two"]) as server:
        provider = provider_at(server.url, api_key=KEY)
        async with calling(model_of(provider)) as caller:
            assert await caller.models.available(provider.id) == ["one", "two"]
            server.script_for("models", refused(401, "invalid_api_key", f"Wrong key: {KEY}"))
            with pytest.raises(ModelCallFailed) as failure:
                await caller.models.available(provider.id)
    assert failure.value.error_code == "provider_access_denied"
    assert KEY not in f"{failure.value} {failure.value.details}"
