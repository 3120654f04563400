"""The OpenAPI document: true, complete, and no request made from it ever ends in a 5xx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from api.app import operations
from api.openapi import openapi_document
from tests.support.postgres import Database
from tests.support.server import Running
from tests.support.threads import served_in_a_thread

NOT_SENT = ("authorization", "magnet-min-position")
"""A credential would be another caller's; a position that the log has not reached is a 503 after five seconds."""


@pytest.fixture
def url(database: Database, tmp_path: Path) -> Iterator[str]:
    with served_in_a_thread(database, tmp_path) as found:
        yield found


def test_every_operation_stands_in_the_document_with_side_permission_and_problem():
    document = openapi_document(operations())
    for operation in operations():
        described = document["paths"][operation.path][operation.method.lower()]
        assert described["x-permission"] == operation.permission
        assert "default" in described["responses"]
        assert operation.side == "both" or described["tags"][0].startswith(f"{operation.side}: ")
    names = [operation.name for operation in operations()]
    assert len(set(names)) == len(names)


def test_every_reference_of_the_document_leads_somewhere():
    document = openapi_document(operations())

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    known = {f"#/components/{part}/{name}" for part in ("schemas", "headers") for name in document["components"][part]}
    assert set(references(document)) <= known


async def test_answers_have_the_headers_that_the_document_tells(magnet: Running):
    described = openapi_document(operations())["paths"]
    made = await magnet.call("POST", "/v1/prompts", {"name": "p", "text": "a"}, Idempotency_Key="k")
    again = await magnet.call("POST", "/v1/prompts", {"name": "p", "text": "a"}, Idempotency_Key="k")
    changed = await magnet.call("PATCH", "/v1/prompts/p", {"text": "b"})
    told = {name.lower() for name in described["/v1/prompts"]["post"]["responses"]["201"]["headers"]}
    assert told <= set(again.headers) and told - set(made.headers) == {"idempotent-replay"}
    assert (
        "ETag" in described["/v1/prompts/{ref}"]["patch"]["responses"]["200"]["headers"] and "etag" in changed.headers
    )
    asked = {parameter["name"] for parameter in described["/v1/prompts/{ref}"]["get"]["parameters"]}
    assert "Magnet-Min-Position" in asked
    for path, methods in described.items():
        told = methods.get("get", {}).get("responses", {}).get("200", {}).get("headers", {})
        if "Magnet-Position" in told and "{" not in path and "stream" not in path:
            answer = await magnet.call("GET", path)
            assert answer.status_code != 200 or "magnet-position" in answer.headers, path


def attempts(operation: Any, client: httpx.Client, url: str, most: int) -> int:
    """Send requests made for an operation; return how many, all of them answered as promised."""
    sent_so_far = 0

    @given(case=operation.as_strategy())
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        nonlocal sent_so_far
        sent = case.as_transport_kwargs(base_url=url)
        headers = {k: v for k, v in (sent.get("headers") or {}).items() if k.lower() not in NOT_SENT}
        with client.stream(
            sent["method"], sent["url"], params=sent.get("params"), json=sent.get("json"), headers=headers
        ) as answer:
            if answer.headers.get("content-type") != "text/event-stream; charset=utf-8":  # which may have no end
                answer.read()
        sent_so_far += 1
        assert answer.status_code < 500, (sent["method"], sent["url"], answer.read())
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"

    attempt()
    return sent_so_far


@pytest.mark.filterwarnings("ignore")
def test_no_request_made_from_the_document_ends_in_a_5xx(url: str, pytestconfig: pytest.Config):
    import schemathesis  # a quarter of a second for each process that collects the tests

    most = 30 if pytestconfig.getoption("long") else 3
    schema = schemathesis.openapi.from_dict({**openapi_document(operations()), "servers": [{"url": url}]})
    with httpx.Client(trust_env=False, timeout=30) as client:
        tried = sum(attempts(found.ok(), client, url, most) for found in schema.get_all_operations())
    assert tried > 100
