"""The end of conversations: who or what closed them, and what was found in them afterwards."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from domain.conversation import Conversation

ClosedBy = Literal["person", "agent", "idle"]
SENTIMENTS = ("positive", "neutral", "negative")
RESOLUTIONS = ("resolved", "partly_resolved", "unresolved")
LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
LONGEST_SUMMARY = 4_000


class CloseDecided(Aggregate.Event):
    """It is closed by its agent, or because nothing was said for as long as its agent waits."""

    TOPIC = "conversation.close_decided"
    by: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.closed_by = self.by


class Processed(Aggregate.Event):
    """It was looked at after it had been closed."""

    TOPIC = "conversation.processed"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"summary"})
    run: str
    subject: str | None
    sentiment: str
    resolution: str
    language: str
    summary: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.processing = {
            "run_id": self.run,
            "sentiment": self.sentiment,
            "resolution": self.resolution,
            "language": self.language,
            "summary": self.summary,
            "error": None,
        }


class ProcessingFailed(Aggregate.Event):
    """It could not be looked at, and is not tried again."""

    TOPIC = "conversation.processing_failed"
    run: str
    code: str
    reason: str

    def apply(self, aggregate: "Conversation") -> None:
        error = {"code": self.code, "message": self.reason}
        found = dict.fromkeys(("sentiment", "resolution", "language", "summary"))
        aggregate.processing = {"run_id": self.run, **found, "error": error}


def last_said(conversation: "Conversation") -> datetime:
    """Return when the last message was said, by either side; where there is none, when it began."""
    times = [
        datetime.fromisoformat(time)
        for turn in conversation.turns.values()
        for time in (turn["started_at"], turn["ended_at"])
        if time is not None
    ]
    return max([conversation.created_on, *times])


def close_idle(conversation: "Conversation", *, since: datetime) -> None:
    """Close it because nothing was said since then; nothing happens where something was, or is being answered."""
    busy = any(turn["state"] in ("running", "queued") for turn in conversation.turns.values())
    if not busy and last_said(conversation) <= since:
        conversation.close(by="idle")


def note_processed(conversation: "Conversation", *, run: str, found: Mapping[str, Any]) -> None:
    """Note what was found in it; a second time changes nothing."""
    if conversation.processing is None:
        conversation.trigger_event(conversation.Processed, run=run, subject=conversation.subject, **found)


def note_processing_failed(conversation: "Conversation", *, run: str, code: str, reason: str) -> None:
    """Note why nothing can be found in it; nothing happens where something was."""
    if conversation.processing is None:
        conversation.trigger_event(conversation.ProcessingFailed, run=run, code=code, reason=reason)
