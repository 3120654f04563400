"""The bodies of answers: chat completions, plain and as streams, embeddings, scores and the list of models."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.model_server.records import Received
from tests.support.model_server.steps import Reply
from tests.support.model_server.vectors import MODES, of_model

PIECES = re.compile(r"\s*\S+|\s+")


def tokens(text: str) -> int:
    """Return the number of tokens of a text: its words."""
    return len(text.split())


def echo(request: Received) -> Reply:
    """Return the last message again, as JSON where JSON is asked for."""
    text = f"echo: {request.question}"
    form = request.body.get("response_format")
    return Reply(text=json.dumps({"echo": text}) if form and form.get("type") != "text" else text)


def usage_of(request: Received, reply: Reply) -> Mapping[str, Any]:
    """Return what the call took, unless the script says something else."""
    if reply.usage is not None:
        return reply.usage
    read = sum(tokens(str(message.get("content") or "")) for message in request.body["messages"])
    written = tokens(reply.text) + tokens(reply.refusal or "") + sum(tokens(c.text) for c in reply.tool_calls)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def completion(request: Received, reply: Reply) -> bytes:
    """Return a plain answer."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal}
    if reply.tool_calls:
        message["tool_calls"] = [_tool_call(number, call) for number, call in enumerate(reply.tool_calls)]
    body = _head(request, "chat.completion")
    body["choices"] = [{"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(reply)}]
    if reply.sends_usage:
        body["usage"] = usage_of(request, reply)
    return json.dumps(body).encode()


def events(request: Received, reply: Reply) -> Iterator[bytes]:
    """Yield the events of a streamed answer, one per piece; the first names the role only."""
    head = _head(request, "chat.completion.chunk")
    wants_usage = (request.body.get("stream_options") or {}).get("include_usage", False)
    null = {"usage": None} if wants_usage else {}

    def event(delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        return _event(head | {"choices": choices} | null)

    yield event({"role": "assistant", "content": "", "refusal": None})
    for piece in reply.pieces if reply.pieces is not None else PIECES.findall(reply.text):
        yield event({"content": piece})
    for piece in PIECES.findall(reply.refusal or ""):
        yield event({"refusal": piece})
    for number, call in enumerate(reply.tool_calls):
        whole = _tool_call(number, call)
        arguments = whole["function"]["arguments"]
        cut = reply.cut or max(1, len(arguments))
        yield event({"tool_calls": [{**whole, "index": number, "function": {"name": call.name, "arguments": ""}}]})
        for start in range(0, len(arguments), cut):
            part = {"index": number, "function": {"arguments": arguments[start : start + cut]}}
            yield event({"tool_calls": [part]})
    yield event({}, _reason(reply))
    if wants_usage and reply.sends_usage:
        yield _event(head | {"choices": [], "usage": usage_of(request, reply)})
    if reply.done:
        yield b"data: [DONE]\n\n"


def embeddings(request: Received, mode: str, dimensions: int, *, apart: bool, odd: Mapping[str, float]) -> bytes:
    """Return the vectors of the texts, in the form that was asked for; `apart`: each model has its own.

    Those of `odd` texts are multiplied by the number that stands there.
    """
    given = request.body["input"]
    texts = [given] if isinstance(given, str) else given
    length = request.body.get("dimensions") or dimensions
    plain = request.body.get("encoding_format", "float") != "base64"
    make = MODES[mode]
    items = []
    for number, text in enumerate(texts):
        vector = make(of_model(text, request.model or "") if apart else text, length) * odd.get(text, 1.0)
        shown = json.dumps(vector.tolist()) if plain else f'"{base64.b64encode(vector.tobytes()).decode()}"'
        items.append(f'{{"object":"embedding","index":{number},"embedding":{shown}}}')
    read = sum(map(tokens, texts))
    head = {"object": "list", "model": request.model, "usage": {"prompt_tokens": read, "total_tokens": read}}
    return f'{json.dumps(head)[:-1]},"data":[{",".join(items)}]}}'.encode()


def rerank(request: Received) -> bytes:
    """Return how many of the query's words each document has, the best first, as many as were asked for."""
    query = request.body["query"]
    documents = request.body.get("documents") or request.body["texts"]
    wanted = set(words(query))
    shares = [len(wanted & set(words(document))) / len(wanted or {""}) for document in documents]
    ordered = sorted(range(len(documents)), key=lambda number: -shares[number])[: request.body.get("top_n")]
    results = [{"index": number, "relevance_score": shares[number]} for number in ordered]
    usage = {"total_tokens": tokens(query) * len(documents) + sum(map(tokens, documents))}
    return json.dumps({"id": "rerank-1", "model": request.model, "results": results, "usage": usage}).encode()


def words(text: str) -> list[str]:
    """Return a text's words, as they are compared."""
    return [word.strip(".,?!").lower() for word in text.split()]


def models(names: list[str]) -> bytes:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tests"} for name in names]
    return json.dumps({"object": "list", "data": data}).encode()


def _head(request: Received, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": request.model or "model"}


def _tool_call(number: int, call: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.text}
    return {"id": call.id or f"call_{number + 1}", "type": "function", "function": function}


def _reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
