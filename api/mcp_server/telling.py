"""Results as text, for models that read nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any


def searched(body: Mapping[str, Any]) -> str:
    """Return what was found: each passage with where it comes from."""
    passages = [
        f"[{number}] {source(each['document'], each['page'])}\n{each['text']}"
        for number, each in enumerate(body["passages"], 1)
    ]
    return "\n\n".join(passages) or "Nothing was found."


def answered(body: Mapping[str, Any]) -> str:
    """Return an answer with its sources."""
    return with_sources(body["text"], body["citations"])


def said(body: Mapping[str, Any]) -> str:
    """Return what an agent said, and what it waits for."""
    text = with_sources(body["text"], body["citations"])
    if not body["confirmations"]:
        return text
    wanted = "\n".join(f"- {each['function']}({each['arguments']})" for each in body["confirmations"])
    waits = (
        f"The agent waits until a person agrees to this:\n{wanted}\n"
        f"POST /v1/conversations/{body['conversation']}/confirmations decides; another message declines it."
    )
    return f"{text}\n\n{waits}" if text else waits


def ran(body: Mapping[str, Any]) -> str:
    """Return what a prompt's model said."""
    return str(body["text"])


def with_sources(text: str, citations: Iterable[Mapping[str, Any]]) -> str:
    """Return a text with a list of what it cites."""
    sources = [f"{each['marker']} {source(each, each['page'])}" for each in citations]
    return "\n".join([text, "", "Sources:", *sources]) if sources else text


def source(document: Mapping[str, Any], page: int | None) -> str:
    """Return where something comes from."""
    named = document["title"] or document["external_id"]
    address = f" <{document['url']}>" if document["url"] else ""
    return f"{named}{address}, page {page}" if page is not None else f"{named}{address}"


def refused(problem: Mapping[str, Any]) -> str:
    """Return why there is no result: code, text, and what is wrong where."""
    wrong = [f"- {each['pointer'] or 'the arguments'}: {each['message']}" for each in problem.get("errors", ())]
    return "\n".join([f"{problem['code']}: {problem['detail']}", *wrong])
