"""Carrying turns out: a task of this process each, whoever listens, until its terminal event is recorded."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from commands.actions import ActionDone, Asker
from commands.agent_loop import ActionStarted, AgentLoop
from commands.answering import Cited
from commands.bus import Bus, Command
from commands.choosing import Chosen, choose
from commands.conversation import EndTurn, InterruptTurn, NoteAction, StartTurn, owned, principal_of
from commands.model_calls import TextPiece
from commands.ports import Context, Receipt, Things
from commands.retrieval import groups_of
from commands.runs import Recording, RequestInProgress, Runs
from commands.turn_ends import ShuttingDown, TurnInterrupted, TurnNotCancelled, details_of, told_as, turn_document
from commands.turn_following import Places, TurnFollowing, started
from commands.turn_streams import TurnEvent, TurnJournal, TurnStream, key_subject
from domain.agent import Agent
from domain.conversation import Conversation
from domain.errors import Busy, DomainError, Unavailable
from domain.run import RunEnded
from domain.turn import OPEN_STATES, Reply, TurnEnded

DRAIN = 20.0
"""Seconds that running turns are given when this process is asked to end."""

PATIENCE = 60.0
"""Seconds that a repeat of a request waits for the turn of the first."""

PAUSES = (0.2, 1.0, 5.0)
"""Seconds between tries to record an end while the database is away; a lease outlasts them."""

State = Literal["completed", "failed", "cancelled", "interrupted"]
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Say:
    """Say something in a conversation, or (with `retry`) have the newest turn tried again."""

    conversation: UUID
    content: str | None = None
    retry: str | None = None
    expected: int | None = None


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A turn that began; `repeated` where an earlier request with the same key began it."""

    conversation: UUID
    turn: UUID
    run_id: UUID
    receipt: Receipt
    repeated: bool = False


@dataclass
class Work:
    """A turn that this process carries out; `gives_up` where that is because the process ends."""

    conversation: UUID
    turn: UUID
    context: Context
    recording: Recording
    stream: TurnStream
    answering: asyncio.Task[Reply] | None = None
    task: asyncio.Task[None] | None = None
    gives_up: bool = False
    said: list[str] = field(default_factory=list)
    notes: set[asyncio.Future[Receipt]] = field(default_factory=set)

    @property
    def inside(self) -> Context:
        """The context of what happens within the turn: on behalf of who began it, without their key."""
        return replace(self.context, idempotency=None, causation_id=str(self.turn))

    def stop(self) -> None:
        """Have the answering stopped; what has been said until now is the end of it."""
        if self.answering is not None:
            self.answering.cancel()


