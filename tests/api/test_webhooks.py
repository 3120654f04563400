"""Webhooks: the log sent to where somebody wants it, signed, in order, until it is taken or set aside."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.webhooks import dispatcher, feed, sending
from tests.api.test_access import key_of
from tests.support.event_streams import write_prompts
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.webhook_receiver import Receiver, receiving

ALLOWED = {"MAGNET_EGRESS_ALLOW": "127.0.0.0/8"}
FAILED = "500 Internal Server Error\r\nContent-Length: 0\r\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def sender(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """Magnet, which may send to loopback."""
    async with serving(database, tmp_path, **ALLOWED) as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(feed, "NOTE_EVERY", 0.05)
    monkeypatch.setattr(dispatcher, "LOOK_EVERY", 0.2)


async def delivery(magnet: Running, **wanted: Any) -> dict[str, Any]:
    """Wait until the first webhook's delivery is as wanted, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found: dict[str, Any] = await magnet.get("/v1/webhooks/w/delivery")
            if all(found[name] == value for name, value in wanted.items()):
                return found
            await asyncio.sleep(0.01)


async def test_it_is_sent_what_it_wants_signed_and_in_order_from_its_beginning_on(sender: Running, receiver: Receiver):
    await sender.do("POST", "/v1/prompts", {"name": "before", "text": "a"})
    made = await sender.do(
        "POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"], "types": ["model.created"]}
    )
    await sender.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    await sender.do("POST", "/v1/models", {"name": "m", "provider": "oa", "model": "x", "kind": "chat"})
    await sender.do("PATCH", "/v1/models/m", {"title": "M"})
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    await sender.do("PATCH", "/v1/prompts/p", {"text": "b"})
    got = await receiver.got(3)
    wanted = (
        await sender.get("/v1/events?changes=false&after=1&type=model.created,prompt.created,prompt.text_changed")
    )["items"]
    assert [each.event for each in got] == wanted
    assert [each.headers["webhook-id"] for each in got] == [event["id"] for event in wanted]
    assert all(each.is_signed_with(made["secret"]) for each in got)
    assert not any(each.is_signed_with("whsec_AAAA") for each in got)
    shown = await delivery(sender, lag=0, delivered=3)
    assert (shown["last_status"], shown["last_error"], shown["dead_letters"]) == (204, None, 0)


async def test_its_secret_is_shown_once_and_a_new_one_is_made_where_it_is_deleted(sender: Running, receiver: Receiver):
    made = await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    secret = made["secret"]
    for path in ("/v1/webhooks", "/v1/webhooks/w", "/v1/events", "/v1/webhooks/w/history", "/v1/webhooks/w?version=2"):
        assert secret[6:] not in (await sender.call("GET", path)).text
    shown = await sender.get("/v1/webhooks/w")
    assert (shown["secret_set"], shown["secret_hint"]) == (True, secret[-4:])
    kept = await sender.do("PATCH", "/v1/webhooks/w", {"title": "W"})
    assert "secret" not in kept
    new = (await sender.do("PATCH", "/v1/webhooks/w", {"secret": None}))["secret"]
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    [got] = await receiver.got(1)
    assert new != secret
    assert got.is_signed_with(new)
    await sender.do("PATCH", "/v1/prompts/p", {"text": "b"})
    assert (await receiver.got(2))[1].is_signed_with(new)


def recipe() -> dict[str, Any]:
    """Return what the docs tell receivers to do."""
    page = (Path(__file__).parents[2] / "docs" / "log.md").read_text("utf-8")
    [code] = [each.partition("```")[0] for each in page.split("```python")[1:] if "def is_ours" in each]
    found: dict[str, Any] = {}
    exec(code, found)
    return found


@pytest.mark.parametrize("own", [None, "my own secret", "whsec_" + "QUJD" * 10])
async def test_the_recipe_of_the_docs_takes_what_is_signed_by_whatever_secret(
    sender: Running, receiver: Receiver, own: str | None
):
    hook = {"name": "w", "url": receiver.url, "kinds": ["prompt"], **({"secret": own} if own else {})}
    made = await sender.do("POST", "/v1/webhooks", hook)
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    [got] = await receiver.got(1)
    headers = {name.title(): value for name, value in got.headers.items()}
    assert recipe()["is_ours"](own or made["secret"], headers, got.body)
    assert not recipe()["is_ours"](own or made["secret"], headers, got.body + b" ")
    assert not recipe()["is_ours"]("whsec_" + "QUJE" * 10, headers, got.body)


@pytest.mark.parametrize("asked", ["9000", "Fri, 31 Dec 9998 23:59:59 GMT"])
async def test_who_asks_to_be_left_alone_is_left_alone_for_an_hour_at_most(
    sender: Running, receiver: Receiver, asked: str
):
    receiver.answers.append(f"503 Service Unavailable\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n")
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    begun = datetime.now(UTC)
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    waits = datetime.fromisoformat((await delivery(sender, attempts=1))["retry_at"]) - begun
    assert timedelta(minutes=59) < waits < timedelta(minutes=61)


