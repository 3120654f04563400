"""Tool servers over HTTP: APIs as tools, called with credentials, mocked, and refused in words."""

import json
import socket
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.tool_servers.withholding import REPEATS
from tests.api.test_access import key_of
from tests.api.test_secrets import assert_nowhere, dumped
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.shop import SPEC, Shop, shop
from tests.support.site import Answer, Asked

SERVERS, SHOP = "/v1/tool-servers", "/v1/tool-servers/shop"
SECRET = "s3cret-canary-91"
FIND = {"tool": "findItem", "arguments": {"item-id": "7"}}
ORDER = {"tool": "order", "arguments": {"body": {"item": "7"}}}


@pytest.fixture
async def store() -> AsyncIterator[Shop]:
    async with shop() as opened:
        yield opened


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, store: Shop) -> AsyncIterator[Running]:
    async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW=store.site.place) as running:
        yield running


async def tried(magnet: Running, body: Any = FIND, path: str = SHOP) -> Any:
    return await magnet.do("POST", f"{path}/test", body)


async def refused(magnet: Running, body: Any, path: str = SHOP) -> tuple[int, str, str]:
    answer = await magnet.call("POST", f"{path}/test", body)
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"]


async def test_a_specification_becomes_tools_that_are_listed_and_called(magnet: Running, store: Shop):
    await magnet.do("POST", SERVERS, store.settings())
    shown = await magnet.get(SHOP)
    assert shown["synced"] == {"title": "Shop", "server": None, "tools": 2, "left_out": []}
    find, order = (await magnet.get(f"{SHOP}/tools"))["items"]
    assert (find["name"], find["side_effects"], find["enabled"]) == ("findItem", False, True)
    assert find["input_schema"]["required"] == ["item-id"]
    assert (order["name"], order["side_effects"]) == ("order", True)
    found = await tried(magnet)
    assert (found["ok"], found["status"], found["mocked"]) == (True, 200, False)
    assert json.loads(found["result"]) == {"item": "7", "price": "12.50"}
    assert found["request"] == f"GET {store.site.url}/v1/items/7"
    assert (await tried(magnet, ORDER))["status"] == 201
    assert store.orders == [{"item": "7"}]
    assert store.site.asked[-1].headers["content-type"] == "application/json"


async def test_a_value_stays_in_its_place_of_the_path_and_wrong_arguments_reach_nobody(magnet: Running, store: Shop):
    await magnet.do("POST", SERVERS, store.settings())
    await tried(magnet, {**FIND, "arguments": {"item-id": "a/b?c"}})
    assert store.site.asked[-1].target == "/v1/items/a%2Fb%3Fc"
    count = len(store.site.asked)
    for arguments in ({"item-id": "../orders"}, {"item-id": ""}, {"item-id": 7}, {}, {"item-id": "7", "more": 1}):
        status, code, detail = await refused(magnet, {**FIND, "arguments": arguments})
        assert (status, code) == (422, "invalid_arguments"), arguments
        assert "orders" not in detail
    assert (await refused(magnet, {"tool": "nothing"}))[:2] == (404, "unknown_tool")
    assert len(store.site.asked) == count


AUTHS: list[tuple[dict[str, Any], str, Any]] = [
    ({"kind": "bearer"}, "token", lambda a: a.headers["authorization"] == f"Bearer {SECRET}"),
    (
        {"kind": "basic"},
        "basic",
        lambda a: a.headers["authorization"] == f"Basic {b64encode(SECRET.encode()).decode()}",
    ),
    ({"kind": "api_key", "name": "X-Key"}, "api_key", lambda a: a.headers["x-key"] == SECRET),
    ({"kind": "api_key", "name": "key", "in": "query"}, "api_key", lambda a: a.query["key"] == SECRET),
    ({"kind": "api_key", "name": "key", "in": "cookie"}, "api_key", lambda a: a.headers["cookie"] == f"key={SECRET}"),
]


