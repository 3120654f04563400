"""Hostile values, and where the OpenAPI document says that something may be given."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

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

CALLS_OUT = re.compile(r"/test$|/available-models$|/tool-servers/[^/]+/sync$")
DEPTH = 3

Path = tuple[str | int, ...]


def slots(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Iterator[Path]:
    """Yield the path of every place that a schema tells of, 0 for a list's item."""
    schema = resolved(document, schema)
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


async def a_thing_of_each_kind(magnet: Running) -> None:
    """Make what is called `thing` in each collection, API keys too: by an administrator's key, as all that follows."""
    made = await magnet.do("POST", "/v1/api-keys", {"name": "admin", "roles": ["admin"]})
    magnet.client.headers["X-API-Key"] = made["key"]
    for collection, body in REQUIRED.items():
        await magnet.do("POST", f"/v1/{collection}", {"name": "thing", **body})


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that a reference leads to."""
    while "$ref" in schema:
        *_, part, name = schema["$ref"].split("/")
        schema = document["components"][part][name]
    return schema


def json_body(operation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of an operation's body, None where it takes no JSON."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else content["schema"]
