"""Carrying turns out: a task of this process each, whoever listens, until its terminal event is recorded."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from commands.actions import ActionDone, Asker
from commands.agent_loop import ActionStarted, AgentLoop
from commands.answering import Cited
from commands.bus import Bus
from commands.choosing import Chosen, choose
from commands.conversation import EndTurn, InterruptTurn, NoteAction, StartTurn
from commands.model_calls import TextPiece
from commands.ports import Context, Receipt, Things
from commands.retrieval import groups_of
from commands.runs import Recording, Runs, answer_of, failure_of
from commands.turn_streams import TERMINAL, TurnJournal, TurnStream
from domain.agent import Agent
from domain.conversation import Conversation
from domain.errors import DomainError
from domain.turn import Reply, TurnEnded, answer_id

DRAIN = 20.0
"""Seconds that running turns are given when this process is asked to end."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Say:
    """Say something in a conversation, or (with `retry`) have the newest turn tried again."""

    conversation: UUID
    content: str | None = None
    retry: str | None = None


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A turn that began; `stream` where this process carries it out."""

    turn: UUID
    run_id: UUID
    receipt: Receipt
    stream: TurnStream | None


@dataclass
class Work:
    """A turn that this process carries out."""

    conversation: UUID
    turn: UUID
    context: Context
    recording: Recording
    stream: TurnStream
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    said: list[str] = field(default_factory=list)


class Turns:
    """Begins turns and carries them out, independently of whoever asked."""

    def __init__(self, bus: Bus, things: Things, loop: AgentLoop, runs: Runs, journal: TurnJournal) -> None:
        self._bus = bus
        self._things = things
        self._loop = loop
        self._runs = runs
        self._journal = journal
        self._works: dict[UUID, Work] = {}

    async def begin(self, command: Say, context: Context) -> Begun:
        """Record what was said, and begin to answer it; or raise."""
        conversation = await self._things.newest(Conversation, command.conversation)
        agent = await choose(
            self._things, Agent, UUID(conversation.agent), subject=conversation.subject or str(conversation.id)
        )
        start = StartTurn(
            id=command.conversation,
            content=command.content,
            retry=command.retry,
            agent=agent.document(),
            principal={"type": context.actor.type, "id": context.actor.id, "name": context.actor.name},
            channel=context.channel,
            attributes=context.attributes,
            observability=agent.definition["observability"],
            owner=self._runs.owner,
        )
        receipt = await self._bus.dispatch(start, context)
        turn, run_id = UUID(receipt.shown["turn"]), UUID(receipt.shown["run_id"])
        if receipt.replayed:
            work = self._works.get(turn)
            return Begun(turn=turn, run_id=run_id, receipt=receipt, stream=work.stream if work else None)
        work = Work(
            conversation=command.conversation,
            turn=turn,
            context=context,
            recording=Recording(self._runs, run_id, context, agent.definition["observability"]),
            stream=TurnStream(turn, conversation.subject, self._journal),
        )
        self._works[turn] = work
        work.task = asyncio.create_task(self._carry_out(work, agent))
        work.task.add_done_callback(lambda _: self._works.pop(turn, None))
        return Begun(turn=turn, run_id=run_id, receipt=receipt, stream=work.stream)

    def stream(self, turn: UUID) -> TurnStream | None:
        """Return the stream of a turn that this process carries out."""
        work = self._works.get(turn)
        return work.stream if work is not None else None

    def cancel(self, turn: UUID) -> bool:
        """Stop a turn that this process carries out; return whether it does."""
        work = self._works.get(turn)
        if work is None or work.task is None:
            return False
        if not work.cancelled:
            work.cancelled = True
            work.task.cancel()
        return True

    async def ended(self, turn: UUID) -> None:
        """Wait until a turn of this process has ended."""
        work = self._works.get(turn)
        if work is not None and work.task is not None:
            await asyncio.wait([work.task])

    async def close(self, drain: float = DRAIN) -> None:
        """Give running turns some time; those still running then are left to be marked as interrupted."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        if tasks:
            _, running = await asyncio.wait(tasks, timeout=drain)
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    # One turn ----------------------------------------------------------------

    async def _carry_out(self, work: Work, agent: Chosen) -> None:
        work.stream.publish(
            "turn.started", {"turn": str(work.turn), "conversation": str(work.conversation), "run_id": run(work)}
        )
        reply = Reply(content="")
        try:
            reply = await self._answered(work, agent)
            await self._end(work, "completed", reply, None)
        except DomainError as error:
            await self._end(work, "failed", Reply(content="".join(work.said)), error)
        except asyncio.CancelledError:
            if not work.cancelled:  # the process ends
                interrupt = InterruptTurn(id=work.conversation, turn=str(work.turn))
                await asyncio.shield(asyncio.ensure_future(self._bus.dispatch(interrupt, self._inside(work))))
                raise
            ending = self._end(work, "cancelled", Reply(content="".join(work.said)), None)
            await asyncio.shield(asyncio.ensure_future(ending))
        except Exception as error:
            log.exception("turn_failed turn=%s error=%s", work.turn, type(error).__name__)
            defect = DomainError("Something went wrong here; the log has it.", code="internal_error")
            await self._end(work, "failed", Reply(content="".join(work.said)), defect)
        finally:
            if work.stream.events[-1].type not in TERMINAL:
                work.stream.publish("turn.failed", interrupted(work))

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
            await self._bus.dispatch(action_of(work, done), self._inside(work))

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

    async def _end(
        self,
        work: Work,
        state: Literal["completed", "failed", "cancelled"],
        reply: Reply,
        error: DomainError | None,
    ) -> None:
        """Record the end, then tell the stream."""
        recording = work.recording
        end = recording.end(state, error=error, output=reply.content)
        shown = turn_document(work, state, reply, recording.spent(), error)
        key = work.context.idempotency
        command = EndTurn(
            id=work.conversation,
            turn=str(work.turn),
            state=state,
            end=end,
            reply=reply,
            scope=key.scope if key else None,
            answer={"turn": str(work.turn), "run_id": run(work)}
            | (failure_of(error) if error is not None else answer_of(shown)),
        )
        try:
            receipt = await self._bus.dispatch(command, self._inside(work))
        except TurnEnded:
            return  # the lease ran out, and another process has recorded that it was interrupted
        shown |= {"id": str(receipt.id), "version": receipt.version, "position": receipt.position}
        work.stream.publish(f"turn.{state}", shown)

    @staticmethod
    def _inside(work: Work) -> Context:
        """Return the context of what happens within a turn: on behalf of who began it, without their key."""
        return replace(work.context, idempotency=None, causation_id=str(work.turn))


def interrupted(work: Work) -> dict[str, Any]:
    """Return what the stream of a turn tells that nobody carries out any more."""
    error = {"code": "interrupted", "message": "The turn was interrupted: try it again."}
    return {"turn": {"id": str(work.turn), "state": "interrupted"}, "run_id": run(work), "error": error}


def run(work: Work) -> str:
    """Return the id of a turn's run."""
    return str(work.recording.id)


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


def turn_document(
    work: Work, state: str, reply: Reply, spent: Mapping[str, Any], error: DomainError | None
) -> dict[str, Any]:
    """Return what a turn's end shows: the contract's Message."""
    shown: dict[str, Any] = {
        "turn": {"id": str(work.turn), "state": state},
        "message": {
            "id": str(answer_id(work.turn)),
            "role": "assistant",
            "content": reply.content,
            "citations": [dict(each) for each in reply.citations],
            "tool_calls": [dict(each) for each in reply.tool_calls],
        },
        "run_id": run(work),
        **spent,
    }
    if error is not None:
        shown["error"] = {"code": error.error_code, "message": str(error), **dict(error.details)}
    return shown