async def test_what_is_not_taken_is_sent_again_in_its_place_until_it_is(sender: Running, receiver: Receiver):
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    receiver.answers += [FAILED, "302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n", FAILED]
    await write_prompts(sender.database.app_dsn, 3)
    await receiver.got(6)
    assert receiver.positions == [3, 3, 3, 3, 4, 5]
    assert len({each.headers["webhook-id"] for each in receiver.deliveries}) == 3
    assert (await delivery(sender, delivered=3))["attempts"] == 0


async def test_what_is_never_taken_is_set_aside_while_the_rest_flows_and_can_be_sent_later(
    sender: Running, receiver: Receiver
):
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    receiver.answers += [FAILED] * 4
    await write_prompts(sender.database.app_dsn, 3)
    await receiver.got(6)
    assert receiver.positions == [3, 3, 3, 3, 4, 5]
    await delivery(sender, lag=0, dead_letters=1, delivered=2)
    [letter] = (await sender.get("/v1/dead-letters"))["items"]
    assert (letter["position"], letter["attempts"], letter["error"], letter["projection"]) == (
        3,
        4,
        "It answered 500.",
        None,
    )
    receiver.answers.append(FAILED)
    for attempts in (5, None):
        answer = await sender.call("POST", f"/v1/dead-letters/{letter['id']}/requeue")
        assert answer.status_code == 202
        async with asyncio.timeout(PATIENCE):
            while [each["attempts"] for each in (await sender.get("/v1/dead-letters"))["items"]] != (
                [attempts] if attempts else []
            ):
                await asyncio.sleep(0.01)
    assert receiver.positions[6:] == [3, 3]
    assert (await sender.call("POST", f"/v1/dead-letters/{letter['id']}/requeue")).status_code == 404


async def test_it_is_sent_again_from_any_position_once_for_each_key(sender: Running, receiver: Receiver):
    await write_prompts(sender.database.app_dsn, 3)
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    await write_prompts(sender.database.app_dsn, 1)
    await receiver.got(1)
    first = await sender.call("POST", "/v1/webhooks/w/replay", {"from": 2}, Idempotency_Key="k")
    assert (first.status_code, first.json()["from"]) == (202, 2)
    await receiver.got(4)
    again = await sender.call("POST", "/v1/webhooks/w/replay", {"from": 2}, Idempotency_Key="k")
    assert (again.content, again.headers["idempotent-replay"]) == (first.content, "true")
    await write_prompts(sender.database.app_dsn, 1)
    await receiver.got(5)
    assert receiver.positions == [6, 2, 3, 6, 7]
    for wrong in ({}, {"from": 0}, {"from": 99}, {"from": True}, {"from": "1"}, {"from": 1, "to": 2}):
        assert (await sender.call("POST", "/v1/webhooks/w/replay", wrong)).status_code == 422
    assert (await sender.call("POST", "/v1/webhooks/nothing/replay", {"from": 1})).status_code == 404
    assert (await sender.call("GET", "/v1/webhooks/nothing/delivery")).status_code == 404


async def test_while_it_is_off_events_wait_and_an_archived_one_is_sent_nothing(sender: Running, receiver: Receiver):
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"], "active": False})
    await sender.do("POST", "/v1/webhooks", {"name": "x", "url": receiver.url, "kinds": ["prompt"]})
    await sender.do("DELETE", "/v1/webhooks/x")
    await write_prompts(sender.database.app_dsn, 2)
    await sender.do("PATCH", "/v1/webhooks/w", {"active": True})
    await write_prompts(sender.database.app_dsn, 1)
    await receiver.got(3)
    await delivery(sender, lag=0)
    assert receiver.positions == [6, 7, 9]


async def test_a_private_address_is_refused_unless_it_is_allowed(magnet: Running, receiver: Receiver):
    await magnet.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url})
    await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    [letter, *_] = await letters(magnet)
    assert "MAGNET_EGRESS_ALLOW" in letter["error"]
    assert receiver.deliveries == []


async def letters(magnet: Running) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        while not (found := (await magnet.get("/v1/dead-letters"))["items"]):
            await asyncio.sleep(0.01)
    return list(found)


async def test_who_never_answers_is_given_up_and_who_is_not_there_is_told_so(
    sender: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "SECONDS", 0.1)
    receiver.silent = True
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
    await write_prompts(sender.database.app_dsn, 1)
    [letter] = await letters(sender)
    assert letter["error"] == "It took longer than 0.1 s."
    await sender.do("PATCH", "/v1/webhooks/w", {"url": "http://127.0.0.1:1/"})
    await write_prompts(sender.database.app_dsn, 1)
    await delivery(sender, dead_letters=2)
    assert "Connect" in (await letters(sender))[1]["error"]


async def test_two_processes_and_a_restart_send_every_event_once_and_in_order(
    database: Database, tmp_path: Path, receiver: Receiver
):
    async with serving(database, tmp_path, **ALLOWED) as one:
        await one.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
        async with serving(database, tmp_path, **ALLOWED) as other:
            await write_prompts(database.app_dsn, 20)
            await receiver.got(20)
            await delivery(other, delivered=20)
    async with serving(database, tmp_path, **ALLOWED) as another:
        await write_prompts(database.app_dsn, 20)
        await receiver.got(40)
        await delivery(another, delivered=40, lag=0)
    assert receiver.positions == list(range(3, 43))


