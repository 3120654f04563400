"""What is said while a turn runs: recorded at once, and answered in its order when nothing runs any more."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import uuid5

from eventsourcing.domain import Aggregate

from domain.errors import Conflict
from domain.turn import TurnEnded, TurnInProgress, new_turn, run_of, turn_id

if TYPE_CHECKING:
    from domain.conversation import Conversation

OnBusy = Literal["reject", "enqueue", "interrupt"]
MOST_QUEUED = 50
"""Messages that wait in one conversation."""


class QueueFull(Conflict):
    """Too many messages wait in this conversation already: wait until some of them are answered."""

    code = "queue_full"


class MessageQueued(Aggregate.Event):
    """A person said something while a turn ran; it is answered when that has ended."""

    TOPIC = "conversation.message_queued"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"content"})
    turn: str
    number: int
    message: str
    run: str
    subject: str | None
    content: str
    channel: str
    attributes: dict[str, str]

    def apply(self, aggregate: "Conversation") -> None:
        turn = new_turn(
            id=self.turn,
            number=self.number,
            state="queued",
            run_id=self.run,
            message_id=self.message,
            content=self.content,
            retry_of=None,
            agent={},
            started_at=self.timestamp.isoformat(),
            channel=self.channel,
            attributes=self.attributes,
        )
        aggregate.turns = aggregate.turns | {self.turn: turn}


class MessageWithdrawn(Aggregate.Event):
    """A message that waited is not answered: it was taken back, or (with a code) its turn could not begin."""

    TOPIC = "conversation.message_withdrawn"
    turn: str
    code: str | None
    reason: str | None

    def apply(self, aggregate: "Conversation") -> None:
        error = None if self.code is None else {"code": self.code, "message": self.reason or ""}
        aggregate.end(self, "cancelled" if error is None else "failed", error=error)


def queued(conversation: "Conversation") -> list[dict[str, Any]]:
    """Return the turns that have not begun yet, in their order."""
    return [turn for turn in conversation.turns.values() if turn["state"] == "queued"]


def next_queued(conversation: "Conversation") -> dict[str, Any] | None:
    """Return the turn that is to begin now; None where there is none, or one goes on or waits for a person."""
    waiting = queued(conversation)
    return waiting[0] if waiting and conversation.running is None else None


def take(
    conversation: "Conversation",
    content: str,
    *,
    agent: Mapping[str, Any],
    on_busy: OnBusy,
    channel: str,
    attributes: Mapping[str, str],
) -> tuple[str, str | None]:
    """Take what a person said; return its turn, and the one that it interrupts. A turn that is `queued` begins later.

    What it interrupts ends when that has been stopped, and keeps what it has said; what waited before it ends at once.
    """
    conversation.must_be_open()
    running, waiting = conversation.running, queued(conversation)
    if on_busy == "reject" or (not waiting and (running is None or running["state"] != "running")):
        return conversation.post(content=content, agent=agent), None
    conversation.decline()
    if on_busy == "interrupt":
        for turn in waiting:
            withdraw(conversation, turn["id"])
        if conversation.running is None:
            return conversation.post(content=content, agent=agent), None
    elif len(waiting) >= MOST_QUEUED:
        raise QueueFull
    number = len(conversation.turns) + 1
    id = turn_id(conversation.id, number)
    conversation.trigger_event(
        conversation.MessageQueued,
        turn=str(id),
        number=number,
        message=str(uuid5(id, "user")),
        run=str(run_of(id)),
        subject=conversation.subject,
        content=content,
        channel=channel,
        attributes=dict(attributes),
    )
    interrupted = conversation.running if on_busy == "interrupt" else None
    return str(id), None if interrupted is None else interrupted["id"]


def begin_queued(conversation: "Conversation", turn: str, *, agent: Mapping[str, Any]) -> None:
    """Begin the turn that waits longest, or raise TurnInProgress, or TurnEnded where it does not wait any more."""
    found = conversation.turn(turn)
    if found["state"] != "queued":
        raise TurnEnded
    following = next_queued(conversation)
    if following is None or following["id"] != turn:
        raise TurnInProgress(details={"turn": (conversation.running or following or found)["id"]})
    conversation.trigger_event(
        conversation.TurnStarted,
        turn=turn,
        number=found["number"],
        message=found["message_id"],
        run=found["run_id"],
        subject=conversation.subject,
        content=found["content"],
        retry_of=None,
        agent=dict(agent),
    )


def withdraw(conversation: "Conversation", turn: str, *, error: Mapping[str, str] | None = None) -> None:
    """End a turn that has not begun, as cancelled or with the reason why it can't begin; nothing happens to others."""
    if conversation.turn(turn)["state"] != "queued":
        return
    code, reason = (None, None) if error is None else (error["code"], error["message"])
    conversation.trigger_event(conversation.MessageWithdrawn, turn=turn, code=code, reason=reason)
