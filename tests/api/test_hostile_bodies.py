"""Hostile input over HTTP: a clear refusal, or stored unchanged; never a 5xx, and never repeated."""

import asyncio
import json

from api.app import operations
from api.openapi import openapi_document
from tests.support.hostile import REQUIRED, a_thing_of_each_kind, json_body, resolved
from tests.support.patience import PATIENCE
from tests.support.server import Running

CANARY = "canary-4711"

REFUSED: list[tuple[str, bytes, int]] = [
    ("a NUL", b'{"name":"p","text":"a\\u0000canary-4711"}', 422),
    ("a lone surrogate", b'{"name":"p","text":"canary-4711\\ud800"}', 422),
    ("surrogates in the wrong order", b'{"name":"p","text":"\\udfff\\ud800"}', 422),
    ("a surrogate in a key", b'{"name":"p","text":"a","\\ud800":1}', 422),
    ("a surrogate as bytes", b'{"name":"p","text":"\xed\xa0\x80"}', 400),
    ("an overlong NUL", b'{"name":"p","text":"\xc0\x80"}', 400),
    ("a byte that is no UTF-8", b'{"name":"p","text":"\xff\xfe"}', 400),
    ("a byte-order mark", b'\xef\xbb\xbf{"name":"p","text":"a"}', 400),
    ("UTF-16", '{"name":"p","text":"a"}'.encode("utf-16"), 400),
    ("NaN", b'{"name":"p","text":"a","temperature":NaN}', 422),
    ("Infinity", b'{"name":"p","text":"a","temperature":-Infinity}', 422),
    ("1e999", b'{"name":"p","text":"a","temperature":1e999}', 422),
    ("an integer of 65 bits", b'{"name":"p","text":"a","seed":18446744073709551616}', 422),
    ("an integer of 5,000 digits", b'{"name":"p","text":"a","seed":' + b"9" * 5000 + b"}", 422),
    ("a key twice", b'{"name":"p","text":"a","text":"b"}', 400),
    ("a key twice, deep inside", b'{"name":"p","text":"a","variables":{"v":{"schema":{"a":1,"a":1}}}}', 400),
    ("no JSON", b'{"name":"p"', 400),
    ("an empty body", b"", 400),
    ("white space only", b" \n ", 400),
    ("a list", b"[]", 422),
    ("a text", b'"p"', 422),
    ("null", b"null", 422),
    ("65 levels", b'{"name":"p","text":"a","x":' + b"[" * 64 + b"]" * 64 + b"}", 400),
    ("300 levels", b'{"name":"p","x":' + b"[" * 300 + b"]" * 300 + b"}", 400),
    ("2,000 levels of objects", b'{"a":' * 2000 + b"1" + b"}" * 2000, 400),
    ("100,000 levels", b"[" * 100_000, 400),
    ("a text for a number", b'{"name":"p","text":"a","temperature":"0.5"}', 422),
    ("true for a number", b'{"name":"p","text":"a","max_tokens":true}', 422),
    ("1.0 for an integer", b'{"name":"p","text":"a","max_tokens":1.0}', 422),
    ("a field that only the server sets", b'{"name":"p","text":"a","version":7}', 422),
    ("an actor", b'{"name":"p","text":"a","actor":{"id":"x"}}', 422),
    ("__class__", b'{"name":"p","text":"a","__class__":"x"}', 422),
    ("10^5 keys", b'{"name":"p","text":"a",' + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}", 422),
]