async def test_every_kind_of_credential_goes_along_and_is_told_nowhere(
    magnet: Running, store: Shop, database: Database
):
    await magnet.do("POST", SERVERS, store.settings())
    heard: list[str] = []
    echo = store.site.answers
    for auth, secret, is_let_in in AUTHS:
        await magnet.do("PATCH", SHOP, {"auth": None})
        await magnet.do("PATCH", SHOP, {"auth": auth})
        status, code, detail = await refused(magnet, FIND)
        assert (status, code) == (409, "credentials_missing")
        assert f"secrets.{secret}" in detail
        await magnet.do("PATCH", SHOP, {"secrets": {secret: SECRET}})

        def repeats(asked: Asked) -> Answer:
            return Answer(body={"target": asked.target, "headers": asked.headers})

        store.site.answers = repeats
        shown = await tried(magnet)
        assert is_let_in(store.site.asked[-1]), auth
        assert "[hidden]" in shown["result"]
        heard.append(json.dumps(shown))
        store.site.answers = echo
        await magnet.do("PATCH", SHOP, {"secrets": None})
    heard.append(json.dumps(await magnet.get("/v1/events?limit=500")))
    heard.append(json.dumps(await magnet.get(SHOP)))
    assert not any(SECRET in text or b64encode(SECRET.encode()).decode() in text for text in heard)
    for name, rows in dumped(database).items():
        assert_nowhere(rows, name, SECRET)


