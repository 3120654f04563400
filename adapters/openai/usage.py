"""What a call took: the provider's own counters made disjoint, or an estimate from the texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from domain.pricing import Usage

BYTES_PER_TOKEN = 4
"""An estimate counts a token for each 4 bytes of UTF-8: near the truth for English and code, a little
low for most other languages."""

TOKENS_PER_MESSAGE = 4
"""What a message takes beside its text."""

MOST = 10**11
"""More than this is no count of tokens."""


def usage_from(reported: Any) -> Usage | None:
    """Return a provider's counters, disjoint, or None where they are missing or make no sense.

    Providers count cached input within the input, and reasoning within the output; of those that count
    reasoning beside it, the total says so.
    """
    if not isinstance(reported, dict):
        return None
    read, written = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    read, written = read or 0, written or 0
    if not (read or written):
        return None  # some servers send zeros where they have not counted
    of_read = _details(reported, "prompt_tokens_details")
    of_written = _details(reported, "completion_tokens_details")
    cache_read = min(read, _first(of_read, "cached_tokens") or _first(reported, "prompt_cache_hit_tokens") or 0)
    cache_write = min(
        read - cache_read,
        _first(of_read, "cache_creation_tokens", "cache_write_tokens")
        or _first(reported, "cache_creation_input_tokens")
        or 0,
    )
    reasoning = _first(of_written, "reasoning_tokens") or 0
    beside = reasoning > written or (reasoning > 0 and _count(reported, "total_tokens") == read + written + reasoning)
    return Usage(
        input=read - cache_read - cache_write,
        cache_read=cache_read,
        cache_write=cache_write,
        output=written if beside else written - reasoning,
        reasoning=reasoning,
    )


def total_from(reported: Any) -> Usage | None:
    """Return the counter of a provider that tells nothing but a sum, where all of it is input; or None."""
    total = _count(reported, "total_tokens") if isinstance(reported, dict) else None
    return None if total is None else Usage(input=total)


def estimated(read: int, written: str) -> Usage:
    """Return an estimate: of the input (in tokens), and of the text that came back."""
    return Usage(input=read, output=tokens_of(written), estimated=True)


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def tokens_of_request(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> int:
    """Return about how many tokens a request has; pictures and sounds are not counted."""
    found = sum(TOKENS_PER_MESSAGE + _tokens_of_message(message) for message in messages)
    return found + sum(_tokens_of_json(tool) for tool in tools)


def _tokens_of_message(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    found = _tokens_of_json(message["tool_calls"]) if message.get("tool_calls") else 0
    if isinstance(content, str):
        return found + tokens_of(content)
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return found + sum(tokens_of(text) for text in texts if isinstance(text, str))


def _tokens_of_json(value: Any) -> int:
    try:
        return -(-len(orjson.dumps(value)) // BYTES_PER_TOKEN)
    except TypeError:
        return 0


def _details(reported: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = reported.get(name)
    return found if isinstance(found, dict) else {}


def _first(counters: Mapping[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := _count(counters, name)) is not None), None)


def _count(counters: Mapping[str, Any], name: str) -> int | None:
    value = counters.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST else None
