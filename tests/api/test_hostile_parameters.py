"""A hostile value in every parameter of every operation, in path, query and headers: never a 5xx, and never repeated."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from api.app import operations
from api.openapi import openapi_document
from tests.support.hostile import CALLS_OUT, CANARY, REQUIRED, a_thing_of_each_kind
from tests.support.server import Running

ADDRESSES = [
    f"{CANARY}%00",
    f"{CANARY}%ed%a0%80",
    f"{CANARY}%ff%fe",
    f"..%2f..%2f{CANARY}",
    "%2e%2e",
    f"%E2%80%AE{CANARY}",
    f"{CANARY}%EF%BF%BE",
    "a" * 300,
    "%CC%81" * 1000,
    f"{CANARY}%0d%0aSet-Cookie:%20a=b",
    f"{CANARY}'%22;--%25s%25n{{{{7*7}}}}",
    f";{CANARY}",
    "CON",
    "-1",
    "1e3",
    "%D9%A1",
    "1000000000",
    "99999999999999999999",
    "9" * 5000,
    "NaN",
    "true",
    "null",
    "2026-01-01",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00%2B23:59",
    "00000000-0000-0000-0000-000000000000",
]
"""As they stand in an address."""

HEADERS = [
    f"{CANARY}".encode() + b"\xff\xfe",
    f"{CANARY}".encode() + b"\xed\xa0\x80",
    f"{CANARY}%00".encode(),
    b"a" * 300,
    b"-1",
    b"9" * 30,
    b"9" * 5000,
    b"NaN",
    b"\xd9\xa1",
    b'W/"1"',
    b'"0"',
    b'"1", "2"',
    b"*",
]

Sent = tuple[str, str, str, bytes, dict[str, bytes]]
"""Method, what was sent where, address, body and headers."""


def requests(document: dict[str, Any], each: int) -> Iterator[Sent]:
    """Yield requests, that many for each parameter, in each of which one of them is hostile."""
    addresses, headers = itertools.cycle(ADDRESSES), itertools.cycle(HEADERS)
    for path, methods in document["paths"].items():
        plain = re.sub(r"\{[a-z]+\}", "thing", path)
        for method, operation in methods.items():
            if CALLS_OUT.search(path):
                continue
            body: dict[str, Any] = {}
            if method == "post" and path.removeprefix("/v1/") in REQUIRED:
                body = {"name": "another", **REQUIRED[path.removeprefix("/v1/")]}
            sent = b"" if method == "get" else orjson.dumps(body)
            for parameter, _ in itertools.product(operation["parameters"], range(each)):
                name, place = parameter["name"], parameter["in"]
                if place == "header":
                    yield method, name, plain, sent, {name: next(headers)}
                    continue
                value = next(addresses)
                there = path.replace(f"{{{name}}}", value) if place == "path" else f"{plain}?{name}={value}"
                yield method, name, re.sub(r"\{[a-z]+\}", "thing", there), sent, {}


async def test_a_hostile_value_in_any_parameter_is_refused_or_finds_nothing(
    magnet: Running, pytestconfig: pytest.Config
):
    await a_thing_of_each_kind(magnet)
    every = len(ADDRESSES) if pytestconfig.getoption("long") else 2
    answers = dict.fromkeys((200, 404, 412, 422), 0)
    for method, name, address, body, headers in requests(openapi_document(operations()), every):
        kind = {"Content-Type": b"application/json"} if body else {}
        request = magnet.client.build_request(method, address, content=body or None, headers=kind | headers)
        answer: httpx.Response = await magnet.client.send(request, stream=True)
        endless = answer.headers.get("content-type", "").startswith("text/event-stream")
        said = "" if endless else (await answer.aread()).decode()
        await answer.aclose()
        where = (method, name, address[:200], headers, answer.status_code, said[:500])
        assert answer.status_code < 500, where
        answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
        if answer.status_code >= 400 and not address.startswith(("/mcp", "/chat", "/docs", "/redoc")):
            assert answer.headers["content-type"] == "application/problem+json", where
            problem = orjson.loads(said)
            assert problem["code"], where
            assert CANARY not in orjson.dumps(problem | {"instance": ""}).decode(), where
    assert all(answers.values()), answers