async def test_what_is_refused_is_stored_nowhere_and_repeated_nowhere(magnet: Running):
    for name, body, status in REFUSED:
        answer = await magnet.client.post("/v1/prompts", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, (name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", name
        assert CANARY not in answer.text, name
        answer.content.decode("utf-8")
        assert await magnet.container.log.head() == 0, name


SERVER_SETS = {
    "id": "x",
    "version": 7,
    "position": 7,
    "actor": {"id": "x"},
    "created_at": "x",
    "hash": "x",
    "usage": {},
}


async def test_what_only_the_server_sets_is_taken_from_nobody(magnet: Running):
    await a_thing_of_each_kind(magnet)
    document = openapi_document(operations())
    for collection, needed in REQUIRED.items():
        address = f"/v1/{collection}/thing"
        thing = await magnet.get(address)
        body = json_body(document["paths"][f"/v1/{collection}"]["post"])
        assert body is not None
        taken = resolved(document, body)["properties"]
        given = {field: value or "x" for field, value in (SERVER_SETS | thing).items() if field not in taken}
        assert {"id", "version", "position", "archived", "updated_at"} <= given.keys()
        for method, path, rest in (
            ("POST", f"/v1/{collection}", {"name": "other", **needed}),
            ("PATCH", address, {}),
        ):
            refused = await magnet.call(method, path, rest | given)
            assert refused.status_code == 422, (method, path, refused.text)
            assert {each["pointer"] for each in refused.json()["errors"]} == {f"/{field}" for field in given}
        assert (await magnet.call("GET", f"/v1/{collection}/other")).status_code == 404
        now = await magnet.get(address)
        assert now | {"last_used_at": None} == thing | {"last_used_at": None}


KEPT = [
    "\u202e",
    "\ufffe",
    "e\u0301 é",
    "\u0301" * 10_000,
    "=cmd|' /C calc'!A0",
    "'\";-- DROP TABLE",
    "%s%n%x",
    "${7*7}",
    " " * 100_000,
    "\r\nSet-Cookie: a=b",
    "\x7f\x1b[31m",
]


async def test_text_that_is_text_is_kept_to_the_letter(magnet: Running):
    for number, text in enumerate(KEPT):
        await magnet.do("POST", "/v1/prompts", {"name": f"p{number}", "text": text, "message": "as it is"})
        assert (await magnet.get(f"/v1/prompts/p{number}"))["text"] == text
        assert (await magnet.get(f"/v1/prompts/p{number}?version=1"))["text"] == text


async def test_numbers_are_kept_to_the_digit(magnet: Running):
    numbers = "[1e22,-0.0,9007199254740993,9223372036854775807,-9223372036854775808,0.1,1.0,5e-324]"
    body = '{"name":"p","text":"a","variables":{"v":{"schema":{"enum":' + numbers + "}}}}"
    answer = await magnet.client.post(
        "/v1/prompts", content=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201, answer.text
    stored = (await magnet.client.get("/v1/prompts/p", headers={"Magnet-Min-Position": "1"})).text
    kept = json.loads(stored)["variables"]["v"]["schema"]["enum"]
    assert list(map(repr, kept)) == list(map(repr, json.loads(numbers)))


ADDRESSES = [
    "/v1/prompts/..%2f..%2fetc%2fpasswd",
    "/v1/prompts/%2e%2e",
    "/v1/prompts/CON",
    "/v1/prompts/%E2%80%AE",
    "/v1/prompts/" + "a" * 300,
    "/v1/prompts/%00",
    "/v1/prompts/%ff%fe",
    "/v1/prompts/;a=b",
    "//v1/prompts",
    "/v1/prompts?tag=%00",
    "/v1/prompts?tag=%ed%a0%80",
    "/v1/prompts?limit=%00",
    "/v1/prompts?limit=-1",
    "/v1/prompts?limit=1e3",
    "/v1/prompts?limit=%D9%A1",
    "/v1/prompts?limit=5&limit=6",
    "/v1/prompts?order=sideways",
    "/v1/prompts/p?version=0",
    "/v1/prompts/p?as_of=yesterday",
    "/v1/prompts/p?as_of=2026-01-01",
    "/v1/prompts/p?version=1&label=live",
    "/v1/events?after=99999999999999999999",
    "/v1/events?aggregate=1",
    "/v1/events?since=%00",
    "/v1/prompts/p/diff?from=1",
]


async def test_a_hostile_address_is_a_4xx(magnet: Running):
    for path in ADDRESSES:
        answer = await magnet.client.get(path)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


HEADERS: list[tuple[dict[str, str], int]] = [
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/json; charset=latin-1"}, 415),
    ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ({"Content-Type": "application/json", "If-Match": "1"}, 422),
    ({"Content-Type": "application/json", "If-Match": 'W/"1"'}, 422),
    ({"Content-Type": "application/json", "Idempotency-Key": "a" * 256}, 422),
    ({"Content-Type": "application/json", "Idempotency-Key": "é"}, 422),
    ({"Content-Type": "application/json", "Authorization": "Bearer a", "X-API-Key": "b"}, 400),
]


async def test_a_hostile_header_is_a_4xx(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    for headers, status in HEADERS:
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = await magnet.client.patch("/v1/prompts/p", content=b'{"text":"b"}', headers=encoded)
        assert answer.status_code == status, (headers, answer.text)


async def raw(magnet: Running, *pieces: bytes) -> bytes:
    """Send bytes as they are, and return what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", magnet.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE)
    writer.close()
    return answer


HEAD = b"POST /v1/prompts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


MALFORMED: list[tuple[bytes, bytes]] = [
    (HEAD + b"Content-Length: 10000000000\r\n\r\n{", b"413"),
    (HEAD + b"Content-Length: -1\r\n\r\n{}", b"400"),
    (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", b"400"),
    (b"GET /v1/prompts HTTP/1.1\r\nHost: a/?x=\r\n\r\n", b"403"),
    (b"GET http://evil.example.com/v1/prompts HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", b"403"),
    (b"GET /v1/prompts HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", b"400"),
    (b"NONSENSE\r\n\r\n", b"400"),
]


async def test_malformed_http_is_a_4xx(magnet: Running):
    for request, status in MALFORMED:
        answer = await raw(magnet, request)
        assert answer.split(b" ")[1] == status, (request, answer)
        assert b"application/problem+json" in answer, request


async def test_a_body_in_chunks_is_cut_off_at_the_limit(magnet: Running):
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = await raw(magnet, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk] * 40), b"0\r\n\r\n")
    assert answer.split(b" ")[1] == b"413"
    assert b"too_large" in answer
