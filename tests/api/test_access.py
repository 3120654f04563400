"""Who may do what: the keyless mode, keys and roles, on every route there is."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import Endpoint, create_app, operations, route
from api.call import Operation
from api.cross_origin import Preflight
from api.permissions import PERMISSIONS, PUBLIC, ROLES, allowed
from api.routing import Directly
from domain.values import moment
from tests.support.patience import PATIENCE
from tests.support.server import Running, serving


async def key_of(magnet: Running, name: str, *roles: str, admin: str | None = None, **more: Any) -> str:
    headers = {"X_API_Key": admin} if admin else {}
    body = {"name": name, "roles": list(roles), **more}
    return str((await magnet.do("POST", "/v1/api-keys", body, **headers))["key"])


async def test_without_a_key_this_machine_acts_as_the_local_administrator(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"}, Authorization="Bearer of-something-else")
    [event] = (await magnet.get("/v1/events"))["items"]
    assert event["actor"] == {"type": "local", "id": "local", "name": "local"}


FOREIGN_PAGES: list[dict[str, str]] = [
    {"Host": "magnet.example.com"},
    {"Host": "localhost.example.com"},
    {"Host": "127.0.0.1@example.com"},
    {"Origin": "https://evil.example.com"},
    {"Origin": "http://localhost:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


async def test_without_a_key_no_foreign_page_is_answered(subtests: pytest.Subtests, magnet: Running):
    for headers in FOREIGN_PAGES:
        with subtests.test(str(headers)[:80]):
            answer = await magnet.client.get("/v1/prompts", headers=headers)
            assert answer.status_code == 403
            answer = await magnet.client.post("/v1/prompts", json={"name": "p", "text": "a"}, headers=headers)
            assert answer.status_code == 403
            assert await magnet.container.log.head() == 0


async def test_forwarded_headers_are_not_believed(magnet: Running):
    answer = await magnet.client.get(
        "/v1/prompts", headers={"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1"}
    )
    assert answer.status_code == 200


async def test_once_a_key_exists_everything_else_is_a_401(magnet: Running):
    key = await key_of(magnet, "admin", "admin")
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    for headers in ({}, {"X-API-Key": wrong}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {key}"}):
        answer = await magnet.client.get("/v1/prompts", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        assert (await magnet.client.get("/v1/prompts", headers=headers)).status_code == 200
    assert (await magnet.client.get("/health/live")).status_code == 200


async def test_a_revoked_or_expired_key_ends_at_once(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    key = await key_of(magnet, "other", "user", admin=admin)
    assert (await magnet.client.get("/v1/prompts", headers={"X-API-Key": key})).status_code == 200
    await magnet.do("DELETE", "/v1/api-keys/other", X_API_Key=admin)
    assert (await magnet.client.get("/v1/prompts", headers={"X-API-Key": key})).status_code == 401
    late = await key_of(magnet, "late", "user", admin=admin, expires_at="2020-01-01T00:00:00Z")
    assert (await magnet.client.get("/v1/prompts", headers={"X-API-Key": late})).status_code == 401


@pytest.mark.parametrize(
    "end", ["2026-12-01t06:30:00.123456789z", "2026-12-02T06:30:00+23:59", "9998-12-31T23:59:59-23:59"]
)
async def test_a_keys_end_may_be_any_time_of_rfc_3339(magnet: Running, end: str):
    admin = await key_of(magnet, "admin", "admin")
    await key_of(magnet, "other", "user", admin=admin, expires_at=end)
    assert (await magnet.get("/v1/api-keys/other", X_API_Key=admin))["expires_at"] == end
    async with magnet.container.pool.connection() as connection:
        cursor = await connection.execute("SELECT expires_at FROM magnet.credentials WHERE name = 'other'")
        assert await cursor.fetchone() == (moment(end),)


async def test_a_revocation_reaches_other_processes_without_waiting(magnet: Running, tmp_path: Path):
    admin = await key_of(magnet, "admin", "admin")
    key = await key_of(magnet, "other", "user", admin=admin)
    async with serving(magnet.database, Path(magnet.container.settings.home)) as elsewhere:
        assert (await elsewhere.client.get("/v1/prompts", headers={"X-API-Key": key})).status_code == 200
        told = asyncio.Event()
        elsewhere.container.listener.on("magnet_credentials", lambda _: told.set())
        await magnet.do("DELETE", "/v1/api-keys/other", X_API_Key=admin)
        await asyncio.wait_for(told.wait(), PATIENCE)
        assert (await elsewhere.client.get("/v1/prompts", headers={"X-API-Key": key})).status_code == 401


async def test_a_keys_rate_is_limited_with_a_time_to_come_back(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    key = await key_of(magnet, "slow", "user", admin=admin, requests_per_minute=6)
    answers = [await magnet.client.get("/v1/prompts", headers={"X-API-Key": key}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 11


async def test_keys_show_when_they_were_last_used_read_at_once_for_a_page(
    magnet: Running, monkeypatch: pytest.MonkeyPatch
):
    admin = await key_of(magnet, "admin", "admin")
    for name in ("one", "two"):
        await key_of(magnet, name, "user", admin=admin)
    credentials = magnet.container.credentials
    await credentials.close()  # waits for what is noted beside requests
    asked, last_uses = [], credentials.last_uses

    async def noted(ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        asked.append(len(ids))
        return await last_uses(ids)

    monkeypatch.setattr(credentials, "last_uses", noted)
    listed = {key["name"]: key for key in (await magnet.get("/v1/api-keys", X_API_Key=admin))["items"]}
    assert asked == [3]
    assert (listed["one"]["last_used_at"], listed["two"]["last_used_at"]) == (None, None)
    assert moment(listed["admin"]["created_at"]) <= moment(listed["admin"]["last_used_at"])
    for name in ("admin", "one"):
        assert await magnet.get(f"/v1/api-keys/{name}", X_API_Key=admin) == listed[name]


def request_for(operation: Operation) -> tuple[str, str]:
    path = operation.path
    for name in ("ref", "label", "tag", "name", "id"):
        path = path.replace("{" + name + "}", "nothing")
    return operation.method, path


async def answered(magnet: Running, method: str, path: str, **more: Any) -> httpx.Response:
    """Return the answer; of a stream, which may have no end, only that it began."""
    async with magnet.client.stream(method, path, **more) as answer:
        if not answer.headers["content-type"].startswith("text/event-stream"):
            await answer.aread()
    return answer


async def test_every_role_may_do_on_every_route_what_its_permissions_say(magnet: Running):
    admin = await key_of(magnet, "the-admin", "admin")
    keys = {role: await key_of(magnet, f"the-{role}", role, admin=admin) for role in ROLES if role != "admin"}
    keys["admin"] = admin
    for operation in operations():
        method, path = request_for(operation)
        for role, key in keys.items():
            body = {} if method in ("POST", "PATCH") else None
            answer = await answered(magnet, method, path, json=body, headers={"X-API-Key": key})
            refused = not allowed(frozenset({role}), operation.permission)
            assert (answer.status_code == 403) == refused, (role, method, path, answer)
            assert answer.status_code < 500
        answer = await answered(magnet, method, path)
        assert (answer.status_code == 401) == (operation.permission != PUBLIC), (method, path)


OPEN_OPERATIONS = {
    "health_live",
    "health_ready",
    # These check a signature, or the origin of a page that a channel knows.
    "take_slack_event",
    "take_slack_interaction",
    "take_channel_message",
    "visit_web_chat",
    "get_web_chat",
}
OPEN_PATHS = {"/", "/openapi.json", "/asyncapi.json", "/docs", "/redoc", "/docs/static/{name}", "/chat.js"}
"""What is not an operation: documents about the API, and a script; they tell nothing of what is kept here."""


async def test_every_route_of_the_application_needs_a_permission_but_for_these(magnet: Running):
    served = create_app(magnet.container)
    assert isinstance(served, Directly)
    found = [route for each in served._app.router.routes for route in getattr(each, "routes", [each])]
    asked = [route.endpoint._operation for route in found if isinstance(route.endpoint, Endpoint)]
    assert sorted(each.name for each in asked) == sorted(each.name for each in operations()), "as in the test above"
    assert {each.name for each in asked if each.permission == PUBLIC} == OPEN_OPERATIONS
    bare = [route for route in found if not isinstance(route.endpoint, Endpoint | Preflight)]
    assert {route.path for route in bare} == OPEN_PATHS
    assert {method for route in bare for method in route.methods} == {"GET", "HEAD"}


async def test_a_route_without_a_permission_stops_the_start(magnet: Running):
    [first, *_] = operations()
    broken = Operation(**{**vars(first), "permission": "nobody:knows"})
    with pytest.raises(ValueError, match="permission"):
        route(broken, magnet.container)


def test_an_auditor_may_read_all_there_is_and_do_nothing_but_note():
    closed = [operation for operation in operations() if operation.permission != PUBLIC]
    may = {each.name for each in closed if allowed(frozenset({"auditor"}), each.permission)}
    assert {each.name for each in closed if each.method == "GET"} - may == {"list_available_models"}
    assert {each.name for each in closed if each.side == "commands"} & may == {"note_on_conversation"}


async def test_an_auditor_sees_who_holds_which_key_and_no_key(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    auditor = await key_of(magnet, "auditor", "auditor", admin=admin)
    listed = await magnet.call("GET", "/v1/api-keys", X_API_Key=auditor)
    assert {key["name"]: key["roles"] for key in listed.json()["items"]} == {"admin": ["admin"], "auditor": ["auditor"]}
    history = await magnet.call("GET", "/v1/api-keys/admin/history", X_API_Key=auditor)
    assert (listed.status_code, history.status_code) == (200, 200)
    for key in (admin, auditor):
        assert key.split("_", 2)[2] not in listed.text + history.text
    for method, path in (("POST", ""), ("PATCH", "/auditor"), ("DELETE", "/admin")):
        answer = await magnet.call(method, f"/v1/api-keys{path}", {"roles": ["admin"]}, X_API_Key=auditor)
        assert answer.status_code == 403


def test_every_role_is_made_of_permissions_that_exist():
    assert all(permissions <= set(PERMISSIONS) for permissions in ROLES.values())
    assert ROLES["admin"] == set(PERMISSIONS)
