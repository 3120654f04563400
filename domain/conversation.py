"""Conversation: what a person and an agent said to each other, turn by turn, in one stream."""

from collections.abc import Mapping
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from domain import (
    conversation_access,
    conversation_closing,
    conversation_course,
    conversation_deliveries,
    conversation_events,
    conversation_files,
    conversation_notes,
    conversation_queue,
    copied_history,
    research,
    turn_effects,
)
from domain.conversation_state import ConversationState
from domain.errors import NotFound
from domain.turn import (
    ConfirmationDecided,
    NothingToRetry,
    Pause,
    Reply,
    answer_id,
    run_of,
    turn_id,
)


class Conversation(ConversationState, Aggregate):
    """What a person and an agent said to each other. One turn at a time; what was said survives any failure."""

    TOPIC = "conversation"
    SNAPSHOTS = False

    Created = conversation_events.Created
    HistoryCopied = conversation_events.HistoryCopied
    HistoryContinued = copied_history.HistoryContinued
    EffectsCarried = copied_history.EffectsCarried
    MessageQueued = conversation_queue.MessageQueued
    MessageWithdrawn = conversation_queue.MessageWithdrawn
    FilesAttached = conversation_files.FilesAttached
    TurnStarted = conversation_events.TurnStarted
    ActionBegun = turn_effects.ActionBegun
    ActionCompleted = conversation_events.ActionCompleted
    ConfirmationRequested = conversation_events.ConfirmationRequested
    ConfirmationGiven = conversation_events.ConfirmationGiven
    TurnResumed = conversation_events.TurnResumed
    TurnCompleted = conversation_events.TurnCompleted
    TurnFailed = conversation_events.TurnFailed
    TurnCancelled = conversation_events.TurnCancelled
    TurnInterrupted = conversation_events.TurnInterrupted
    FeedbackGiven = conversation_events.FeedbackGiven
    CloseDecided = conversation_closing.CloseDecided
    Closed = conversation_events.Closed
    Processed = conversation_closing.Processed
    ProcessingFailed = conversation_closing.ProcessingFailed
    Titled = conversation_notes.Titled
    Noted = conversation_notes.Noted
    AnswerCopied = conversation_notes.AnswerCopied
    ChannelNamed = conversation_course.ChannelNamed
    TopicChosen = conversation_course.TopicChosen
    HandedOff = conversation_course.HandedOff
    GuardrailTriggered = conversation_course.GuardrailTriggered
    Summarized = conversation_course.Summarized
    DecisionExplained = conversation_course.DecisionExplained
    ResearchPlanned = research.ResearchPlanned
    ResearchNoted = research.ResearchNoted
    ResearchReflected = research.ResearchReflected
    ResearchSpent = research.ResearchSpent
    OriginAllowed = conversation_access.OriginAllowed
    ThreadNamed = conversation_deliveries.ThreadNamed
    DeliveryBegun = conversation_deliveries.DeliveryBegun
    Delivered = conversation_deliveries.Delivered
    DeliveryFailed = conversation_deliveries.DeliveryFailed

    def __init__(
        self,
        agent: str,
        subject: str | None,
        principal: dict[str, str],
        variables: dict[str, Any],
        welcome: str,
    ) -> None:
        self.agent = agent
        self.answering = agent
        self.subject = subject
        self.principal = principal
        self.variables = variables
        self.welcome = welcome
        self.origin: dict[str, Any] | None = None
        self.carried: list[dict[str, Any]] = []
        self.turns: dict[str, dict[str, Any]] = {}
        self.feedback: dict[str, dict[str, Any]] = {}
        self.confirmations: dict[str, dict[str, Any]] = {}
        self.closed = False
        self.closed_by: str | None = None
        self.processing: dict[str, Any] | None = None
        self.title: str | None = None
        self.titled_by: str | None = None
        self.notes: list[dict[str, Any]] = []
        self.copied = frozenset[str]()
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.topic: str | None = None
        self.channel: str | None = None
        self.summary: dict[str, Any] | None = None
        self.summarized_by: str | None = None
        self.origins = frozenset[str]()
        self.thread: dict[str, str] | None = None
        self.deliveries: dict[str, dict[str, Any]] = {}

    @classmethod
    def begin(
        cls,
        *,
        id: UUID,
        agent: UUID,
        subject: str | None,
        principal: Mapping[str, str],
        variables: Mapping[str, Any],
        welcome: str,
        channel: str | None = None,
    ) -> Self:
        """Begin a conversation with an agent; by a channel, where that is not the way in which it is spoken to."""
        begun = cls._create(
            cls.Created,
            id=id,
            agent=str(agent),
            subject=subject,
            principal=dict(principal),
            variables=dict(variables),
            welcome=welcome,
        )
        if channel is not None:
            begun.trigger_event(cls.ChannelNamed, channel=channel)
        return begun

    def alter(self, turn: str, **values: Any) -> None:
        """Change what is known of a turn: for events only."""
        self.turns = self.turns | {turn: {**self.turns[turn], **values}}

    def end(self, event: Any, state: str, **values: Any) -> None:
        """End a turn: for events only."""
        ended = {"ended_at": event.timestamp.isoformat(), "ended_version": event.originator_version}
        self.alter(event.turn, state=state, **ended, **values)

    # Decisions ---------------------------------------------------------------

    def post(self, *, content: str, agent: Mapping[str, Any]) -> str:
        """Take what a person said, and begin a turn; return its id. What waited for a person is declined by that."""
        self.must_be_open()
        self.must_be_idle()
        self.decline()
        return self._start(content, agent, retry_of=None)

    def retry(self, turn: str, *, agent: Mapping[str, Any]) -> str:
        """Begin a turn for what was said in the newest one, which has no answer; return its id."""
        self.must_be_open()
        self.must_be_idle()
        found = self.turn(turn)
        if found["state"] in ("completed", "awaiting_confirmation") or found["number"] != len(self.turns):
            raise NothingToRetry
        self.decline()  # an earlier turn may wait for a person, where what was said after it was taken back
        return self._start(found["content"], agent, retry_of=turn)

    def _start(self, content: str, agent: Mapping[str, Any], *, retry_of: str | None) -> str:
        number = len(self.turns) + 1
        turn = turn_id(self.id, number)
        message = self.turns[retry_of]["message_id"] if retry_of else str(uuid5(turn, "user"))
        self.trigger_event(
            self.TurnStarted,
            turn=str(turn),
            number=number,
            message=message,
            run=str(run_of(turn)),
            subject=self.subject,
            content=content,
            retry_of=retry_of,
            agent=dict(agent),
        )
        return str(turn)

    def note_action(
        self, turn: str, *, call: str, function: str, type: str, arguments: str, result: str, outcome: str, ms: float
    ) -> None:
        """Note what the agent did in a turn that goes on."""
        self.must_go_on(turn)
        self.trigger_event(
            self.ActionCompleted,
            turn=turn,
            call=call,
            function=function,
            type=type,
            subject=self.subject,
            arguments=arguments,
            result=result,
            outcome=outcome,
            duration_ms=ms,
        )

    def complete(self, turn: str, reply: Reply) -> None:
        """End a turn with an answer."""
        self.must_go_on(turn)
        self.trigger_event(
            self.TurnCompleted,
            turn=turn,
            message=str(answer_id(UUID(turn))),
            subject=self.subject,
            content=reply.content,
            citations=[dict(each) for each in reply.citations],
            tool_calls=[dict(each) for each in reply.tool_calls],
            history=[dict(each) for each in reply.history],
            details=dict(reply.details),
        )

    def request_confirmation(self, turn: str, pause: Pause) -> None:
        """Have a turn wait until a person has decided on some calls."""
        self.must_go_on(turn)
        leg = len(self.turns[turn]["legs"]) + 1
        confirmations = [
            {"id": str(uuid5(UUID(turn), f"confirmation:{leg}:{number}")), **call}
            for number, call in enumerate(pause.calls, 1)
        ]
        self.trigger_event(
            self.ConfirmationRequested,
            turn=turn,
            message=str(answer_id(UUID(turn))),
            subject=self.subject,
            content=pause.reply.content,
            citations=[dict(each) for each in pause.reply.citations],
            tool_calls=[dict(each) for each in pause.reply.tool_calls],
            history=[dict(each) for each in pause.reply.history],
            confirmations=confirmations,
            given=[dict(each) for each in pause.given],
            cited=list(pause.cited),
            details=dict(pause.reply.details),
        )

    def decide(self, confirmation: str, *, approved: bool, comment: str | None = None) -> bool:
        """Take what a person decided; return whether the turn goes on by that. The same again changes nothing.

        A comment says why it is declined; of a call that a client carries out, what came of it.
        """
        asked = self.confirmation(confirmation)
        if asked["approved"] is not None:
            if asked["approved"] != approved:
                raise ConfirmationDecided
            return False
        turn = self.turns[asked["turn"]]
        if comment is not None:
            self.trigger_event(
                self.DecisionExplained,
                turn=turn["id"],
                confirmation=confirmation,
                subject=self.subject,
                comment=comment,
            )
        self.trigger_event(self.ConfirmationGiven, turn=turn["id"], confirmation=confirmation, approved=approved)
        if self.undecided(turn["id"]):
            return False
        run = run_of(UUID(turn["id"]), len(turn["legs"]) + 2)
        self.trigger_event(self.TurnResumed, turn=turn["id"], run=str(run))
        return True

    def undecided(self, turn: str) -> list[str]:
        """Return the ids of the confirmations that a turn waits for; none where it does not."""
        asked = [id for id, each in self.confirmations.items() if each["turn"] == turn]
        return [id for id in asked if self.confirmations[id]["approved"] is None]

    def decline(self) -> None:
        """Decline all that waits for a person, and end the turn that waits; nothing happens where none does."""
        turn = self.running
        if turn is None or turn["state"] != "awaiting_confirmation":
            return
        for id in self.undecided(turn["id"]):
            self.trigger_event(self.ConfirmationGiven, turn=turn["id"], confirmation=id, approved=False)
        self.trigger_event(
            self.TurnCancelled,
            turn=turn["id"],
            subject=self.subject,
            content=turn["reply"]["content"],
            details=turn["details"],
        )

    def fail(self, turn: str, *, code: str, message: str, reply: Reply) -> None:
        """End a turn that can't be answered; the reply is what there was of one."""
        self.must_go_on(turn)
        self.trigger_event(
            self.TurnFailed,
            turn=turn,
            subject=self.subject,
            code=code,
            message=message,
            content=reply.content,
            details=dict(reply.details),
        )

    def cancel(self, turn: str, reply: Reply) -> None:
        """End a turn because someone asked for it; the reply is what there was of one."""
        self.must_go_on(turn)
        self.trigger_event(
            self.TurnCancelled,
            turn=turn,
            subject=self.subject,
            content=reply.content,
            details=dict(reply.details),
        )

    def interrupt(self, turn: str) -> None:
        """Note that nobody carries a turn out any more; nothing happens where it has ended."""
        if self.turn(turn)["state"] == "running":
            self.trigger_event(self.TurnInterrupted, turn=turn)

    def give_feedback(self, message: str, *, rating: str, reason: str | None, comment: str | None) -> None:
        """Take what a person thinks of an answer, also while a turn runs; the same again changes nothing."""
        if not any(turn["reply"] and turn["reply"]["id"] == message for turn in self.turns.values()):
            raise NotFound("There is no such answer in this conversation.")
        given = {"rating": rating, "reason": reason, "comment": comment}
        if self.feedback.get(message) != given:
            self.trigger_event(
                self.FeedbackGiven, message=message, subject=self.subject, rating=rating, reason=reason, comment=comment
            )

    def close(self, by: conversation_closing.ClosedBy = "person") -> None:
        """Close it, unless a turn runs; nothing happens where it is closed. What waited for a person is declined."""
        if not self.closed:
            self.must_be_idle()
            self.decline()
            if by != "person":
                self.trigger_event(self.CloseDecided, by=by)
            self.trigger_event(self.Closed)
