"""Answers as Slack shows them: its own marks in the place of Markdown's, and blocks with buttons."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.channels.slack_events import APPROVE, DECLINE

LONGEST = 2900
"""Characters of a text; a block takes 3,000, and escaping makes some of them longer."""

BLOCK = 3000
"""Characters of a text in a block; escaping makes up to five of one."""

BOLD = re.compile(r"\*\*([^\n*]{1,2000}?)\*\*")
LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^()\s]{1,2000})\)")
HEADING = re.compile(r"^#{1,6}[ \t]+([^\n]{1,500})$", re.MULTILINE)
BULLET = re.compile(r"^([ \t]{0,8})[-*+][ \t]+", re.MULTILINE)
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)


def marked(text: str) -> str:
    """Return a text of Markdown with Slack's marks; code stays as it is."""
    parts = CODE.split(escaped(text))
    return "".join(part if place % 2 else _marked(part) for place, part in enumerate(parts))


def _marked(text: str) -> str:
    text = BULLET.sub(r"\1• ", text)
    text = HEADING.sub(r"*\1*", text)
    text = BOLD.sub(r"*\1*", text)
    return LINK.sub(r"<\2|\1>", text)


def escaped(text: str) -> str:
    """Return a text in which nothing is one of Slack's signs: nobody is called by it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def with_sources(text: str, citations: Sequence[Mapping[str, Any]], word: str) -> str:
    """Return an answer with what it cites below."""
    if not citations:
        return text
    lines = []
    for each in citations:
        title = escaped(each.get("title") or each.get("external_id") or each["marker"]).replace("|", "¦")
        url = each.get("url") or ""
        shown = f"<{escaped(url)}|{title}>" if url.startswith(("http://", "https://")) and "|" not in url else title
        lines.append(f"{each['marker']} {shown}")
    return "\n".join([text, "", f"_{escaped(word)}_", *lines])


def asking(confirmations: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return blocks that ask for decisions, each in plain words and with two buttons."""
    blocks: list[dict[str, Any]] = []
    for each in confirmations:
        blocks.append(_section(each["message"]))
        buttons = [
            _button(texts["approve"], APPROVE, each["id"], "primary"),
            _button(texts["decline"], DECLINE, each["id"], "danger"),
        ]
        blocks.append({"type": "actions", "block_id": each["id"], "elements": buttons})
    return blocks


def decided(confirmations: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the blocks in their place once it is decided."""
    blocks: list[dict[str, Any]] = []
    for each in confirmations:
        word = texts["approved"] if each["approved"] else texts["declined"]
        context = {"type": "mrkdwn", "text": f"*{escaped(word)}*"}
        blocks += [_section(each["message"]), {"type": "context", "elements": [context]}]
    return blocks


def _section(text: str) -> dict[str, Any]:
    shown = escaped(text)
    if len(shown) > BLOCK:
        shown = escaped(text[: BLOCK // 5 - 1]) + "…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": shown}}


def _button(text: str, action: str, value: str, style: str) -> dict[str, Any]:
    shown = {"type": "plain_text", "text": text[:75]}
    return {"type": "button", "text": shown, "action_id": action, "value": value, "style": style}
