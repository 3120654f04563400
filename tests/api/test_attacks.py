"""What an attacker tries beside bodies: heads, credentials, methods, and what makes answers or work grow."""

import asyncio
import json
import re

import pytest

from api import body as bodies
from api import protocol
from domain.outside_json import BRACKETS
from tests.api.test_access import key_of
from tests.support.patience import PATIENCE
from tests.support.server import Running


async def exchange(magnet: Running, sent: bytes) -> bytes:
    """Return all that the server answers on a connection of its own until it closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", magnet.port)
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


def problem_in(answer: bytes) -> tuple[int, str]:
    """Return status and code of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)["code"]


async def test_a_head_that_never_ends_is_refused(magnet: Running):
    header = b"X-Filler: " + b"a" * 1000 + b"\r\n"
    sent = b"GET /v1/prompts HTTP/1.1\r\nHost: localhost\r\n" + header * 200
    assert problem_in(await exchange(magnet, sent)) == (431, "head_too_large")


async def test_a_head_that_does_not_arrive_is_given_up(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "SLOWEST_HEAD", 0.05)
    assert problem_in(await exchange(magnet, b"GET /v1/prompts HTTP/1.1\r\nHost: local")) == (408, "head_timeout")


async def test_a_body_that_comes_byte_by_byte_is_given_up(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "SLOWEST", 0.2)
    head = b"POST /v1/prompts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", magnet.port)
    writer.write(head + b"{")
    async with asyncio.timeout(PATIENCE):
        answered = asyncio.create_task(reader.readuntil(b"}"))
        while not (await asyncio.wait({answered}, timeout=0.05))[0]:
            writer.write(b" ")
    assert problem_in(await answered) == (408, "body_timeout")
    writer.close()
    assert await magnet.container.log.head() == 0


async def test_what_is_no_http_gets_a_problem_document(magnet: Running):
    assert problem_in(await exchange(magnet, b"hello\r\n\r\n")) == (400, "malformed_request")


async def test_a_credential_that_stands_twice_is_refused(magnet: Running):
    key = await key_of(magnet, "admin", "admin")
    for headers in (
        [("X-API-Key", key), ("X-API-Key", "mgn_other")],
        [("Authorization", f"Bearer {key}"), ("X-API-Key", key)],
        [("Authorization", f"Bearer {key}"), ("Authorization", "Bearer x")],
    ):
        answer = await magnet.client.get("/v1/prompts", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")


async def test_a_method_that_is_not_taken_is_told_all_that_are(magnet: Running):
    answer = await magnet.client.put("/v1/prompts/p", json={})
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "PATCH", "DELETE"}


async def test_texts_that_do_not_end_are_scanned_in_linear_time():
    """A quadratic scan would take minutes: what is counted are steps, by doubling and comparing matches."""
    body = b'"' + b"\\" * 2_000_001
    assert sum(1 for _ in BRACKETS.finditer(body)) == 1
    assert re.compile(BRACKETS.pattern, re.DOTALL).match(body).end() >= len(body) - 1


async def test_an_answer_does_not_grow_with_what_is_wrong(magnet: Running):
    body = {"name": "p", "text": "a", **{f"k{number}": 1 for number in range(5_000)}, "x" * 100_000: 1}
    answer = await magnet.client.post("/v1/prompts", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) <= 100
    assert len(answer.content) < 100_000


async def test_a_revoked_key_read_while_it_was_revoked_is_not_kept(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    """Given a look-up that began before the revocation, when it ends after it, then nothing stale stays."""
    admin = await key_of(magnet, "admin", "admin")
    made = await magnet.do("POST", "/v1/api-keys", {"name": "k", "roles": ["user"]}, X_API_Key=admin)
    credentials = magnet.container.credentials
    credentials.forget()
    looked, go_on = asyncio.Event(), asyncio.Event()
    rows = credentials._rows

    async def slow(query, values):
        found = await rows(query, values)
        if query == "find" and not looked.is_set():
            looked.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(credentials, "_rows", slow)
    under_way = asyncio.create_task(magnet.client.get("/v1/prompts", headers={"X-API-Key": made["key"]}))
    await looked.wait()
    monkeypatch.setattr(credentials, "_rows", rows)
    await magnet.do("DELETE", "/v1/api-keys/k", X_API_Key=admin)
    go_on.set()
    await under_way
    assert (await magnet.client.get("/v1/prompts", headers={"X-API-Key": made["key"]})).status_code == 401


@pytest.mark.parametrize("path", ["/docs/static/../openapi.json", "/docs/static/%2e%2e%2fx", "/docs/static/x.js"])
async def test_only_the_pages_own_files_are_served(magnet: Running, path: str):
    assert (await magnet.client.get(path)).status_code in (404, 422)


@pytest.mark.parametrize(
    "text", ["2026-01-31", "2026-W05-1T00:00:00Z", "0001-01-01T00:00:00+14:00", "20260131T120000Z"]
)
async def test_a_time_is_rfc_3339_and_nothing_else(magnet: Running, text: str):
    answer = await magnet.client.get("/v1/prompts/p", params={"as_of": text})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_time")


async def test_websockets_are_not_offered(magnet: Running):
    upgrade = (
        b"GET /v1/prompts HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert not (await exchange(magnet, upgrade)).startswith(b"HTTP/1.1 101")
