"""A hostile value in every slot of every body that the API takes: a 4xx, or kept; never a 5xx, and never repeated."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from api.app import operations
from api.openapi import openapi_document
from tests.support.server import Running

CANARY = "canary4711"

VALUES: list[bytes] = [
    b'"%s\\u0000"' % CANARY.encode(),
    b'"%s\\ud800"' % CANARY.encode(),
    b'"\\udfff\\ud800%s"' % CANARY.encode(),
    b'"%s\xed\xa0\x80"' % CANARY.encode(),
    b'"%s\\ufffe\\u202e e\\u0301"' % CANARY.encode(),
    b'"../..%%2e%%2e%%2f %s \'\\";-- %%s%%n {{7*7}} ${7*7}"' % CANARY.encode(),
    b'"http://127.0.0.1\\\\@%s.example/"' % CANARY.encode(),
    b'"http://[::1%%25lo]/%s"' % CANARY.encode(),
    b'"' + "\u0301".encode() * 3000 + b'"',
    b'"' + b" " * 70_000 + b'"',
    b'""',
    b"NaN",
    b"-1e999",
    b"-0.0",
    b"-1",
    b"9007199254740993",
    b"9223372036854775808",
    b"1.0",
    b"true",
    b"null",
    b"[]",
    b"[null]",
    b"[[{}]]",
    b'["a","a"]',
    b"{}",
    b'{"":""}',
    b'{"%s\\ud800":1}' % CANARY.encode(),
    b'{"__proto__":{"lc":1,"$type":"%s"}}' % CANARY.encode(),
    b'{"a":{"b":{"c":null}}}',
    b"[" * 70 + b"]" * 70,
]

REQUIRED: dict[str, dict[str, Any]] = {
    "providers": {"type": "openai", "base_url": "https://a.example.com"},
    "models": {"provider": "thing", "model": "m", "kind": "chat"},
    "prompts": {"text": "t"},
    "knowledge-sources": {"type": "files"},
    "retrieval-tools": {"sources": ["thing"]},
    "rag-tools": {"retrieval_tool": "thing"},
    "agents": {"instructions": "i"},
    "tool-servers": {"type": "mcp", "url": "https://a.example.com/mcp"},
    "webhooks": {"url": "https://a.example.com/hook", "active": False},
    "channels": {"type": "slack", "agent": "thing"},
    "pipelines": {"steps": [{"name": "s", "parallel": [{"name": "i", "type": "prompt", "tool": "thing"}]}]},
    "api-keys": {},
}
"""Collection -> what a thing needs besides its name; each after those that it refers to."""

CALLS_OUT = re.compile(r"/test$|/tool-servers/[^/]+/sync$")
DEPTH = 3

Path = tuple[str | int, ...]


def slots(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Iterator[Path]:
    """Yield the path of every place that a schema tells of, 0 for a list's item."""
    while "$ref" in schema:
        *_, part, name = schema["$ref"].split("/")
        schema = document["components"][part][name]
    for key in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(key, ()):
            yield from slots(document, each, depth)
    inner: dict[str | int, Any] = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        inner["any"] = schema["additionalProperties"]
    if schema.get("type") == "array":
        inner[0] = schema.get("items", {})
    for name, each in inner.items():
        yield (name,)
        if depth < DEPTH:
            yield from ((name, *path) for path in slots(document, each, depth + 1))


def placed(path: Path, value: bytes, beside: dict[str, Any]) -> bytes:
    """Return a body with a value at a path, and other fields beside it."""
    for key in reversed(path):
        value = b"[%s]" % value if key == 0 else b"{%s:%s}" % (orjson.dumps(key), value)
    rest = orjson.dumps({name: each for name, each in beside.items() if name != path[0]})
    return value if rest == b"{}" else rest[:-1] + b"," + value[1:]


async def test_a_hostile_value_in_any_slot_of_any_body_is_refused_or_kept(magnet: Running, pytestconfig: pytest.Config):
    document = openapi_document(operations())
    for collection, body in REQUIRED.items():
        if collection != "api-keys":  # with the first, each request needs one
            await magnet.do("POST", f"/v1/{collection}", {"name": "thing", **body})
    every = len(VALUES) if pytestconfig.getoption("long") else 1
    sent, answers = 0, dict.fromkeys((201, 400, 404, 422), 0)
    for path, methods in document["paths"].items():
        address = re.sub(r"\{[a-z]+\}", "thing", path)
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or CALLS_OUT.search(path) or path == "/v1/api-keys":
                continue
            for slot in dict.fromkeys(slots(document, content["schema"])):
                for value in (VALUES[(sent + n) % len(VALUES)] for n in range(every)):
                    sent += 1
                    collection = path.removeprefix("/v1/")
                    needed = REQUIRED.get(collection) if method == "post" else None
                    beside = {} if needed is None else {"name": f"n{sent}", **needed}
                    answer = await magnet.client.request(
                        method,
                        address,
                        content=placed(slot, value, beside),
                        headers={"Content-Type": "application/json"},
                    )
                    where = (method, path, slot, value[:60], answer.status_code, answer.text[:500])
                    assert answer.status_code < 500, where
                    answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
                    if answer.status_code >= 400:
                        assert answer.json()["code"], where
                        if path != "/mcp":  # whose clients read JSON-RPC's error, too
                            assert answer.headers["content-type"] == "application/problem+json", where
                        assert CANARY not in answer.text, where
    assert sent > 700 and all(answers.values()), answers
