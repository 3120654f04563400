"""What Slack tells: messages for the app, and buttons that were pressed."""

import re
from collections.abc import Mapping
from typing import Any

from commands.channels.channels import Decided, Said

SUBTYPES = frozenset({None, "thread_broadcast", "file_share"})
"""Of messages that a person wrote; others tell of changes, joins and the like."""

MENTION = re.compile(r"<@[A-Z0-9]{1,40}(?:\|[^>]{0,200})?>")
LINK = re.compile(r"<((?:https?://|mailto:)[^>|]{1,3000})(?:\|([^>]{1,3000}))?>")
NAMED = re.compile(r"<[#!][^>|]{1,200}\|([^>]{1,200})>")
APPROVE, DECLINE = "magnet_approve", "magnet_decline"
CONTENT = 100_000


def said_in(payload: Mapping[str, Any]) -> Said | None:
    """Return the message that an event tells of; None where it tells of none that is meant for the app."""
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return None
    user, channel, ts = (_text(event, name) for name in ("user", "channel", "ts"))
    if event.get("bot_id") or event.get("subtype") not in SUBTYPES or not (user and channel and ts):
        return None
    kind, parent = event.get("type"), _text(event, "thread_ts")
    spoken_to = kind == "app_mention" or event.get("channel_type") == "im"
    if kind not in ("app_mention", "message") or not (spoken_to or parent):
        return None
    text = plain(_text(event, "text"))[:CONTENT]
    if not text:
        return None
    team = _text(payload, "team_id")
    return Said(
        thread=f"{channel}/{parent or ts}",
        # A message in which the app is named is told twice: as a mention, and as a message.
        message_id=f"{team}/{channel}/{ts}",
        text=text,
        person=f"slack:{team}:{user}",
        begins=spoken_to,
    )


def decided_in(payload: Mapping[str, Any]) -> Decided | None:
    """Return what somebody decided by a button of ours; None where it is none of those."""
    actions = payload.get("actions")
    if payload.get("type") != "block_actions" or not isinstance(actions, list) or not actions:
        return None
    action, message = actions[0], payload.get("message")
    if (
        not isinstance(action, dict)
        or not isinstance(message, dict)
        or action.get("action_id") not in (APPROVE, DECLINE)
    ):
        return None
    ts = _text(message, "ts")
    channel, user, team = (_text(payload.get(name) or {}, "id") for name in ("channel", "user", "team"))
    confirmation = _text(action, "value").lower()
    return Decided(
        thread=f"{channel}/{_text(message, 'thread_ts') or ts}",
        message_id=f"{channel}/{ts}/{confirmation}/{_text(action, 'action_ts')}",
        confirmation=confirmation,
        approved=action["action_id"] == APPROVE,
        person=f"slack:{team}:{user}",
    )


def plain(text: str) -> str:
    """Return what a person wrote, without Slack's signs for links and names, and without being addressed."""
    text = MENTION.sub("", text)
    text = NAMED.sub(r"\1", LINK.sub(lambda found: found[2] or found[1], text))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
