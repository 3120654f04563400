"""Channels to a system of one's own: signed both ways, each message once, decisions, and what is given up."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from adapters.channels.own_system import OwnSystems
from commands.channels.channel_deliveries import DeliverAnswers
from commands.jobs import Job
from tests.api.test_confirmations import SHOUT
from tests.support.model_server import ModelServer, Reply
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, talks
from tests.support.webhook_receiver import Receiver, receiving


@dataclass
class System:
    """A system of one's own at the other end."""

    magnet: Running
    receiver: Receiver
    secret: str

    async def post(
        self, body: Any, *, id: str | None = None, at: float | None = None, secret: str | None = None
    ) -> httpx.Response:
        """Post something, signed as the standard says."""
        raw, id, timestamp = orjson.dumps(body), id or str(uuid4()), str(int(time.time() if at is None else at))
        key = base64.b64decode((secret or self.secret).removeprefix("whsec_"))
        mac = hmac.new(key, f"{id}.{timestamp}.".encode() + raw, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "Webhook-Id": id,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": f"v1,b2xk v1,{base64.b64encode(mac).decode()}",
        }
        return await self.magnet.client.post("/v1/channels/desk/messages", content=raw, headers=headers)


@pytest.fixture
async def system(database: Database, tmp_path: Path, server: ModelServer) -> AsyncIterator[System]:
    async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as magnet, receiving() as receiver:
        actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
        async with talks(magnet, server, actions=actions):
            body = {"name": "desk", "type": "webhook", "agent": "helper", "config": {"url": receiver.url}}
            made = await magnet.do("POST", "/v1/channels", body)
            yield System(magnet, receiver, made["signing_secret"])


async def test_messages_are_answered_once_each_and_decisions_taken_signed_both_ways(
    system: System, server: ModelServer
):
    server.script_for("chat-model", Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="HEY"), Reply(text="Done."))
    message = {"thread": "ticket-7", "text": "Shout", "subject": "ada"}
    first = await system.post(message, id="m-1")
    again = await system.post(message, id="m-1")
    assert (first.status_code, again.json()) == (202, first.json())
    text, asked = (await system.receiver.got(2))[:2]
    assert all(each.is_signed_with(system.secret) for each in (text, asked))
    assert {name: text.event[name] for name in ("type", "thread", "conversation", "text")} == {
        "type": "text",
        "thread": "ticket-7",
        "conversation": first.json()["conversation"],
        "text": "Shall I?",
    }
    [confirmation] = asked.event["confirmations"]
    assert (asked.event["type"], confirmation["message"]) == ("confirmation", "Runs a prompt. (words: hey)")
    decision = {"type": "decision", "thread": "ticket-7", "confirmation": confirmation["id"], "approved": True}
    assert (await system.post(decision)).status_code == 202
    decided, rest = (await system.receiver.got(4))[2:]
    assert (decided.event["type"], decided.event["confirmations"][0]["approved"]) == ("decision", True)
    assert (rest.event["type"], rest.event["text"]) == ("text", "Done.")
    ids = [each.headers["webhook-id"] for each in system.receiver.deliveries]
    assert len(set(ids)) == 4
    assert ids == [each.event["id"] for each in system.receiver.deliveries]
    other = await system.post({**decision, "thread": "ticket-8"})
    assert other.status_code == 404


async def test_what_was_not_taken_is_sent_again_under_the_same_id(system: System, server: ModelServer):
    system.receiver.answers = [
        "503 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n",
        "500 Oh\r\nContent-Length: 0\r\n",
    ]
    server.script_for("chat-model", Reply(text="Thirty."))
    await system.post({"thread": "t", "text": "How many?"})
    sent = await system.receiver.got(3)
    assert len({each.headers["webhook-id"] for each in sent}) == 1
    assert {each.event["text"] for each in sent} == {"Thirty."}


async def test_what_can_not_be_sent_is_given_up_on_record(system: System, server: ModelServer):
    system.receiver.answers = ["410 Gone\r\nContent-Length: 0\r\n"] * 50
    server.script_for("chat-model", Reply(text="Thirty."))
    begun = (await system.post({"thread": "t", "text": "How many?"})).json()
    await system.receiver.got(1)
    container = system.magnet.container
    ways = {"webhook": OwnSystems(sender=None, secrets=None)}  # type: ignore[arg-type]
    work = DeliverAnswers(bus=container.bus, things=container.store, adapters=ways)
    await work.give_up(Job(id=UUID(int=1), kind=work.kind, key=begun["conversation"]), "It answered 410.")
    [given_up] = (await system.magnet.get("/v1/events?type=conversation.delivery_failed"))["items"]
    assert (given_up["data"]["turn"], given_up["data"]["reason"]) == (begun["turn"]["id"], "It answered 410.")


async def test_only_what_is_signed_lately_with_its_secret_is_taken_and_what_is_wrong_is_named(system: System):
    message = {"thread": "t", "text": "Hello"}
    other = "whsec_" + base64.b64encode(b"other").decode()
    for wrong in ({"at": time.time() - 360}, {"at": time.time() + 360}, {"secret": other}):
        answer = await system.post(message, **wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert (await system.magnet.client.post("/v1/channels/desk/messages", json=message)).status_code == 401
    for body, pointer in (({"thread": "t"}, "/text"), ({**message, "user": "x"}, "/user"), ([], "")):
        answer = await system.post(body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    refused = await system.magnet.call(
        "POST",
        "/v1/channels",
        {
            "name": "b",
            "type": "webhook",
            "agent": "helper",
            "config": {"url": "https://a.example.com"},
            "secrets": {"x": "y"},
        },
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/secrets/x")
    shown = await system.magnet.get("/v1/channels/desk")
    assert system.secret not in str(shown)
