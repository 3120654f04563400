"""Responses in OpenAI's form: of runs, and of turns, which are told the same when they end and when they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from api.openai_forms.answers import beside, chat_usage, places
from api.openai_forms.ids import ResponseId
from domain.conversation import Conversation
from domain.turn import CLIENT_TOOL

INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a model did not say all -> how OpenAI calls that."""

STATUS: Mapping[str, str] = {
    "queued": "queued",
    "running": "in_progress",
    "completed": "completed",
    "awaiting_confirmation": "completed",
    "failed": "failed",
    "interrupted": "failed",
    "cancelled": "cancelled",
}
"""State of a turn, or outcome of a run -> status of its response."""

LIMITED = "model_limit_reached"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a response says from its beginning; `before` is what its turn had said as the run before."""

    id: ResponseId
    created: int
    model: str
    previous: ResponseId | None = None
    subject: str | None = None
    metadata: Mapping[str, str] | None = None
    background: bool = False
    echo: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    label: str = ""
    turn: str | None = None

    def response(self, status: str, output: Sequence[Mapping[str, Any]] = (), **more: Any) -> dict[str, Any]:
        """Return the response with a status, and what else there is of it."""
        held = self.id.conversation
        return {
            "id": str(self.id),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": self.background,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": dict(self.metadata or {}),
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": True,
            "previous_response_id": None if self.previous is None else str(self.previous),
            "conversation": None if held is None else {"id": f"conv_{held.hex}"},
            "store": held is not None,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "truncation": "disabled",
            "usage": None,
            "user": self.subject,
            "run_id": str(self.id.run),
            **({} if self.turn is None else {"turn": {"id": self.turn}}),
            **self.echo,
            **more,
        }

    @property
    def message_id(self) -> str:
        """The id of the message in it."""
        return f"msg_{self.id.run.hex}"

    def message(self, text: str, citations: Sequence[Mapping[str, Any]] = (), status: str = "completed") -> Any:
        """Return its message."""
        part = {"type": "output_text", "text": text, "annotations": annotations(text, citations), "logprobs": []}
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [part],
        }


def origin_of(conversation: Conversation, run: UUID, **more: Any) -> Origin:
    """Return what the response that is a run of a turn says from its beginning."""
    turn = conversation.turn_of(run)
    legs = [leg["run_id"] for leg in turn["legs"]]
    runs = [*legs, turn["run_id"]]
    leg = runs.index(str(run))
    previous: UUID | None
    if leg:
        previous = UUID(runs[leg - 1])
    else:
        earlier = [each for each in conversation.turns.values() if each["number"] == turn["number"] - 1]
        previous = UUID(earlier[0]["run_id"]) if earlier else None
    told = turn["legs"][leg] if leg < len(legs) else turn
    agent = turn["agent"].get("name", conversation.agent)  # of one that waits, or has never begun, only the id is known
    return Origin(
        id=ResponseId(run=run, conversation=conversation.id),
        created=int(datetime.fromisoformat(turn["started_at"]).timestamp()),
        model=f"agent:{agent}",
        previous=None if previous is None else ResponseId(run=previous, conversation=conversation.id),
        subject=conversation.subject,
        before=told["before"],
        label=agent,
        turn=turn["id"],
        **more,
    )


def of_turn(document: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Return the response of a run of a turn that has ended, from what its end shows."""
    state, message = document["turn"]["state"], document["message"]
    blocked = document.get("code") == "blocked"
    status = "incomplete" if blocked else STATUS[state]
    text = since(message["content"], origin.before)
    output: list[dict[str, Any]] = []
    approvals = [awaited(number, each, origin) for number, each in enumerate(document.get("confirmations", ()))]
    if text or (status == "completed" and not approvals):
        output.append(
            origin.message(text, message["citations"], "completed" if status == "completed" else "incomplete")
        )
    failure = document.get("failure")
    return origin.response(
        status,
        [*output, *approvals],
        error=None if failure is None else error_of(failure["code"], failure["message"]),
        incomplete_details={"reason": "content_filter"} if blocked else None,
        usage=None if "usage" not in document else usage_of(document["usage"]),
        turn=dict(document["turn"]),
        message_id=message["id"],
        **{name: document[name] for name in ("cost",) if name in document},
    )


def of_run(body: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Return the response of a run of its own, from its answer."""
    reason = INCOMPLETE.get(body.get("finish_reason") or "")
    status = "completed" if reason is None else "incomplete"
    calls = [call_item(origin, number, call) for number, call in enumerate(body.get("tool_calls", ()))]
    said = [origin.message(body["text"], body.get("citations", ()), status)] if body["text"] or not calls else []
    return origin.response(
        status,
        [*said, *calls],
        incomplete_details=None if reason is None else {"reason": reason},
        usage=usage_of(body["usage"]),
        **beside(body),
    )


def since(text: str, before: str) -> str:
    """Return what a turn has said since it went on."""
    return text[len(before) :].lstrip("\n") if before else text


def awaited(number: int, asked: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Return what a turn waits for: the client to carry a call out, or a person to agree to it."""
    if asked["type"] != CLIENT_TOOL:
        return approval(asked, origin)
    call = {"id": asked["call"], "name": asked["function"], "arguments": asked["arguments"]}
    return call_item(origin, number, call)


def approval(confirmation: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Return that a person is asked to agree to something, as OpenAI asks for it."""
    return {
        "id": f"mcpr_{UUID(confirmation['id']).hex}",
        "type": "mcp_approval_request",
        "server_label": origin.label,
        "name": confirmation["function"],
        "arguments": confirmation["arguments"],
    }


def call_item(origin: Origin, number: int, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the call of a function that the client carries out."""
    return {
        "id": f"fc_{origin.id.run.hex}{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": call["id"],
        "name": call["name"],
        "arguments": call["arguments"],
    }


def annotations(text: str, citations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an annotation for each place where the text cites something: of what has an address, that.

    The `citation` beside tells the document's version, the passage and its characters.
    """
    found: list[dict[str, Any]] = []
    for place, citation in places(text, citations):
        if citation["url"]:
            found.append({"type": "url_citation", **place, "citation": dict(citation)})
        else:
            file = {"file_id": citation["document_id"], "filename": place["title"], "index": place["start_index"]}
            found.append({"type": "file_citation", **file, "citation": dict(citation)})
    return found


def usage_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return disjoint counters as responses count."""
    told = chat_usage(usage)
    cached = told["prompt_tokens_details"]
    return {
        "input_tokens": told["prompt_tokens"],
        "input_tokens_details": {name: cached[name] for name in ("cached_tokens", "cache_write_tokens")},
        "output_tokens": told["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["reasoning"]},
        "total_tokens": told["total_tokens"],
    }


def error_of(code: str, message: str) -> dict[str, Any]:
    """Return why there is no answer: OpenAI's two words for it, ours in `type`."""
    return {"code": "rate_limit_exceeded" if code == LIMITED else "server_error", "message": message, "type": code}