async def test_what_an_api_repeats_of_its_credentials_is_hidden_in_whatever_form(magnet: Running, store: Shop):
    def repeats(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer(body={"access_token": "t0ken-canary", "expires_in": 3600})
        told = {"target": asked.target, "headers": asked.headers}
        basic = asked.headers.get("authorization", "").partition("Basic ")[2]
        return Answer(body={**told, "password": b64decode(basic).decode().partition(":")[2]})

    store.site.answers = repeats
    await magnet.do("POST", SERVERS, store.settings())
    oauth = {"kind": "oauth2_client_credentials", "token_url": f"{store.site.url}/token", "client_id": "me"}
    for auth, secrets in (
        (oauth, {"client_secret": SECRET}),
        ({"kind": "basic"}, {"basic": 'me:pass"canary'}),
        ({"kind": "api_key", "name": "key", "in": "query"}, {"api_key": 'a/b pass"canary'}),
        ({"kind": "api_key", "name": "key", "in": "cookie"}, {"api_key": 'a/b pass"canary'}),
    ):
        await magnet.do("PATCH", SHOP, {"auth": None, "secrets": None})
        await magnet.do("PATCH", SHOP, {"auth": auth, "secrets": secrets})
        result = (await tried(magnet))["result"]
        assert "[hidden]" in result, auth
        assert "canary" not in result, auth


async def test_a_token_is_had_once_and_anew_when_it_is_refused(magnet: Running, store: Shop):
    shop_answers, given = store.site.answers, []

    def answers(asked: Asked) -> Answer:
        if asked.path == "/token":
            given.append(asked.body.decode())
            return Answer(body={"access_token": f"token-{len(given)}", "expires_in": 3600})
        if asked.headers.get("authorization") != f"Bearer token-{current}":
            return Answer(status=401)
        return shop_answers(asked)

    store.site.answers, current = answers, 1
    auth = {
        "kind": "oauth2_client_credentials",
        "token_url": f"{store.site.url}/token",
        "client_id": "me",
        "scope": "read",
    }
    await magnet.do("POST", SERVERS, store.settings(auth=auth, secrets={"client_secret": SECRET}))
    assert [(await tried(magnet))["status"] for _ in range(3)] == [200] * 3
    assert given == [f"grant_type=client_credentials&client_id=me&client_secret={SECRET}&scope=read"]
    current = 2
    assert (await tried(magnet))["status"] == 200
    assert len(given) == 2
    await magnet.do("PATCH", SHOP, {"base_url": "https://elsewhere.example/v1"})
    assert (await magnet.get(SHOP))["secrets"] == {}


async def test_a_specification_at_an_address_is_read_when_synced(magnet: Running, store: Shop):
    url = f"{store.site.url}/openapi.json"
    await magnet.do("POST", SERVERS, {"name": "shop", "type": "openapi", "url": url})
    assert (await magnet.get(SHOP))["synced"] is None
    assert (await refused(magnet, FIND))[:2] == (404, "unknown_tool")
    first = await magnet.do("POST", f"{SHOP}/sync")
    assert (first["tools"], first["added"], first["removed"]) == (2, ["findItem", "order"], [])
    assert (await tried(magnet))["request"] == f"GET {store.site.url}/v1/items/7"
    again = await magnet.do("POST", f"{SHOP}/sync")
    assert (again["version"], again["added"], again["changed"]) == (first["version"], [], [])
    await magnet.do("PATCH", SHOP, {"tools": {"order": {"calls_per_turn": 1}}, "mocks": {"order": "done"}})
    fewer = {**SPEC, "paths": {"/items/{item-id}": SPEC["paths"]["/items/{item-id}"]}}
    store.site.next = [Answer(body=fewer)]
    last = await magnet.do("POST", f"{SHOP}/sync", {"message": "they told us"})
    assert (last["removed"], last["unknown_settings"]) == (["order"], ["/tools/order", "/mocks/order"])
    for answer, code in (
        (Answer(status=503), "tool_server_unavailable"),
        (Answer(body={"openapi": "3.0.0"}), "invalid_specification"),
        (Answer(body=b"\xff\xfe"), "invalid_specification"),
        (None, "tool_server_unavailable"),
        (Answer(headers={"Content-Encoding": "gzip"}, body=b"x"), "packed"),
    ):
        store.site.next = [answer]
        problem = await magnet.call("POST", f"{SHOP}/sync")
        assert (problem.status_code >= 400, problem.json()["code"]) == (True, code)
    assert (await magnet.get(SHOP))["version"] == last["version"]


async def test_what_is_offered_behind_credentials_is_recorded_without_repeating_them(
    magnet: Running, store: Shop, database: Database
):
    """What is listed is on record: a description, a name or an address that repeats a secret must not be."""
    find = SPEC["paths"]["/items/{item-id}"]
    limit = {"name": "limit", "in": "query", "description": f"Not for {SECRET}.", "schema": {"type": "integer"}}
    spec = {
        **SPEC,
        "info": {"title": f"Shop of {SECRET}", "version": "1"},
        "paths": {
            "/items/{item-id}": {
                **find, "get": {"operationId": "findItem", "description": f"Your key is {SECRET}.", "parameters": [limit]}
            },
            f"/{SECRET}/items": {"get": {"operationId": "mine"}},
            "/named": {"get": {"operationId": f"of_{SECRET}"}},
            "/taking": {"get": {"parameters": [{**limit, "name": SECRET}]}},
        },
    }  # fmt: skip
    store.site.answers = lambda asked: Answer(body=spec) if asked.path == "/openapi.json" else Answer(status=404)
    url = f"{store.site.url}/openapi.json"
    body = {"name": "shop", "type": "openapi", "url": url, "auth": {"kind": "bearer"}, "secrets": {"token": SECRET}}
    await magnet.do("POST", SERVERS, body)
    synced = await magnet.do("POST", f"{SHOP}/sync")
    [tool] = (await magnet.get(f"{SHOP}/tools"))["items"]
    assert (tool["name"], tool["description"]) == ("findItem", "Your key is [hidden].")
    assert tool["input_schema"]["properties"]["limit"]["description"] == "Not for [hidden]."
    assert [each["reason"] for each in synced["left_out"]] == [REPEATS] * 3
    assert (await magnet.get(SHOP))["synced"]["title"] == "Shop of [hidden]"
    store.site.answers = lambda _: Answer(body={**spec, "paths": {f"/{SECRET}": {"get": {"parameters": {}}}}})
    wrong = await magnet.call("POST", f"{SHOP}/sync")
    assert wrong.status_code == 422 and SECRET not in wrong.text
    for name, rows in dumped(database).items():
        assert_nowhere(rows, name, SECRET)


async def test_a_bad_specification_and_settings_for_nothing_are_refused_with_their_place(magnet: Running, store: Shop):
    bad = store.settings(spec=json.dumps({**SPEC, "paths": {"/x": {"get": {"parameters": {}}}}}))
    answer = await magnet.call("POST", SERVERS, bad)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_specification")
    assert answer.json()["errors"][0]["pointer"] == "/spec"
    assert "/paths/~1x/get/parameters" in answer.json()["detail"]
    for more, pointer in (
        ({"tools": {"nothing": {}}}, "/tools/nothing"),
        ({"mocks": {"nothing": 1}}, "/mocks/nothing"),
        ({"secrets": {"password": "p"}}, "/secrets/password"),
    ):
        answer = await magnet.call("POST", SERVERS, store.settings(**more))
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_what_goes_wrong_with_a_call_is_said_in_words(magnet: Running, store: Shop):
    await magnet.do("POST", SERVERS, store.settings())
    store.site.next = [Answer(status=500, body=b"out of paper", headers={"Content-Type": "text/plain"})]
    failed = await tried(magnet)
    assert (failed["ok"], failed["status"]) == (False, 500)
    assert failed["result"] == "The API answered 500. out of paper"
    elsewhere = Answer(status=307, headers={"Location": "http://127.0.0.1:1/"})
    large = Answer(body=b"x" * 2_000_001, headers={"Content-Type": "text/plain"})
    for step, body, code, words in (
        (None, ORDER, "tool_server_unavailable", "not known whether this was done"),
        (elsewhere, ORDER, "source_unavailable", "sends a POST on"),
        (elsewhere, FIND, "address_refused", "MAGNET_EGRESS_ALLOW"),
        (large, ORDER, "answer_too_large", "not known whether this was done"),
    ):
        store.site.next = [step]
        status, found, detail = await refused(magnet, body)
        assert (status, found) == (409 if code == "address_refused" else 502, code)
        assert words in detail
    store.site.next = [Answer(body=b"\x89PNG\x00", headers={"Content-Type": "image/png"})]
    assert (await tried(magnet))["result"] == "(5 bytes of image/png, which are not shown.)"
    await magnet.do("PATCH", SHOP, {"base_url": "http://127.0.0.1:1/v1"})
    status, code, detail = await refused(magnet, ORDER)
    assert (status, code) == (409, "address_refused")
    assert "not known" not in detail
    await magnet.do("PATCH", SHOP, {"base_url": None})
    status, code, detail = await refused(magnet, FIND)
    assert (status, code) == (409, "no_address")
    assert "set 'base_url'" in detail


async def test_a_call_that_is_not_answered_in_time_may_have_been_done_and_says_so(
    database: Database, tmp_path: Path, store: Shop
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as magnet:
            await magnet.do("POST", SERVERS, store.settings(base_url=base, timeout=1))
            status, code, detail = await refused(magnet, ORDER)
            assert (status, code) == (504, "tool_timed_out")
            assert "not known whether this was done" in detail
            assert "not known" not in (await refused(magnet, FIND))[2]


async def test_credentials_do_not_follow_a_redirect_nor_a_server_that_the_specification_names(
    magnet: Running, store: Shop, database: Database, tmp_path: Path
):
    async with shop() as other, serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as both:
        settings = store.settings(auth={"kind": "bearer"}, secrets={"token": SECRET})
        await both.do("POST", SERVERS, settings)
        store.site.next = [Answer(status=302, headers={"Location": f"{other.site.url}/v1/items/9"})]
        assert json.loads((await tried(both))["result"])["item"] == "9"
        assert "authorization" in store.site.asked[-1].headers
        assert "authorization" not in other.site.asked[-1].headers
        elsewhere = {**SPEC, "servers": [{"url": f"{other.site.url}/v1"}]}
        store.site.next = [Answer(body=elsewhere)]
        at = {"name": "at", "type": "openapi", "url": f"{store.site.url}/openapi.json", "auth": {"kind": "bearer"}}
        await both.do("POST", SERVERS, {**at, "secrets": {"token": SECRET}})
        await both.do("POST", f"{SERVERS}/at/sync")
        assert (await refused(both, FIND, f"{SERVERS}/at"))[1] == "credentials_missing"
        assert len(other.site.asked) == 1


async def test_mocks_answer_in_the_place_of_tools_and_nothing_is_sent(magnet: Running, store: Shop):
    mocks = {"findItem": {"item": "mock"}}
    await magnet.do("POST", SERVERS, store.settings(mocked=True, mocks=mocks))
    found = await tried(magnet)
    assert (found["mocked"], found["result"], found["request"]) == (True, '{"item":"mock"}', "")
    assert (await refused(magnet, ORDER))[:2] == (409, "not_mocked")
    await magnet.do("PATCH", SHOP, {"tools": {"findItem": {"enabled": False}}})
    assert (await refused(magnet, FIND))[:2] == (409, "tool_disabled")
    assert store.site.asked == []


async def test_who_may_not_configure_may_not_call_tools_and_a_repeat_calls_nothing(magnet: Running, store: Shop):
    root = await key_of(magnet, "root", "admin")
    await magnet.do("POST", SERVERS, store.settings(), X_API_Key=root)
    user = await key_of(magnet, "user", "user", admin=root)
    for path in ("test", "sync"):
        answer = await magnet.call("POST", f"{SHOP}/{path}", ORDER, X_API_Key=user)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    headers = {"X_API_Key": root, "Idempotency_Key": "once"}
    first = await magnet.call("POST", f"{SHOP}/test", ORDER, **headers)
    again = await magnet.call("POST", f"{SHOP}/test", ORDER, **headers)
    assert (first.content, again.headers["Idempotent-Replay"]) == (again.content, "true")
    assert len(store.orders) == 1
