"""Slack over HTTP, against a workspace that answers as its published API does: threads, buttons, repeats and failures."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.api.test_confirmations import SHOUT
from tests.support.model_server import Gate, ModelServer, Reply, refused
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.slack import PLACE, SECRET, TOKEN, Workspace, workspace
from tests.support.talks import ACTIONS, Talks, talks

FIRST = "1700000000.000100"


@dataclass
class Team:
    """A workspace whose app is an agent that must ask before it shouts."""

    slack: Workspace
    talk: Talks
    models: ModelServer

    async def until(self, condition: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Wait until the thread is as a condition says, and return its messages of the app."""
        async with asyncio.timeout(PATIENCE):
            while not condition(self.slack.messages):
                await asyncio.sleep(0.01)
        return self.slack.messages

    async def see(self) -> Any:
        """Return the only conversation, once all of it was told."""
        [listed] = (await self.talk.magnet.get("/v1/conversations"))["items"]
        return await self.talk.see(f"/v1/conversations/{listed['id']}")

    async def events(self, type: str) -> list[Any]:
        return list((await self.talk.magnet.get(f"/v1/events?type={type}"))["items"])


@pytest.fixture
async def team(database: Database, tmp_path: Path, server: ModelServer) -> AsyncIterator[Team]:
    async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as magnet:
        actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
        async with talks(magnet, server, actions=actions) as talk, workspace(magnet) as slack:
            await magnet.do(
                "POST",
                "/v1/channels",
                {
                    "name": "team",
                    "type": "slack",
                    "agent": "helper",
                    "config": {"api_url": slack.site.url},
                    "secrets": {"signing_secret": SECRET, "bot_token": TOKEN},
                },
            )
            yield Team(slack, talk, server)


async def test_a_thread_is_a_conversation_and_answers_come_into_it_once(team: Team):
    slack = team.slack
    team.models.script_for("chat-model", Reply(text="**Thirty** days & <more>."), Reply(text="At noon."))
    first = await slack.event("<@U0LAN0Z89> how many &lt;holidays&gt;?", FIRST)
    assert (first.status_code, first.json()["turn"]["state"]) == (200, "running")
    # Slack tells again what it is not sure of, and of a mention also as a message.
    again = await slack.event("<@U0LAN0Z89> how many &lt;holidays&gt;?", FIRST)
    twin = await slack.event("<@U0LAN0Z89> how many &lt;holidays&gt;?", FIRST, "message", thread_ts=FIRST)
    assert again.json() == twin.json() == first.json()
    [answer] = await team.until(lambda messages: len(messages) == 1)
    assert (answer["channel"], answer["thread_ts"]) == (PLACE, FIRST)
    assert answer["text"] == "*Thirty* days &amp; &lt;more&gt;."
    await slack.event("And lunch?", "1700000005.000200", "message", thread_ts=FIRST, channel_type="channel")
    messages = await team.until(lambda messages: len(messages) == 2)
    assert messages[1]["text"] == "At noon."
    seen = await team.see()
    assert [each["content"] for each in seen["messages"] if each["role"] == "user"] == [
        "how many <holidays>?",
        "And lunch?",
    ]
    assert (seen["channel"], seen["subject"]) == ("slack", "slack:T061EG9R6:U061F7AUR")
    assert (seen["principal"]["type"], seen["principal"]["name"]) == ("channel", "team")
    # What is said elsewhere, by apps, or changed, is no concern of the app.
    for more in (
        {"kind": "message"},
        {"kind": "message", "thread_ts": "1.1"},
        {"bot_id": "B2"},
        {"subtype": "bot_message"},
    ):
        ignored = await slack.event("Not for you", "1700000009.000300", **more)
        assert (ignored.status_code, ignored.json().get("turn")) == (200, None)
    assert TOKEN not in str(await team.talk.magnet.get("/v1/events?limit=500"))


async def test_buttons_ask_and_are_replaced_by_what_was_decided(team: Team):
    slack = team.slack
    team.models.script_for(
        "chat-model", Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="HEY"), Reply(text="Done.")
    )
    await slack.event("Shout", FIRST)
    text, asked = await team.until(lambda messages: len(messages) == 2)
    assert text["text"] == "Shall I?"
    assert asked["blocks"][0]["text"]["text"] == "Runs a prompt. (words: hey)"
    pressed = await slack.press(asked, "magnet_approve")
    assert pressed.status_code == 200
    late = await slack.press(asked, "magnet_decline", at="2")
    assert late.json() == {"refused": "confirmation_decided"}
    await team.until(
        lambda messages: len(messages) == 3 and "actions" not in [b["type"] for b in messages[1]["blocks"]]
    )
    assert [each["text"] for each in slack.messages] == ["Shall I?", "Runs a prompt. (words: hey)", "Done."]
    assert slack.messages[1]["blocks"][1]["elements"][0]["text"] == "*Approved*"
    [given] = await team.events("conversation.confirmation_given")
    assert (given["actor"]["type"], given["reason"]) == ("channel", "decided by slack:T061EG9R6:U061F7AUR")


async def test_what_may_have_arrived_is_looked_for_and_not_sent_twice(team: Team):
    slack = team.slack
    slack.fails = [None]  # kept by Slack, but its answer was lost
    team.models.script_for("chat-model", Reply(text="Once."))
    await slack.event("Say it", FIRST)
    async with asyncio.timeout(PATIENCE):
        while not (delivered := await team.events("conversation.delivered")):
            await asyncio.sleep(0.02)
    assert [each["text"] for each in slack.messages] == ["Once."]
    assert delivered[0]["data"]["reference"] == slack.messages[0]["ts"]
    assert slack.calls == ["chat.postMessage", "conversations.replies"]


async def test_a_refusal_is_tried_again_and_what_is_said_meanwhile_keeps_its_order(team: Team):
    slack, gate = team.slack, Gate()
    slack.fails = [429, "internal_error"]
    team.models.script_for("chat-model", Reply(text="one two", gate=gate), refused(400, "bad_request"))
    await slack.event("First?", FIRST)
    waits = await slack.event("Second?", "1700000005.000200", "message", thread_ts=FIRST)
    assert waits.json()["turn"]["state"] == "queued"
    gate.open()
    messages = await team.until(lambda messages: len(messages) == 2)
    assert [each["text"] for each in messages] == ["one two", "That did not work. Write again to try once more."]


async def test_slack_is_believed_by_its_signature_alone(team: Team):
    slack = team.slack
    asks = orjson.dumps({"type": "url_verification", "challenge": "3eZbrw1aB10FEMAGAZd4FyFQ"})
    answer = await slack.tell("events", asks, "application/json")
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aB10FEMAGAZd4FyFQ"})
    # Well beyond the five minutes: what comes is nearer by then, on a machine that does much else.
    for wrong in ({"at": time.time() - 301}, {"at": time.time() + 360}, {"secret": "other"}):
        for path in ("events", "interactions"):
            answer = await slack.tell(path, asks, "application/json", **wrong)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    unsigned = await team.talk.magnet.client.post("/v1/channels/team/slack/events", content=asks)
    assert unsigned.status_code == 401
    await team.talk.magnet.do("PATCH", "/v1/channels/team", {"active": False})
    assert (await slack.tell("events", asks, "application/json")).status_code == 404
