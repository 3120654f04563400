"""Trying providers out: what is wrong is told in words, and nothing is recorded."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.test_access import key_of
from tests.support.faults import BRIEF
from tests.support.model_server import Hang, ModelServer, Raw, Reset, html, rate_limited, refused, server_error
from tests.support.server import Running

KEY = "sk-canary-0123456789"
NOT_FOUND_PAGE = Raw(body=b"<html><body>No such page</body></html>", status=404, content_type="text/html")


async def a_provider(magnet: Running, base_url: str, **more: Any) -> None:
    body = {"name": "house", "type": "openai_compatible", "base_url": base_url, "api_key": KEY}
    await magnet.do("POST", "/v1/providers", body | more)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.asynccontextmanager
async def speaking_plainly() -> AsyncIterator[int]:
    """Give the port of a server that knows nothing of TLS."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_provider_that_answers_is_told_with_how_many_models_it_offers(magnet: Running):
    with ModelServer(keys=[KEY], models=["a", "b", "c"]) as server:
        await a_provider(magnet, server.url)
        head = await magnet.container.log.head()
        answer = await magnet.call("POST", "/v1/providers/house/test")
        listed = await magnet.get("/v1/providers/house/available-models")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["ok"], told["models"], told["version"], told["position"]) == (True, 3, 2, head)
    assert answer.headers["etag"] == '"2"'
    assert listed == {"items": [{"model": "a"}, {"model": "b"}, {"model": "c"}], "next_cursor": None}
    assert await magnet.container.log.head() == head


@pytest.mark.parametrize(
    ("step", "status", "code", "upstream", "words"),
    [
        (refused(401, "invalid_api_key"), 502, "provider_access_denied", 401, "refused the key"),
        (refused(403, "forbidden"), 502, "provider_access_denied", 403, "refused the key"),
        (NOT_FOUND_PAGE, 502, "api_not_found", 404, "right path"),
        (html(), 502, "invalid_response", 200, "is the base URL right?"),
        (server_error(), 502, "provider_error", 500, "failed (500)"),
        (rate_limited(retry_after="7"), 429, "model_limit_reached", 429, "no more requests"),
        (Raw(body=b"[{"), 502, "invalid_response", 200, "no JSON"),
        (Raw(body=b"{}"), 502, "invalid_response", 200, "without a list of models"),
        (Raw(body=b"", status=307, headers={"Location": "http://127.0.0.1:1/"}), 502, "provider_redirects", 307, "307"),
        (Reset(), 502, "connection_failed", None, "broke off the connection"),
        (Hang(), 504, "model_call_timed_out", None, "did not answer in time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_wrong_with_a_provider_is_said_in_words(
    magnet: Running, step: Any, status: int, code: str, upstream: int | None, words: str
):
    with ModelServer() as server:
        await a_provider(magnet, server.url, **({"timeouts": {"total": BRIEF}} if isinstance(step, Hang) else {}))
        for method, path in (("POST", "test"), ("GET", "available-models")):
            # What breaks off is asked once more, since nothing changes by it.
            server.script_for("models", *([step] * (2 if isinstance(step, Reset) else 1)))
            answer = await magnet.call(method, f"/v1/providers/house/{path}")
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code), problem
            assert (problem["provider"], problem["upstream_status"]) == ("house", upstream)
            assert words in problem["detail"]
            assert KEY not in answer.text
    if status == 429:
        assert answer.headers["retry-after"] == "7"


async def test_a_base_url_with_a_wrong_path_is_told_from_one_that_is_right(magnet: Running):
    with ModelServer() as server:
        await a_provider(magnet, f"{server.origin}/wrong")
        server.script_for("models", refused(404, "not_found"))
        problem = (await magnet.call("POST", "/v1/providers/house/test")).json()
        assert (problem["code"], problem["upstream_status"]) == ("api_not_found", 404)
        assert "such as /v1" in problem["detail"]
        await magnet.do("PATCH", "/v1/providers/house", {"base_url": server.url})
        assert (await magnet.do("POST", "/v1/providers/house/test"))["ok"]


async def test_an_address_that_can_not_be_reached_is_told_with_its_reason(magnet: Running):
    async with speaking_plainly() as port:
        for name, base_url, words in (
            ("no-name", "http://no-such-host.invalid/v1", "does not resolve"),
            ("nobody", f"http://127.0.0.1:{unused_port()}/v1", "nothing listens"),
            ("no-tls", f"https://127.0.0.1:{port}/v1", "over TLS"),
        ):
            await a_provider(magnet, base_url, name=name)
            answer = await magnet.call("POST", f"/v1/providers/{name}/test")
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (502, "connection_failed")
            assert (problem["provider"], problem["upstream_status"]) == (name, None)
            assert words in problem["detail"], problem


async def test_only_who_may_configure_or_operate_calls_providers(magnet: Running, server: ModelServer):
    await a_provider(magnet, server.url)
    admin = await key_of(magnet, "admin", "admin")
    for role, status in (("editor", 200), ("operator", 200), ("user", 403), ("auditor", 403)):
        key = await key_of(magnet, role, role, admin=admin)
        for method, path in (("POST", "test"), ("GET", "available-models")):
            answer = await magnet.call(method, f"/v1/providers/house/{path}", X_API_Key=key)
            assert answer.status_code == status, answer.text


async def test_a_trial_with_a_key_is_made_once(magnet: Running):
    with ModelServer() as server:
        await a_provider(magnet, server.url)
        first = await magnet.call("POST", "/v1/providers/house/test", {}, Idempotency_Key="k")
        again = await magnet.call("POST", "/v1/providers/house/test", {}, Idempotency_Key="k")
        assert len(server.requests) == 1
    assert again.content == first.content
    assert again.headers["idempotent-replay"] == "true"


async def test_what_can_not_be_tried_is_refused(magnet: Running):
    with ModelServer() as server:
        assert (await magnet.call("POST", "/v1/providers/nothing/test")).status_code == 404
        assert (await magnet.call("GET", "/v1/providers/nothing/available-models")).status_code == 404
        await a_provider(magnet, server.url)
        assert (await magnet.call("POST", "/v1/providers/house/test", {"x": 1})).status_code == 422
        assert (await magnet.call("POST", "/v1/providers/house/test", If_Match='"1"')).status_code == 412
        await magnet.do("DELETE", "/v1/providers/house")
        assert (await magnet.call("POST", "/v1/providers/house/test")).json()["code"] == "archived"
        assert (await magnet.call("GET", "/v1/providers/house/available-models")).json()["code"] == "archived"
