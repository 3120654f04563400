"""A hostile value in every slot of every body that the API takes: a 4xx, or kept; never a 5xx, and never repeated."""

import re

import pytest

from api.app import operations
from api.openapi import openapi_document
from tests.support.hostile import (
    CALLS_OUT,
    CANARY,
    REQUIRED,
    VALUES,
    a_thing_of_each_kind,
    json_body,
    placed,
    slots,
)
from tests.support.server import Running


async def test_a_hostile_value_in_any_slot_of_any_body_is_refused_or_kept(magnet: Running, pytestconfig: pytest.Config):
    document = openapi_document(operations())
    await a_thing_of_each_kind(magnet)
    every = len(VALUES) if pytestconfig.getoption("long") else 1
    sent, answers = 0, dict.fromkeys((201, 400, 404, 422), 0)
    for path, methods in document["paths"].items():
        address = re.sub(r"\{[a-z]+\}", "thing", path)
        for method, operation in methods.items():
            schema = json_body(operation)
            if schema is None or CALLS_OUT.search(path):
                continue
            for slot in dict.fromkeys(slots(document, schema)):
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
