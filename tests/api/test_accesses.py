"""Reading the log is itself on record, before anything of it is shown; so is every attempt."""

import asyncio
from typing import Any

import psycopg
import pytest

from adapters.postgres import access_log
from domain.errors import Unavailable
from tests.api.test_access import key_of
from tests.support.event_streams import consuming
from tests.support.server import Running

READING = ("/v1/events", "/v1/events?format=csv&kind=prompt", "/v1/audit/verify", "/v1/audit/accesses?limit=1")


async def rows(magnet: Running) -> list[tuple[Any, ...]]:
    async with magnet.container.pool.connection() as connection:
        return await (
            await connection.execute(
                "SELECT actor_name, method, path, query, outcome, status, code, attempts "
                "FROM magnet.access_log ORDER BY id"
            )
        ).fetchall()


async def test_who_reads_the_log_is_on_record_with_what_was_asked(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    auditor = await key_of(magnet, "auditor", "auditor", admin=admin)
    for path in READING:
        assert (await magnet.call("GET", path, X_API_Key=auditor)).status_code == 200
    await magnet.call("GET", "/v1/prompts", X_API_Key=auditor)
    found = (await magnet.get("/v1/audit/accesses", X_API_Key=auditor))["items"]
    assert [f"{item['path']}?{item['query']}".rstrip("?") for item in reversed(found)] == list(READING)
    assert {(item["actor"]["name"], item["outcome"], item["status"]) for item in found} == {("auditor", "allowed", 200)}
    assert {item["address"] for item in found} == {"127.0.0.1"}


async def test_refused_and_failed_attempts_stand_there_too(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    admin = await key_of(magnet, "admin", "admin")
    editor = await key_of(magnet, "editor", "editor", admin=admin)
    await magnet.call("GET", "/v1/events")
    await magnet.call("GET", "/v1/events", X_API_Key=editor)
    await magnet.call("GET", "/v1/events?since=never", X_API_Key=admin)
    await magnet.call("POST", "/v1/api-keys", {"name": "x", "roles": ["admin"]}, X_API_Key=editor)

    async def away(*_: Any) -> int:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(magnet.container.log, "head", away)
        assert (await magnet.call("GET", "/v1/events", X_API_Key=admin)).status_code == 503
    assert [(row[0], row[1], row[2], *row[4:7]) for row in await rows(magnet)] == [
        ("anonymous", "GET", "/v1/events", "refused", 401, "unauthorized"),
        ("editor", "GET", "/v1/events", "refused", 403, "forbidden"),
        ("admin", "GET", "/v1/events", "refused", 422, "invalid_time"),
        ("editor", "POST", "/v1/api-keys", "refused", 403, "forbidden"),
        ("admin", "GET", "/v1/events", "failed", 503, "database_unavailable"),
    ]


async def test_what_cannot_be_noted_is_not_shown(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    await magnet.do("POST", "/v1/prompts", {"name": "secretive", "text": "a"})

    async def away(*_: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(magnet.container.access_log, "note", away)
    for path in (*READING, "/v1/events/stream"):
        answer = await magnet.call("GET", path)
        assert (answer.status_code, "secretive" in answer.text) == (503, False)


async def test_a_stream_is_on_record_before_its_first_byte(magnet: Running):
    async with consuming(magnet, "?kind=prompt"):
        assert [row[1:5] for row in await rows(magnet)] == [("GET", "/v1/events/stream", "kind=prompt", "allowed")]


async def test_a_flood_of_nobody_known_is_told_in_one_row_and_counted(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "SINGLY", 3)
    admin = await key_of(magnet, "admin", "admin")
    await asyncio.gather(*(magnet.call("GET", "/v1/events") for _ in range(50)))
    assert [row[7] for row in await rows(magnet)] == [1, 1, 1]
    assert (await magnet.call("GET", "/v1/events", X_API_Key=admin)).status_code == 200
    assert len(await rows(magnet)) == 4
    await magnet.container.access_log.close()
    assert [(row[0], row[7]) for row in await rows(magnet)][4:] == [("anonymous", 47)]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("reason=%00", "reason=%00"),
        ("reason=" + "x" * 5000, "reason=" + "x" * 1993 + "..."),
        ("reason=%ed%a0%80", "reason=%ed%a0%80"),
        ("'; DROP TABLE magnet.access_log; --", "';%20DROP%20TABLE%20magnet.access_log;%20--"),
    ],
)
async def test_whatever_was_sent_is_kept_as_it_was_sent(magnet: Running, query: str, kept: str):
    assert (await magnet.call("GET", f"/v1/events?{query}")).status_code in (400, 422)
    assert [row[3] for row in await rows(magnet)] == [kept]


async def test_accesses_are_read_in_pages_and_by_filters(magnet: Running):
    for number in range(5):
        await magnet.get(f"/v1/events?limit={number + 1}")
    await magnet.call("GET", "/v1/events?limit=0")
    page = await magnet.get("/v1/audit/accesses?limit=4")
    rest = await magnet.get(f"/v1/audit/accesses?cursor={page['next_cursor']}&outcome=allowed")
    assert [item["query"] for item in page["items"] + rest["items"]] == [f"limit={n}" for n in (0, 5, 4, 3, 2, 1)]
    back = await magnet.get("/v1/audit/accesses?limit=4&order=asc")
    more = await magnet.get(f"/v1/audit/accesses?limit=2&order=asc&cursor={back['next_cursor']}")
    assert [item["query"] for item in back["items"] + more["items"]] == [f"limit={n}" for n in (1, 2, 3, 4, 5, 0)]
    assert len((await magnet.get("/v1/audit/accesses?outcome=refused"))["items"]) == 1
    assert (await magnet.get("/v1/audit/accesses?actor=nobody"))["items"] == []
    assert (await magnet.get("/v1/audit/accesses?until=2020-01-01T00:00:00Z"))["items"] == []
    for wrong in ("outcome=perhaps", "cursor=x", "since=x", "strange=1", "limit=501"):
        assert (await magnet.call("GET", f"/v1/audit/accesses?{wrong}")).status_code == 422


@pytest.mark.parametrize(
    "statement",
    ["UPDATE magnet.access_log SET actor_name = 'x'", "DELETE FROM magnet.access_log", "TRUNCATE magnet.access_log"],
)
async def test_the_access_log_never_changes(magnet: Running, statement: str):
    await magnet.get("/v1/events")
    for dsn in (magnet.database.app_dsn, magnet.database.owner_dsn):
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)  # type: ignore[call-overload]
