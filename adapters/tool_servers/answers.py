"""What tools answer, as models are told it: text, bounded, and without what is secret."""

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

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
    forms = {form for secret in secrets if len(secret) >= SHORTEST_HIDDEN for form in forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return cleaned(text)[0]


def forms_of(secret: str) -> Iterator[str]:
    """Yield a secret as it is sent, and as what it was sent to may repeat it."""
    yield secret
    yield base64.b64encode(secret.encode()).decode()
    for safe in ("", "/"):
        yield quote(secret, safe=safe)
        yield quote_plus(secret, safe=safe)
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
