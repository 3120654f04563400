"""What happens in conversations: their events."""

from typing import TYPE_CHECKING, Any, ClassVar

from eventsourcing.domain import Aggregate

from domain.copied_history import take_over
from domain.turn import new_turn
from domain.turn_effects import with_done

if TYPE_CHECKING:
    from domain.conversation import Conversation

SPOKEN = frozenset({"content"})


class Created(Aggregate.Created):
    """It began; it keeps the agent, whose live version answers each turn."""

    TOPIC = "conversation.created"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"variables"})
    agent: str
    subject: str | None
    principal: dict[str, str]
    variables: dict[str, Any]
    welcome: str


class TurnStarted(Aggregate.Event):
    """A person said something; from now on the agent answers."""

    TOPIC = "conversation.turn_started"
    PERSONAL: ClassVar[frozenset[str]] = SPOKEN
    turn: str
    number: int
    message: str
    run: str
    subject: str | None
    content: str
    retry_of: str | None
    agent: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        turn = new_turn(
            id=self.turn,
            number=self.number,
            state="running",
            run_id=self.run,
            message_id=self.message,
            content=self.content,
            retry_of=self.retry_of,
            agent=self.agent,
            started_at=self.timestamp.isoformat(),
            research=aggregate.turns[self.retry_of]["research"] if self.retry_of else None,
        )
        aggregate.turns = aggregate.turns | {self.turn: turn}


class HistoryCopied(Aggregate.Event):
    """It began with what had been said in another conversation until then.

    `turns` are the turns as they stand here, each with the id of its origin as `copied_from`; what was said in them
    stands in `texts`, in their order. Of a long history these are the first; HistoryContinued has the others.
    """

    TOPIC = "conversation.history_copied"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"texts"})
    origin: dict[str, Any]
    subject: str | None
    turns: list[dict[str, Any]]
    texts: list[dict[str, Any]]

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.origin = self.origin
        take_over(aggregate, self.turns, self.texts, self.originator_version)


class ActionCompleted(Aggregate.Event):
    """The agent did something; whatever becomes of the turn, it is done."""

    TOPIC = "conversation.action_completed"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"arguments", "result"})
    turn: str
    call: str
    function: str
    type: str
    subject: str | None
    arguments: str
    result: str
    outcome: str
    duration_ms: float

    def apply(self, aggregate: "Conversation") -> None:
        action = {
            "id": self.call,
            "function": self.function,
            "type": self.type,
            "arguments": self.arguments,
            "result": self.result,
            "outcome": self.outcome,
            "duration_ms": self.duration_ms,
        }
        aggregate.alter(self.turn, actions=with_done(aggregate.turns[self.turn]["actions"], action))


class ConfirmationRequested(Aggregate.Event):
    """The agent wants to do something that a person must agree to; until then the turn waits."""

    TOPIC = "conversation.confirmation_requested"
    PERSONAL: ClassVar[frozenset[str]] = frozenset(
        {"content", "citations", "tool_calls", "history", "confirmations", "given"}
    )
    turn: str
    message: str
    subject: str | None
    content: str
    citations: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    history: list[dict[str, Any]]
    confirmations: list[dict[str, Any]]
    given: list[dict[str, Any]]
    cited: list[int]
    details: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        reply = {
            "id": self.message,
            "content": self.content,
            "citations": self.citations,
            "tool_calls": self.tool_calls,
            "history": self.history,
        }
        pause = {"given": self.given, "cited": self.cited, "confirmations": self.confirmations}
        aggregate.end(self, "awaiting_confirmation", reply=reply, pause=pause, details=self.details)
        asked = {
            each["id"]: {**each, "turn": self.turn, "approved": None, "comment": None} for each in self.confirmations
        }
        aggregate.confirmations = aggregate.confirmations | asked


class ConfirmationGiven(Aggregate.Event):
    """A person agreed to what the agent wants to do, or declined it."""

    TOPIC = "conversation.confirmation_given"
    turn: str
    confirmation: str
    approved: bool

    def apply(self, aggregate: "Conversation") -> None:
        asked = aggregate.confirmations.get(self.confirmation)
        if asked is not None:  # else what was asked is erased
            aggregate.confirmations = aggregate.confirmations | {
                self.confirmation: {**asked, "approved": self.approved}
            }


class TurnResumed(Aggregate.Event):
    """All was decided that the turn waited for: it goes on, as another run."""

    TOPIC = "conversation.turn_resumed"
    turn: str
    run: str

    def apply(self, aggregate: "Conversation") -> None:
        turn = aggregate.turns[self.turn]
        leg = {name: value for name, value in turn.items() if name != "legs"}
        aggregate.alter(
            self.turn,
            state="running",
            run_id=self.run,
            legs=[*turn["legs"], leg],
            before=turn["reply"]["content"],
            details={},
            ended_at=None,
            ended_version=None,
        )


class TurnCompleted(Aggregate.Event):
    """The agent answered."""

    TOPIC = "conversation.turn_completed"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"content", "citations", "tool_calls", "history"})
    turn: str
    message: str
    subject: str | None
    content: str
    citations: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    history: list[dict[str, Any]]
    details: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        reply = {
            "id": self.message,
            "content": self.content,
            "citations": self.citations,
            "tool_calls": self.tool_calls,
            "history": self.history,
        }
        aggregate.end(self, "completed", reply=reply, details=self.details)


class TurnFailed(Aggregate.Event):
    """The agent could not answer; what it had said until then is kept."""

    TOPIC = "conversation.turn_failed"
    PERSONAL: ClassVar[frozenset[str]] = SPOKEN | {"details"}  # a provider's refusal may quote what was said
    turn: str
    subject: str | None
    code: str
    message: str
    content: str
    details: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        error = {"code": self.code, "message": self.message}
        aggregate.end(self, "failed", error=error, partial=self.content, details=self.details)


class TurnCancelled(Aggregate.Event):
    """Someone stopped the answer; what was said until then is kept."""

    TOPIC = "conversation.turn_cancelled"
    PERSONAL: ClassVar[frozenset[str]] = SPOKEN
    turn: str
    subject: str | None
    content: str
    details: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.end(self, "cancelled", partial=self.content, details=self.details)


class TurnInterrupted(Aggregate.Event):
    """Whoever carried the turn out is gone."""

    TOPIC = "conversation.turn_interrupted"
    turn: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.end(self, "interrupted")


class FeedbackGiven(Aggregate.Event):
    """A person said what they think of an answer."""

    TOPIC = "conversation.feedback_given"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"comment"})
    message: str
    subject: str | None
    rating: str
    reason: str | None
    comment: str | None

    def apply(self, aggregate: "Conversation") -> None:
        given = {"rating": self.rating, "reason": self.reason, "comment": self.comment}
        aggregate.feedback = aggregate.feedback | {self.message: given}


class Closed(Aggregate.Event):
    """Nothing more is said."""

    TOPIC = "conversation.closed"

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.closed = True
        aggregate.closed_by = aggregate.closed_by or "person"
