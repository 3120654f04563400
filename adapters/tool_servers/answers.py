"""What tools answer, as models are told it: text, bounded, and without what is secret."""

import base64
from collections.abc import Iterable

from adapters.connectors.web import Answer
from adapters.openai.text import cleaned

MOST_BYTES = 2_000_000
"""Of one answer."""

HIDDEN = "[hidden]"
SHORTEST_HIDDEN = 4
TEXTUAL = ("text/", "application/json", "application/xml", "application/javascript", "application/yaml",
           "application/x-ndjson", "application/x-www-form-urlencoded", "application/graphql")  # fmt: skip


def body_text(answer: Answer) -> str:
    """Return the text of an answer; what is no text is named, with its size."""
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not answer.body:
        return "(The answer is empty.)"
    textual = media.startswith(TEXTUAL) or media.endswith(("+json", "+xml", "+yaml")) or not media
    if not textual or (not media and b"\x00" in answer.body[:1000]):
        return not_shown(media or "data", len(answer.body))
    return answer.body.decode("utf-8", errors="replace")


def not_shown(media: str, size: int) -> str:
    """Return what is told of what is no text."""
    return f"({size:,} bytes of {media[:100]}, which are not shown.)"


def told(text: str, secrets: Iterable[str]) -> str:
    """Return a text as it may be told: a secret that it repeats is hidden, what is no text replaced."""
    for secret in secrets:
        forms = (secret, base64.b64encode(secret.encode()).decode())
        for form in forms if len(secret) >= SHORTEST_HIDDEN else ():
            text = text.replace(form, HIDDEN)
    return cleaned(text)[0]