class Turns:
    """Begins turns and carries them out, independently of whoever asked."""

    def __init__(
        self, bus: Bus, things: Things, places: Places, loop: AgentLoop, runs: Runs, journal: TurnJournal
    ) -> None:
        self._bus = bus
        self._things = things
        self._loop = loop
        self._runs = runs
        self._journal = journal
        self._works: dict[UUID, Work] = {}
        self._closing = False
        self.following = TurnFollowing(things=things, places=places, journal=journal, here=self._stream)

    async def begin(self, command: Say, context: Context) -> Begun:
        """Record what was said, and begin to answer it; or raise."""
        earlier = await self._bus.earlier(context)
        if earlier is not None:
            return begun(command, earlier)
        if self._closing:
            raise ShuttingDown
        conversation = owned(await self._things.newest(Conversation, command.conversation), principal_of(context.actor))
        subject = conversation.subject or str(conversation.id)
        agent = await choose(self._things, Agent, UUID(conversation.agent), subject=subject)
        start = StartTurn(
            id=command.conversation,
            expected=command.expected,
            content=command.content,
            retry=command.retry,
            agent=agent.document(),
            principal=principal_of(context.actor),
            channel=context.channel,
            attributes=context.attributes,
            observability=agent.definition["observability"],
            owner=self._runs.owner,
        )
        receipt = await self._bus.dispatch(start, context)
        made = begun(command, receipt)
        if not made.repeated:
            self._start(made, agent, context, key_subject(conversation))
        return made

    def _start(self, made: Begun, agent: Chosen, context: Context, subject: str) -> None:
        work = Work(
            conversation=made.conversation,
            turn=made.turn,
            context=context,
            recording=Recording(self._runs, made.run_id, context, agent.definition["observability"]),
            stream=TurnStream(made.turn, subject, self._journal),
        )
        work.stream.publish("turn.started", started(made.conversation, made.turn, str(made.run_id)))
        self._works[made.turn] = work
        work.answering = asyncio.create_task(self._answered(work, agent))
        work.task = asyncio.create_task(self._carry_out(work))
        work.task.add_done_callback(lambda _: self._works.pop(made.turn, None))

    async def follow(self, made: Begun) -> AsyncGenerator[TurnEvent, None]:
        """Yield what happens in a turn, from its beginning to its terminal event."""
        async with aclosing(self.following.follow(made.conversation, made.turn)) as events:
            async for event in events:
                yield event

    async def end(self, made: Begun) -> TurnEvent:
        """Return the terminal event of a turn, when it is there; a repeat waits a minute, or raises RequestInProgress."""
        try:
            async with asyncio.timeout(PATIENCE if made.repeated else None):
                async for event in self.follow(made):
                    last = event
        except TimeoutError:
            raise RequestInProgress(details={"retry_after": 1}) from None
        return last

    async def cancel(self, conversation: UUID, turn: UUID, context: Context, *, patience: float = 5.0) -> TurnEvent:
        """Stop a turn, whichever process carries it out, and return its terminal event.

        Nothing happens where it was cancelled before; raise TurnEnded where it had ended otherwise.
        """
        found = owned(await self._things.newest(Conversation, conversation), principal_of(context.actor))
        state = found.turn(str(turn))["state"]
        if state in OPEN_STATES:
            if not self.stop(turn):
                await self._journal.ask_to_cancel(turn)
            try:
                async with asyncio.timeout(patience):
                    async for event in self.following.follow(conversation, turn):
                        last = event
            except TimeoutError:
                raise TurnNotCancelled(details={"retry_after": 1}) from None
            state = last.data["turn"]["state"]
        if state != "cancelled":
            raise TurnEnded(details={"turn": {"id": str(turn), "state": state}})
        return await self.following.end(conversation, turn)

    def stop(self, turn: UUID) -> bool:
        """Stop a turn that this process carries out; return whether it does."""
        work = self._works.get(turn)
        if work is not None:
            work.stop()
        return work is not None

    async def close(self, drain: float = DRAIN) -> None:
        """Give running turns some time; those still running then are marked as interrupted."""
        self._closing = True
        tasks = [work.task for work in self._works.values() if work.task is not None]
        if tasks:
            _, running = await asyncio.wait(tasks, timeout=drain)
            for work in self._works.values():
                work.gives_up = True
                work.stop()
            if running:
                await asyncio.wait(running)

    def _stream(self, turn: UUID) -> TurnStream | None:
        work = self._works.get(turn)
        return work.stream if work is not None else None

    # One turn ----------------------------------------------------------------

    async def _carry_out(self, work: Work) -> None:
        """See a turn to its end: one is recorded, and one is told."""
        assert work.answering is not None
        await asyncio.wait([work.answering])
        if work.notes:
            await asyncio.wait(work.notes)  # what was done comes before the end
        try:
            type, data = await self._end(work)
        except Exception as error:
            # Nobody carries it out any more: its lease runs out, and it counts as interrupted.
            log.exception("turn_not_ended turn=%s error=%s", work.turn, type_of(error))
            self._runs.lost.add(work.turn)
            failure = {
                "kind": "Unavailable",
                "code": TurnInterrupted.code,
                "message": str(TurnInterrupted()),
                "details": {},
            }
            type, data = (
                "turn.failed",
                {
                    "turn": {"id": str(work.turn), "state": "interrupted"},
                    "run_id": str(work.recording.id),
                    "failure": failure,
                },
            )
        work.stream.publish(type, data)

    async def _end(self, work: Work) -> tuple[str, Mapping[str, Any]]:
        """Record how a turn ended, and return what is told of it."""
        state, reply, error = self._outcome(work)
        command: Command
        if state == "interrupted":
            command = InterruptTurn(id=work.conversation, turn=str(work.turn))
        else:
            kept = {**reply.details, **work.recording.spent(), **details_of(error)}
            command = EndTurn(
                id=work.conversation,
                turn=str(work.turn),
                state=state,
                end=work.recording.end(state, error=error, output=reply.content),
                reply=replace(reply, details=kept),
            )
        try:
            receipt = await self._recorded(command, work)
        except (TurnEnded, RunEnded):
            # The lease ran out, and another process has recorded that it was interrupted; or the first try
            # to record this end was not lost after all.
            end = await self.following.end(work.conversation, work.turn)
            return end.type, end.data
        turn = receipt.shown["turn"]
        return told_as(turn["state"]), turn_document(turn, receipt.id, receipt.position)

    def _outcome(self, work: Work) -> tuple[State, Reply, DomainError | None]:
        """Return how the answering ended; the reply is what there was of one."""
        assert work.answering is not None
        partial = Reply(content="".join(work.said))
        if work.answering.cancelled():
            return "interrupted" if work.gives_up else "cancelled", partial, None
        error = work.answering.exception()
        if error is None:
            return "completed", work.answering.result(), None
        if isinstance(error, DomainError):
            return "failed", partial, error
        log.error("turn_failed turn=%s error=%s", work.turn, type_of(error), exc_info=error)
        return "failed", partial, DomainError("Something went wrong here; the log has it.", code="internal_error")

    async def _recorded(self, command: Command, work: Work) -> Receipt:
        """Record an end, also where the database is away for a while."""
        for pause in PAUSES:
            try:
                return await self._bus.dispatch(command, work.inside)
            except (Unavailable, Busy) as error:
                log.warning("turn_end_waits turn=%s error=%s", work.turn, error.error_code)
                await asyncio.sleep(pause)
        return await self._bus.dispatch(command, work.inside)

    async def _answered(self, work: Work, agent: Chosen) -> Reply:
        """Return the reply, and tell the stream what happens on the way."""
        conversation = await self._things.newest(Conversation, work.conversation)
        memory = agent.definition["memory"]
        turn = conversation.turn(str(work.turn))
        earlier = conversation.history(str(work.turn), memory["n"] - 1 if memory["strategy"] == "last_n" else None)
        asker = Asker(
            subject=conversation.subject or str(conversation.id),
            groups=groups_of(work.context.actor),
            variables=conversation.variables,
        )
        work.recording.versions["agent"] = agent.document()

        async def note(done: ActionDone) -> None:
            noting = asyncio.ensure_future(self._bus.dispatch(action_of(work, done), work.inside))
            work.notes.add(noting)
            await asyncio.shield(noting)

        messages = [*earlier, {"role": "user", "content": turn["content"]}]
        reply: Reply | None = None
        async with aclosing(self._loop.reply(work.recording, agent, messages, asker, note)) as pieces:
            async for piece in pieces:
                match piece:
                    case TextPiece(text=text):
                        work.said.append(text)
                        work.stream.publish("message.delta", {"text": text})
                    case ActionStarted(call=call, type=kind):
                        work.stream.publish("tool.started", {"id": call.id, "function": call.name, "tool_type": kind})
                    case ActionDone(call=call):
                        shown = {"id": call.id, "function": call.name, "outcome": piece.outcome}
                        work.stream.publish("tool.completed", {**shown, "duration_ms": piece.duration_ms})
                    case Cited(citation=citation):
                        work.stream.publish("citation", {"citation": dict(citation)})
                    case Reply():
                        reply = piece
        assert reply is not None
        return reply


def begun(command: Say, receipt: Receipt) -> Begun:
    """Return what a receipt of a turn's beginning says."""
    turn, run_id = UUID(receipt.shown["turn"]), UUID(receipt.shown["run_id"])
    return Begun(
        conversation=command.conversation, turn=turn, run_id=run_id, receipt=receipt, repeated=receipt.replayed
    )


def type_of(error: BaseException) -> str:
    """Return what an error is, for the log of this process: its text may hold what a person said."""
    return type(error).__name__


def action_of(work: Work, done: ActionDone) -> NoteAction:
    """Return the command that notes what was done."""
    return NoteAction(
        id=work.conversation,
        turn=str(work.turn),
        call=done.call.id,
        function=done.call.name,
        type=done.type,
        arguments=done.call.arguments,
        result=done.told,
        outcome=done.outcome,
        duration_ms=done.duration_ms,
    )
