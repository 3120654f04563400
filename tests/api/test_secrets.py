"""A secret planted in every field that takes one, and in every field that does not, comes out nowhere."""

import base64
import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from api.app import COLLECTIONS
from api.logging import configure
from domain.channel import Channel
from domain.configuration import Configuration
from domain.knowledge_source import KnowledgeSource
from domain.provider import Provider
from domain.tool_server import ToolServer
from domain.webhook import Webhook
from tests.support.logs import logging_of_its_own
from tests.support.postgres import Database
from tests.support.server import Running

CANARY = "sk-canaryCANARYcanary0815"
CORE = CANARY[4:-4]
"""What no hint shows: the last four characters of a long secret are said on purpose."""

BODIES: dict[type[Configuration], dict[str, Any]] = {
    Provider: {"type": "openai", "base_url": "https://a.example.com"},
    Webhook: {"url": "https://a.example.com/hook"},
    KnowledgeSource: {"type": "http_json", "config": {"url": "https://a.example.com/items"}},
    ToolServer: {"type": "mcp", "url": "https://a.example.com/mcp"},
    Channel: {"type": "slack", "agent": "helper"},
}
"""What else a thing of each kind with secrets must have."""

NAMES: dict[type[Configuration], tuple[str, str]] = {
    KnowledgeSource: ("token", "api_key"),
    ToolServer: ("token", "client_secret"),
    Channel: ("signing_secret", "bot_token"),
}
"""Names of secrets of kinds that take no others."""


def with_secrets(kind: type[Configuration], secret: str) -> dict[str, Any]:
    """Return the kind's secret fields, each filled with the secret."""
    filled: dict[str, Any] = {}
    for declared in kind.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        filled[name] = dict.fromkeys(NAMES.get(kind, ("X-First", "X-Second")), secret) if many else secret
    return filled


def forms(secret: str) -> set[bytes]:
    """Return how a secret could stand somewhere without being plain: in hexadecimal, and at each offset in base64."""
    plain = secret.encode()
    coded = {base64.b64encode(b"\0" * shift + plain)[4 : len(plain)] for shift in range(3)}
    return {plain, plain.hex().encode(), plain[::-1], *coded}


def assert_nowhere(found: bytes, where: str, *secrets: str) -> None:
    for secret in secrets:
        for form in forms(secret):
            assert form not in found, where


def dumped(database: Database) -> dict[str, bytes]:
    """Return every table of the database as text, as a dump would have it."""
    with psycopg.connect(database.owner_dsn) as owner:
        names = owner.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        tables = {}
        for schema, table in names:
            with owner.cursor().copy(SQL("COPY {} TO STDOUT").format(Identifier(schema, table))) as rows:
                tables[f"{schema}.{table}"] = b"".join(bytes(row) for row in rows)
        return tables


@pytest.fixture(autouse=True)
def log() -> Iterator[StringIO]:
    """All that is logged, in full."""
    with logging_of_its_own():
        with redirect_stderr(StringIO()) as lines:
            configure("DEBUG", "json")
        yield lines


def requests_in(log: StringIO) -> set[str]:
    """Return the routes whose requests were logged."""
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    assert "debug" in {event["level"] for event in events}
    return {event["route"] for event in events if event["event"] == "request"}


@pytest.fixture
async def planted(magnet: Running) -> dict[str, str]:
    """Secrets in every field that takes one: made, changed, and told again to a repeated command. Name -> answer."""
    answers = {}
    await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "Help."})
    for kind, collection in COLLECTIONS:
        if not kind.DEFINITION.SECRETS:
            continue
        path = f"/v1/{collection}"
        body = {"name": "it", **BODIES[kind], **with_secrets(kind, CANARY)}
        for times in ("first", "again"):
            answer = await magnet.call("POST", path, body, Idempotency_Key=f"make-{collection}")
            assert answer.status_code == 201, answer.text
            answers[f"POST {collection} {times}"] = answer.text
        answer = await magnet.call("PATCH", f"{path}/it", with_secrets(kind, CANARY[::-1] + "x"))
        assert answer.status_code == 200, answer.text
        answers[f"PATCH {collection}"] = answer.text
        queries = ("", "/it", "/it/history", "/it?version=1", "/it/diff?from=1&to=2", "/it/usages")
        answers |= {f"GET {path}{query}": await asked(magnet, path + query) for query in queries}
    for query in ("/v1/events", "/v1/events?limit=1", "/metrics", "/openapi.json", "/v1/dead-letters"):
        answers[f"GET {query}"] = await asked(magnet, query)
    return answers


async def asked(magnet: Running, query: str) -> str:
    answer = await magnet.call("GET", query)
    assert answer.status_code == 200, (query, answer.text)
    return answer.text


async def test_a_secret_planted_in_every_secret_field_is_in_no_answer_table_or_log(
    magnet: Running, planted: dict[str, str], log: StringIO, capfd: pytest.CaptureFixture[str]
):
    key = (await magnet.do("POST", "/v1/api-keys", {"name": "admin", "roles": ["admin"]}))["key"]
    secrets = (CORE, CORE[::-1])
    for name, answer in planted.items():
        assert_nowhere(answer.encode(), name, *secrets)
    output = capfd.readouterr()
    assert_nowhere((log.getvalue() + output.out + output.err).encode(), "the log", *secrets, key)
    kinds = {collection for kind, collection in COLLECTIONS if kind.DEFINITION.SECRETS}
    assert {"/metrics", "/v1/events", *(f"/v1/{each}/{{ref}}/diff" for each in kinds)} <= requests_in(log)
    tables = dumped(magnet.database)
    assert "magnet.secrets" in tables and "magnet.magnet_events" in tables
    for name, rows in tables.items():
        assert_nowhere(rows, name, *secrets, key)


async def test_a_secret_in_a_place_where_none_belongs_is_not_repeated_by_the_refusal(
    magnet: Running, log: StringIO, capfd: pytest.CaptureFixture[str]
):
    refusals = 0
    for kind, collection in COLLECTIONS:
        path = f"/v1/{collection}"
        for field in (*kind.DEFINITION.model_fields, "unknown", CANARY):
            for wrong in ([[CANARY]], {CANARY: {CANARY: CANARY}}, f"https://u:{CANARY}@x.example.com"):
                answer = await magnet.call("POST", path, {"name": "it", field: wrong})
                if answer.status_code == 422:
                    refusals += 1
                    assert CORE not in answer.text.replace(f"/{CANARY}", ""), (path, field, answer.text)
    assert refusals > 100
    output = capfd.readouterr()
    assert CORE not in log.getvalue() + output.out + output.err
    assert {f"/v1/{collection}" for _, collection in COLLECTIONS} <= requests_in(log)
    assert CORE.encode() not in dumped(magnet.database)["magnet.magnet_events"]
