"""Answers to Slack, by its Web API: each part a message in the thread, found again by what it carries with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from adapters.channels.slack_text import LONGEST, asking, decided, marked, with_sources
from adapters.connectors.web import Ask, Unanswered, Web
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.retry_after import seconds_asked
from commands.channels.channel_deliveries import NotDelivered, Outgoing
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from domain.channel import Channel

EVENT = "magnet_part"
SECONDS = 20.0
MOST_BYTES = 4_000_000
PAGES = 5
"""Pages of a thread's messages that are looked through."""


@dataclass(frozen=True, kw_only=True)
class Slack:
    """Sends parts to threads of Slack."""

    web: Web
    secrets: SealedSourceSecrets
    longest: int = LONGEST
    tells_twice: bool = True

    async def send(self, channel: Channel, outgoing: Outgoing) -> str:
        """Send a part, or put a decision in the place of what was asked; return the message's `ts`."""
        place, _, thread = outgoing.thread.partition("/")
        body = {"channel": place, **self._content(channel, outgoing)}
        if outgoing.part.kind == "decision" and outgoing.reference:
            return str((await self._call(channel, "chat.update", {**body, "ts": outgoing.reference}))["ts"])
        carried = {"event_type": EVENT, "event_payload": {"id": str(outgoing.part.id)}}
        more = {"thread_ts": thread, "metadata": carried, "unfurl_links": False, "unfurl_media": False}
        return str((await self._call(channel, "chat.postMessage", {**body, **more}))["ts"])

    def _content(self, channel: Channel, outgoing: Outgoing) -> dict[str, Any]:
        part, texts = outgoing.part, channel.config["texts"]
        if part.kind == "failure":
            return {"text": texts["failed"]}
        if part.kind == "text":
            return {"text": with_sources(marked(part.text), part.citations, texts["sources"])}
        blocks = (asking if part.kind == "confirmation" else decided)(part.confirmations, texts)
        return {"text": "\n".join(each["message"] for each in part.confirmations)[:LONGEST], "blocks": blocks}

    async def find(self, channel: Channel, outgoing: Outgoing) -> str | None:
        """Return the `ts` of a part that is in its thread; a decision may be put there twice."""
        if outgoing.part.kind == "decision":
            return None
        place, _, thread = outgoing.thread.partition("/")
        asked = {"channel": place, "ts": thread, "limit": 200, "include_all_metadata": True}
        for _ in range(PAGES):
            page = await self._call(channel, "conversations.replies", asked)
            for message in page.get("messages", []):
                carried = message.get("metadata") or {}
                if (carried.get("event_payload") or {}).get("id") == str(outgoing.part.id):
                    return str(message["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            asked = {**asked, "cursor": cursor}
        return None

    async def _call(self, channel: Channel, method: str, body: Mapping[str, Any]) -> Any:
        """Return what a method of the Web API answers, or raise NotDelivered."""
        token = (await self.secrets.of(channel)).get("bot_token")
        if token is None:
            raise NotDelivered("The channel has no bot_token: give it one.")
        reads = method == "conversations.replies"
        kind = "application/x-www-form-urlencoded" if reads else "application/json; charset=utf-8"
        ask = Ask(
            url=f"{channel.config['api_url']}/{method}",
            headers={"Content-Type": kind},
            credentials={"Authorization": f"Bearer {token}"},
            body=form(body) if reads else orjson.dumps(dict(body)),
            most=MOST_BYTES,
            seconds=SECONDS,
        )
        try:
            answer = await self.web.once(ask)
        except (Unanswered, NotFetched, SourceUnavailable) as error:
            raise NotDelivered(f"Slack: {error}") from None
        if answer.status == 429:
            raise NotDelivered("Slack asks to wait.", seconds_asked(answer.headers.get("retry-after")) or 1.0)
        if answer.status != 200:
            raise NotDelivered(f"Slack answered {answer.status} to {method}.")
        try:
            said = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise NotDelivered(f"Slack answered to {method} what is no JSON.") from None
        if not isinstance(said, dict) or said.get("ok") is not True:
            told = said.get("error") if isinstance(said, dict) else None
            raise NotDelivered(f"Slack refused {method}: {str(told)[:100]}.")
        return said


def form(body: Mapping[str, Any]) -> bytes:
    """Return a body as a form, which reading methods take."""
    return urlencode({name: str(value).lower() if isinstance(value, bool) else value for name, value in body.items()}).encode()  # fmt: skip
