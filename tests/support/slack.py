"""A workspace on loopback that answers as Slack's published Web API does, and signs what it tells as Slack does."""

import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import orjson

from tests.support.server import Running
from tests.support.site import Answer, Asked, Site, site

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy"
TEAM, PLACE, USER = "T061EG9R6", "C0LAN2Q65", "U061F7AUR"


@dataclass
class Workspace:
    """Keeps messages; `fails` says what goes wrong with the next posts: a status, an error code, or None after it was kept."""

    site: Site
    magnet: Running
    messages: list[dict[str, Any]] = field(default_factory=list)
    fails: list[int | str | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    number: int = 0

    def answers(self, asked: Asked) -> Answer:
        method = asked.path.rpartition("/")[2]
        self.calls.append(method)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(body={"ok": False, "error": "invalid_auth"})
        return getattr(self, "_" + method.replace(".", "_"))(asked)

    def _chat_postMessage(self, asked: Asked) -> Answer:  # noqa: N802
        body = asked.json
        failure = self.fails.pop(0) if self.fails else ""
        if isinstance(failure, int):
            return Answer(status=failure, headers={"retry-after": "0"})
        if failure:
            return Answer(body={"ok": False, "error": failure})
        self.number += 1
        message = {**body, "ts": f"1700000100.{self.number:06}", "bot_id": "B1"}
        self.messages.append(message)
        if failure is None:
            return Answer(status=500)
        return Answer(body={"ok": True, "channel": body["channel"], "ts": message["ts"], "message": message})

    def _chat_update(self, asked: Asked) -> Answer:
        body = asked.json
        for message in self.messages:
            if message["ts"] == body["ts"]:
                message.update(body)
                return Answer(body={"ok": True, "channel": body["channel"], "ts": body["ts"]})
        return Answer(body={"ok": False, "error": "message_not_found"})

    def _conversations_replies(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        assert form["include_all_metadata"] == "true"
        found = [each for each in self.messages if each["thread_ts"] == form["ts"]]
        return Answer(body={"ok": True, "messages": found, "has_more": False, "response_metadata": {"next_cursor": ""}})

    # What Slack tells ---------------------------------------------------------

    async def tell(
        self, path: str, raw: bytes, kind: str, at: float | None = None, secret: str = SECRET
    ) -> httpx.Response:
        """Post something to Magnet, signed."""
        timestamp = str(int(time.time() if at is None else at))
        mac = hmac.new(secret.encode(), b"v0:%b:%b" % (timestamp.encode(), raw), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={mac}",
        }
        return await self.magnet.client.post(f"/v1/channels/team/slack/{path}", content=raw, headers=headers)

    async def event(self, text: str, ts: str, kind: str = "app_mention", **more: Any) -> httpx.Response:
        """Tell of a message."""
        event = {"type": kind, "user": USER, "text": text, "ts": ts, "channel": PLACE, "event_ts": ts, **more}
        payload = {
            "token": "one-long-verification-token",
            "team_id": TEAM,
            "api_app_id": "A0MDYCDME",
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{ts}{kind}",
            "event_time": 1234567890,
        }
        return await self.tell("events", orjson.dumps(payload), "application/json")

    async def press(self, message: dict[str, Any], action: str, at: str = "1") -> httpx.Response:
        """Press the first button of a kind in a message."""
        [pressed] = [
            each
            for block in message["blocks"]
            if block["type"] == "actions"
            for each in block["elements"]
            if each["action_id"] == action
        ][:1]
        payload = {
            "type": "block_actions",
            "team": {"id": TEAM},
            "user": {"id": USER, "username": "ada"},
            "channel": {"id": PLACE, "name": "general"},
            "message": {"ts": message["ts"], "thread_ts": message["thread_ts"], "text": message["text"]},
            "response_url": f"{self.site.url}/response",
            "actions": [{**pressed, "type": "button", "action_ts": at}],
        }
        form = urlencode({"payload": orjson.dumps(payload).decode()})
        return await self.tell("interactions", form.encode(), "application/x-www-form-urlencoded")


@contextlib.asynccontextmanager
async def workspace(magnet: Running) -> AsyncIterator[Workspace]:
    """Serve on a loopback port while the block lasts."""
    async with site() as served:
        made = Workspace(served, magnet)
        served.answers = made.answers
        yield made
