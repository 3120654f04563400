"""Carrying turns out: a task of this process each, whoever listens, until its terminal event is recorded."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from commands.agents.agent_brief import must_differ
from commands.bus import Bus, Command
from commands.choosing import Chosen, choose
from commands.conversations.cancelling import CancelTurn
from commands.conversations.conversation import (
    Decide,
    EndTurn,
    InterruptTurn,
    StartTurn,
    owned,
    principal_of,
)
from commands.conversations.turn_answering import TurnAnswering
from commands.conversations.turn_ends import ShuttingDown, TurnNotCancelled, abandoned, details_of, told
from commands.conversations.turn_following import Places, TurnFollowing, started
from commands.conversations.turn_streams import TurnEvent, TurnJournal, TurnStream, key_subject
from commands.conversations.turn_work import Begun, Claims, Confirm, Say, Work, never_begun, type_of
from commands.ports import Context, Receipt, Things
from commands.runs.runs import Recording, RequestInProgress, Runs
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_course import answering
from domain.errors import DEFECT, Busy, DomainError, Unavailable
from domain.run import Outcome, RunEnded
from domain.turn import Pause, Reply, TurnEnded

DRAIN = 20.0
"""Seconds that running turns are given when this process is asked to end."""

PATIENCE = 60.0
"""Seconds that a repeat of a request waits for the turn of the first."""

PAUSES = (0.2, 1.0, 5.0)
"""Seconds between tries to record an end while the database is away; a lease outlasts them."""

State = Literal["completed", "failed", "cancelled", "interrupted", "awaiting_confirmation"]
log = logging.getLogger(__name__)


class Turns:
    """Begins turns and carries them out, independently of whoever asked."""

    def __init__(
        self,
        bus: Bus,
        things: Things,
        places: Places,
        answering: TurnAnswering,
        runs: Runs,
        journal: TurnJournal,
        claims: Claims,
    ) -> None:
        self._bus = bus
        self._things = things
        self._answering = answering
        self._runs = runs
        self._journal = journal
        self._claims = claims
        self._works: dict[UUID, Work] = {}
        self._taking: dict[UUID, bool] = {}  # which turns, and whether they are still wanted
        self._closing = False
        self.following = TurnFollowing(things=things, places=places, journal=journal, here=self._stream)

    async def begin(self, command: Say, context: Context) -> Begun:
        """Record what was said, and begin to answer it; or raise."""
        earlier = await self._bus.earlier(context)
        if earlier is not None:
            return Begun.of(earlier)
        if self._closing:
            raise ShuttingDown
        subject, answers = await self._held(command, context)
        agent = await choose(self._things, Agent, answers, subject=subject or str(command.conversation))
        must_differ(command.tools.names, agent.definition)
        start = StartTurn(
            id=command.conversation,
            expected=command.expected,
            content=command.content,
            retry=command.retry,
            queued=command.queued,
            files=command.files,
            on_busy=command.on_busy or agent.definition.get("on_busy", "reject"),
            begins=command.begins,
            after=command.after,
            noted=command.noted,
            agent=agent.document(),
            principal=principal_of(context.actor),
            channel=context.channel,
            attributes=context.attributes,
            observability=agent.definition["observability"],
            owner=None if command.by_job else self._runs.owner,
        )
        made = Begun.of(await self._bus.dispatch(start, context))
        if made.begins and not command.by_job:
            work = self._work(made.conversation, made.receipt.version, made.turn, made.run_id, agent, context, subject)
            self._start(replace(work, instructions=command.instructions, tools=command.tools), agent)
        if made.interrupts is not None and not made.repeated:
            await self._end_running(made.conversation, made.interrupts, context)
        return made

    async def take_over(self, conversation: Conversation, turn: str, context: Context) -> None:
        """Carry out a turn that waits for a process; nothing happens where another one does. Or raise."""
        found, id = conversation.turn(turn), UUID(turn)
        agent = await self._going_on(found)
        if self._closing:
            raise ShuttingDown
        self._taking[id] = True
        try:
            if await self._claims.claim(id):
                run = UUID(found["run_id"])
                subject = conversation.subject
                work = self._work(conversation.id, conversation.version, id, run, agent, context, subject)
                self._start(work, agent)
                if not self._taking[id]:
                    work.stop()
        finally:
            del self._taking[id]

    async def _going_on(self, turn: Mapping[str, Any]) -> Chosen:
        """Return the agent that answers in a turn that has begun, at the version with which it did."""
        asks = answering(turn)
        return await choose(
            self._things, Agent, UUID(asks["id"]), subject="", version=asks["version"], variant=asks["variant"]
        )

    async def _end_running(self, conversation: UUID, turn: UUID, context: Context) -> None:
        """Stop a turn, whichever process carries it out; where none does yet, it ends here."""
        if self.stop(turn):
            return
        if await self._claims.claim(turn):
            await self._bus.dispatch(never_begun(conversation, turn), replace(context, idempotency=None))
        else:
            await self._journal.ask_to_cancel(turn)

    async def _held(self, command: Say, context: Context) -> tuple[str | None, UUID]:
        """Return for whom a conversation is held, and with which agent; or raise NotFound."""
        if command.begins is not None:
            return command.begins.subject, command.begins.agent
        begun = await self._things.newest(Conversation, command.conversation)
        conversation = owned(begun, principal_of(context.actor))
        return conversation.subject, UUID(conversation.answering)

    async def decide(self, command: Confirm, context: Context) -> Begun:
        """Record a decision, and let the turn go on where nothing is left to be decided; or raise."""
        earlier = await self._bus.earlier(context)
        if earlier is not None:
            return Begun.of(earlier)
        if self._closing:
            raise ShuttingDown
        conversation = owned(await self._things.newest(Conversation, command.conversation), principal_of(context.actor))
        asked = conversation.confirmation(command.confirmation)
        agent = await self._going_on(conversation.turn(asked["turn"]))
        must_differ(command.tools.names, agent.definition)
        decide = Decide(
            id=command.conversation,
            expected=command.expected,
            confirmation=command.confirmation,
            approved=command.approved,
            comment=command.comment,
            principal=principal_of(context.actor),
            channel=context.channel,
            attributes=context.attributes,
            observability=agent.definition["observability"],
            owner=None if command.by_job else self._runs.owner,
        )
        made = Begun.of(await self._bus.dispatch(decide, context))
        if made.begins and not command.by_job:
            subject, version = conversation.subject, made.receipt.version
            work = self._work(made.conversation, version, made.turn, made.run_id, agent, context, subject)
            self._start(replace(work, instructions=command.instructions, tools=command.tools), agent)
        return made

    def _work(
        self,
        conversation: UUID,
        version: int,
        turn: UUID,
        run: UUID,
        agent: Chosen,
        context: Context,
        subject: str | None,
    ) -> Work:
        return Work(
            conversation=conversation,
            version=version,
            turn=turn,
            context=context,
            recording=Recording(self._runs, run, context, agent.definition["observability"]),
            stream=TurnStream(run, key_subject(conversation, subject), self._journal),
        )

    def _start(self, work: Work, agent: Chosen) -> None:
        run = work.recording.id
        work.stream.publish("turn.started", started(work.conversation, work.turn, run))
        self._works[run] = work
        work.answering = asyncio.create_task(self._answering.answer(work, agent))
        work.task = asyncio.create_task(self._carry_out(work))
        work.task.add_done_callback(lambda _: self._works.pop(run, None))

    async def follow(self, made: Begun) -> AsyncGenerator[TurnEvent, None]:
        """Yield what happens in a turn, from the beginning of its run to its terminal event."""
        async with aclosing(self.following.follow(made.conversation, made.turn, made.run_id)) as events:
            async for event in events:
                yield event

    async def end(self, made: Begun) -> TurnEvent:
        """Return the terminal event of a run, when it is there; who did not begin it waits a minute, or is told so."""
        try:
            async with asyncio.timeout(None if made.begins or (not made.repeated and made.queued) else PATIENCE):
                async for event in self.follow(made):
                    last = event
        except TimeoutError:
            raise RequestInProgress(details={"retry_after": 1}) from None
        return last

    async def cancel(
        self, conversation: UUID, turn: UUID, context: Context, *, expected: int | None = None, patience: float = 5.0
    ) -> tuple[Mapping[str, Any], bool]:
        """Stop a turn, whichever process carries it out; return what its end shows, and whether this key asked before.

        Nothing happens where it was cancelled before; raise TurnEnded where it had ended otherwise, StaleVersion
        unless the conversation is as `expected`.
        """
        principal = principal_of(context.actor)
        command = CancelTurn(id=conversation, principal=principal, expected=expected, turn=str(turn))
        receipt = await self._bus.dispatch(command, context)
        found = (await self._things.newest(Conversation, conversation)).turn(str(turn))
        state, run = found["state"], UUID(found["run_id"])
        if state == "running":
            await self._end_running(conversation, turn, context)
            try:
                async with asyncio.timeout(patience):
                    async for event in self.following.follow(conversation, turn, run):
                        last = event
            except TimeoutError:
                raise TurnNotCancelled(details={"retry_after": 1}) from None
            state = last.data["turn"]["state"]
        if state == "awaiting_confirmation":  # it came to wait meanwhile
            ended, _ = await self.cancel(conversation, turn, replace(context, idempotency=None), patience=patience)
            return ended, receipt.replayed
        if state != "cancelled":
            raise TurnEnded(details={"turn": {"id": str(turn), "state": state}})
        return (await self.following.end(conversation, turn, run))[-1][1], receipt.replayed

    @property
    def going(self) -> set[UUID]:
        """The turns that this process carries out."""
        return {work.turn for work in self._works.values()} | set(self._taking)

    def stop(self, turn: UUID) -> bool:
        """Stop a turn that this process carries out; return whether it does."""
        if turn in self._taking:
            self._taking[turn] = False
        works = [work for work in self._works.values() if work.turn == turn]
        for work in works:
            work.stop()
        return bool(works)

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

    def _stream(self, run: UUID) -> TurnStream | None:
        work = self._works.get(run)
        return work.stream if work is not None else None

    # One turn ----------------------------------------------------------------

    async def _carry_out(self, work: Work) -> None:
        """See a run of a turn to its end: one is recorded, and one is told."""
        assert work.answering is not None
        await asyncio.wait([work.answering])
        if work.notes:
            await asyncio.wait(work.notes)  # what was done comes before the end
        try:
            ends = await self._end(work)
        except Exception as error:
            # Nobody carries it out any more: its lease runs out, and it counts as interrupted.
            log.exception("turn_not_ended turn=%s error=%s", work.turn, type_of(error))
            ends = [abandoned(work.turn, work.recording.id)]
        for type, data in ends:
            work.stream.publish(type, data)

    async def _end(self, work: Work) -> list[tuple[str, Mapping[str, Any]]]:
        """Record how a run of a turn ended, and return what is told of it."""
        state, reply, pause, error = self._outcome(work)
        command: Command
        if state == "interrupted":
            command = InterruptTurn(id=work.conversation, turn=str(work.turn))
        else:
            kept = {**reply.details, **work.recording.spent(), **details_of(error)}
            outcome: Outcome = "completed" if state == "awaiting_confirmation" else state
            command = EndTurn(
                id=work.conversation,
                turn=str(work.turn),
                state=state,
                end=work.recording.end(outcome, error=error, output=reply.content),
                reply=replace(reply, details=kept),
                pause=pause,
                closes=work.closes,
            )
        try:
            receipt = await self._recorded(command, work)
        except (TurnEnded, RunEnded):
            # The lease ran out, and another process has recorded that it was interrupted; or the first try
            # to record this end was not lost after all.
            return await self.following.end(work.conversation, work.turn, work.recording.id)
        if receipt.version != receipt.shown["turn"]["ended_version"]:  # its agent closed the conversation with it
            return await self.following.end(work.conversation, work.turn, work.recording.id)
        return told(receipt.shown["turn"], receipt.id, receipt.position)

    def _outcome(self, work: Work) -> tuple[State, Reply, Pause | None, DomainError | None]:
        """Return how the answering ended; the reply is what there was of one."""
        assert work.answering is not None
        partial = Reply(content="".join(work.said))
        if work.answering.cancelled():
            return "interrupted" if work.gives_up else "cancelled", partial, None, None
        error = work.answering.exception()
        if error is None:
            result = work.answering.result()
            if isinstance(result, Pause):
                return "awaiting_confirmation", result.reply, result, None
            return "completed", result, None, None
        if isinstance(error, DomainError):
            return "failed", partial, None, error
        log.error("turn_failed turn=%s error=%s", work.turn, type_of(error), exc_info=error)
        defect = DomainError("Something went wrong here; the log has it.", code=DEFECT)
        return "failed", partial, None, defect

    async def _recorded(self, command: Command, work: Work) -> Receipt:
        """Record an end, also where the database is away for a while."""
        for pause in PAUSES:
            try:
                return await self._bus.dispatch(command, work.inside)
            except (Unavailable, Busy) as error:
                log.warning("turn_end_waits turn=%s error=%s", work.turn, error.error_code)
                await asyncio.sleep(pause)
        return await self._bus.dispatch(command, work.inside)