# Other tests have databases on the same server.
END_THE_OWNER = """SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = 7331 AND objid::bigint = (hashtext('webhooks_v1')::bigint & 4294967295)"""


async def test_whoever_sends_may_be_ended_at_any_time_and_nothing_is_lost(
    database: Database, tmp_path: Path, receiver: Receiver
):
    async with serving(database, tmp_path, **ALLOWED) as one, serving(database, tmp_path, **ALLOWED) as other:
        await one.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
        async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
            for number in range(1, 6):
                await write_prompts(database.app_dsn, 20)
                await receiver.got(20 * number - 10)
                async with asyncio.timeout(PATIENCE):
                    while not await (await owner.execute(END_THE_OWNER)).fetchall():
                        await asyncio.sleep(0.01)  # who was ended before has not been followed yet
        await delivery(other, lag=0)
    seen = list(dict.fromkeys(receiver.positions))
    assert seen == list(range(3, 103))
    assert len(receiver.positions) <= 100 + 5, "only what was just being sent is sent twice"


async def test_what_no_event_is_can_not_be_waited_for(magnet: Running):
    hook = {"name": "w", "url": "https://example.com", "kinds": ["prompt"], "types": ["model.created"]}
    for wrong, pointer, meant in (
        ({"types": ["model.created", "model.creatd"]}, "/types/1", "model.created"),
        ({"kinds": ["prompts"]}, "/kinds/0", "prompt"),
    ):
        refused = await magnet.call("POST", "/v1/webhooks", hook | wrong)
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["pointer"]) == (422, pointer) and meant in error["message"]
    await magnet.do("POST", "/v1/webhooks", hook)
    assert (await magnet.call("PATCH", "/v1/webhooks/w", {"types": ["nothing.happened"]})).status_code == 422
    assert (await magnet.get("/v1/webhooks/w"))["types"] == ["model.created"]


async def test_what_is_put_right_is_tried_at_once_and_not_when_the_next_try_was_due(
    sender: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feed, "PAUSES", (3600.0,))
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": "http://127.0.0.1:1/", "kinds": ["prompt"]})
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    assert (await delivery(sender, attempts=1))["retry_at"] is not None
    await sender.do("PATCH", "/v1/webhooks/w", {"url": receiver.url})
    await receiver.got(1)
    assert (await delivery(sender, delivered=1))["retry_at"] is None


async def test_a_try_that_a_clock_put_off_for_years_is_made_after_the_longest_pause(
    database: Database, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feed, "PAUSES", (3600.0,))
    async with serving(database, tmp_path, **ALLOWED) as first:
        receiver.answers.append(FAILED)
        await first.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"]})
        await first.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
        await delivery(first, attempts=1)
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("UPDATE magnet.webhook_feeds SET retry_at = retry_at + interval '10 years'")
    for longest, value in (("PAUSES", (0.01,)), ("LONGEST_WAIT", 0.01)):
        monkeypatch.setattr(feed, longest, value)
    async with serving(database, tmp_path, **ALLOWED) as second:
        await receiver.got(2)
        assert (await delivery(second, delivered=1))["retry_at"] is None


async def test_one_whose_secret_is_not_there_says_so_and_sends_again_when_it_has_another(
    sender: Running, receiver: Receiver, database: Database
):
    await sender.do("POST", "/v1/webhooks", {"name": "w", "url": receiver.url, "kinds": ["prompt"], "active": False})
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM magnet.secrets")
    await sender.do("PATCH", "/v1/webhooks/w", {"active": True})
    await sender.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    shown = await delivery(sender, last_error='It has no secret: a PATCH with "secret": null makes another.')
    assert (shown["delivered"], shown["attempts"]) == (0, 0)
    await sender.do("PATCH", "/v1/webhooks/w", {"title": "still without"})
    made = await sender.do("PATCH", "/v1/webhooks/w", {"secret": None})
    [sent] = await receiver.got(1)
    assert sent.is_signed_with(made["secret"])
    assert (await delivery(sender, delivered=1))["last_error"] is None


async def test_only_administrators_make_webhooks_and_auditors_see_them_without_their_secrets(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    body = {"name": "w", "url": "https://example.com", "secret": "of-24-characters-or-more-0815"}
    await magnet.do("POST", "/v1/webhooks", body, X_API_Key=admin)
    for role in ("editor", "operator", "user", "auditor"):
        key = await key_of(magnet, role, role, admin=admin)
        for method, path in (("POST", ""), ("PATCH", "/w"), ("DELETE", "/w"), ("POST", "/w/replay")):
            assert (await magnet.call(method, f"/v1/webhooks{path}", body, X_API_Key=key)).status_code == 403
        for path in ("", "/w", "/w/history", "/w/delivery"):
            seen = await magnet.call("GET", f"/v1/webhooks{path}", X_API_Key=key)
            assert seen.status_code == (200 if role == "auditor" else 403)
            assert body["secret"] not in seen.text
