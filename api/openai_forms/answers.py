"""Answers in the forms that OpenAI's clients expect; what is ours stands beside."""

import sys
from array import array
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.citations import markers

REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Why a model may have ended; others are told as `stop`."""

BESIDE = ("run_id", "cost", "resolution")
"""What of an answer stands beside OpenAI's fields."""


def completion(body: Mapping[str, Any], asked: str, *, by_functions: bool) -> dict[str, Any]:
    """Return a chat completion; `asked` is the `model` of the request."""
    message: dict[str, Any] = {"role": "assistant", "content": body["text"], "refusal": None}
    calls = list(tool_calls(body))
    if calls:
        message["content"] = body["text"] or None
        message |= {"function_call": calls[0]["function"]} if by_functions else {"tool_calls": calls}
    if "citations" in body:
        message["annotations"] = annotations(body["text"], body["citations"])
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(body, by_functions=by_functions),
    }
    return {
        **head(body["run_id"], body["created"], asked, "chat.completion"),
        "choices": [choice],
        "usage": chat_usage(body["usage"]),
        **beside(body),
    }


def head(run_id: str, created: int, asked: str, kind: str) -> dict[str, Any]:
    """Return what a completion and each of its chunks begin with."""
    return {"id": f"chatcmpl-{run_id}", "object": kind, "created": created, "model": asked}


def beside(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what OpenAI has no field for."""
    return {name: body[name] for name in BESIDE if name in body}


def tool_calls(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the calls that a model asks its caller for."""
    for call in body.get("tool_calls", ()):
        function = {"name": call["name"], "arguments": call["arguments"]}
        yield {"id": call["id"], "type": "function", "function": function}


def finish_reason(body: Mapping[str, Any], *, by_functions: bool) -> str:
    """Return why the answer ends where it does."""
    if body.get("tool_calls"):
        return "function_call" if by_functions else "tool_calls"
    reason = body.get("finish_reason", "stop")
    return reason if reason in REASONS - {"tool_calls"} else "stop"


def annotations(text: str, citations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an annotation for each place where the text cites something.

    `start_index` and `end_index` are where the marker stands in the text; the `citation` beside tells the
    document's version, the passage and its characters.
    """
    return [
        {"type": "url_citation", "url_citation": place, "citation": dict(citation)}
        for place, citation in places(text, citations)
    ]


def places(text: str, citations: Sequence[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield each place where the text cites something, as OpenAI describes it, with the citation."""
    by_marker = {citation["marker"]: citation for citation in citations}
    for marker in markers(text):
        for number in marker.numbers:
            citation = by_marker.get(f"[{number}]")
            if citation is not None:
                place = {
                    "start_index": marker.start,
                    "end_index": marker.end,
                    "title": citation["title"] or citation["external_id"],
                    "url": citation["url"] or f"urn:uuid:{citation['document_id']}",
                }
                yield place, citation


def chat_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return disjoint counters as OpenAI counts: what was cached is part of the prompt, reasoning of the completion."""
    read = usage["input"] + usage["cache_read"] + usage["cache_write"]
    written = usage["output"] + usage["reasoning"]
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {
            "cached_tokens": usage["cache_read"],
            "cache_write_tokens": usage["cache_write"],
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage["reasoning"],
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def embeddings(body: Mapping[str, Any], asked: str, *, as_text: bool) -> dict[str, Any]:
    """Return embeddings, as base64 of little-endian float32 or as numbers."""
    data = [
        {"object": "embedding", "index": number, "embedding": vector if as_text else numbers(vector)}
        for number, vector in enumerate(body["vectors"])
    ]
    total = body["usage"]["total"]
    usage = {"prompt_tokens": total, "total_tokens": total}
    return {"object": "list", "data": data, "model": asked, "usage": usage, **beside(body)}


def numbers(vector: str) -> list[float]:
    """Return the numbers of a vector."""
    found = array("f", b64decode(vector))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()
