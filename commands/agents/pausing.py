"""Turns that wait for a person: what is kept of them in the log, and what they go on with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from commands.models.model_calls import ToolCall
from domain.conversation import Conversation
from domain.retrieval import Passage
from domain.turn import CLIENT_TOOL

NO_RESULT = "(It was done; nothing is said of what came of it.)"
"""What a model is told of a call that a client has carried out without saying what came of it."""


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What a turn goes on with, after a person has decided on all that it waited for.

    Of those `given`, the model was not told of the `untold`, by their numbers. `comments` are what they said of calls that they declined, `results` what came of those that the client has
    `carried_out`.
    """

    content: str
    history: Sequence[dict[str, Any]]
    tool_calls: Sequence[dict[str, Any]]
    given: Sequence[Passage]
    cited: Sequence[int]
    approved: Sequence[ToolCall]
    declined: Sequence[ToolCall]
    carried_out: Sequence[ToolCall] = ()
    untold: frozenset[int] = frozenset()
    results: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)


def resumption_of(conversation: Conversation, turn: str) -> Resumption | None:
    """Return what a turn goes on with; None where it has only begun."""
    found = conversation.turn(turn)
    if not found["legs"]:
        return None
    reply, pause = found["reply"], found["pause"]
    decided = [conversation.confirmations[each["id"]] for each in pause["confirmations"]]
    theirs = [each for each in decided if each["approved"] and each["type"] == CLIENT_TOOL]
    return Resumption(
        content=reply["content"],
        history=reply["history"],
        tool_calls=reply["tool_calls"],
        given=[passage_of(each) for each in pause["given"]],
        cited=pause["cited"],
        untold=frozenset(number for number, each in enumerate(pause["given"], 1) if not each.get("told", True)),
        approved=[call_of(each) for each in decided if each["approved"] and each not in theirs],
        declined=[call_of(each) for each in decided if not each["approved"]],
        carried_out=[call_of(each) for each in theirs],
        results={each["call"]: each["comment"] or NO_RESULT for each in theirs},
        comments={each["call"]: each["comment"] for each in decided if each["comment"] and each not in theirs},
    )


def call_of(confirmation: Mapping[str, Any]) -> ToolCall:
    """Return the call that a confirmation is about."""
    return ToolCall(id=confirmation["call"], name=confirmation["function"], arguments=confirmation["arguments"])


def kept(passage: Passage, told: bool = True) -> dict[str, Any]:
    """Return what citations need of a passage; of one that the model was not `told` of, that too."""
    return ({} if told else {"told": False}) | {
        "id": str(passage.id),
        "document_id": str(passage.document_id),
        "document_version": passage.document_version,
        "source_id": str(passage.source_id),
        "external_id": passage.external_id,
        "title": passage.title,
        "url": passage.url,
        "start": passage.start,
        "end": passage.end,
        "page": passage.page,
        "heading": passage.heading,
    }


def passage_of(value: Mapping[str, Any]) -> Passage:
    """Return a passage of which only this was kept, besides what says how it was told: its text is in the history."""
    ids = {name: UUID(value[name]) for name in ("id", "document_id", "source_id")}
    rest = {name: value[name] for name in value if name not in ("told", "number")}
    return Passage(**{**rest, **ids}, text="", score=0.0, scores={}, metadata={})
