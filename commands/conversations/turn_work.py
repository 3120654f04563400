"""What is asked of turns, and one that a process carries out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from uuid import UUID

from commands.agents.actions import ActionDone
from commands.agents.agent_talk import NO_TOOLS, ClientTools
from commands.conversations.conversation import BeginConversation, EndTurn, NoteAction
from commands.conversations.turn_ends import details_of
from commands.conversations.turn_streams import TurnStream
from commands.ports import Context, Receipt
from commands.runs.runs import Recording
from domain.conversation_queue import OnBusy
from domain.errors import DomainError
from domain.run import End
from domain.turn import Pause, Reply


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What whoever has a turn begin or go on wants of it.

    `instructions` are told to the model in this turn besides the agent's own; `tools` are those of whoever asks, for
    this turn. `background`: any process may carry it out.
    """

    instructions: str | None = None
    tools: ClientTools = NO_TOOLS
    background: bool = False

    @property
    def by_job(self) -> bool:
        """Whether a job has it carried out. Instructions and tools are in no event: who took them carries them out."""
        return self.background and self.instructions is None and not self.tools.functions


@dataclass(frozen=True, kw_only=True)
class Say(Asking):
    """Say something in a conversation, or (with `retry`) have the newest turn tried again.

    With `begins`, the conversation is begun by that. With `after`, only where the newest turn is, or goes on as, this
    run. With `queued`, a turn that waited begins. `on_busy` says what is done while a turn runs; None: what the agent's
    setting says. `files` are those of the message, as they were read. `instructions` and `metadata` are kept with the input of
    its run.
    """

    conversation: UUID
    content: str | None = None
    retry: str | None = None
    queued: str | None = None
    on_busy: OnBusy | None = None
    files: Sequence[Mapping[str, Any]] = ()
    expected: int | None = None
    begins: BeginConversation | None = None
    after: UUID | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def noted(self) -> dict[str, Any]:
        """What is kept with the input of the run besides what was said."""
        given = {"instructions": self.instructions, "metadata": dict(self.metadata)}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, kw_only=True)
class Confirm(Asking):
    """Agree to what an agent wants to do, or decline it, with a comment for the agent.

    Of a call that a client has carried out, the comment is what came of it.
    """

    conversation: UUID
    confirmation: str
    approved: bool
    comment: str | None = None
    expected: int | None = None


class Claims(Protocol):
    """Says which process carries out a turn that waits for one."""

    async def claim(self, turn: UUID) -> bool:
        """Return whether this process is to carry it out from now on; False: it has one already, or has ended."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A turn that began, or goes on as another run; `begins` where that is by this very request.

    One that is `queued` begins when what is before it has ended; `interrupts` is the turn that it is to end. `waits` are
    the confirmations that are still to be decided. `repeated` where an earlier request with the same key was answered so.
    """

    conversation: UUID
    turn: UUID
    run_id: UUID
    leg: int
    begins: bool
    receipt: Receipt
    queued: bool = False
    interrupts: UUID | None = None
    waits: Sequence[str] = ()

    @classmethod
    def of(cls, receipt: Receipt) -> "Begun":
        """Return what a receipt of a conversation says."""
        shown = receipt.shown
        turn, run = UUID(shown["turn"]), UUID(shown["run_id"])
        begins = bool(shown["begins"]) and not receipt.replayed
        interrupts = shown.get("interrupts")
        return cls(
            conversation=receipt.id,
            turn=turn,
            run_id=run,
            leg=shown["leg"],
            begins=begins,
            receipt=receipt,
            queued=bool(shown.get("queued")),
            interrupts=None if interrupts is None else UUID(interrupts),
            waits=shown.get("waits", ()),
        )

    @property
    def repeated(self) -> bool:
        """Whether an earlier request with the same key was answered so."""
        return self.receipt.replayed


@dataclass
class Work:
    """A turn that this process carries out; `gives_up` where that is because the process ends.

    It began with this `version` of the conversation. One that `closes` has said the last of its conversation.
    """

    conversation: UUID
    version: int
    turn: UUID
    context: Context
    recording: Recording
    stream: TurnStream
    instructions: str | None = None
    tools: ClientTools = NO_TOOLS
    answering: asyncio.Task[Reply | Pause] | None = None
    task: asyncio.Task[None] | None = None
    gives_up: bool = False
    closes: bool = False
    said: list[str] = field(default_factory=list)
    notes: list[asyncio.Future[Receipt]] = field(default_factory=list)

    @property
    def inside(self) -> Context:
        """The context of what happens within the turn: on behalf of who began it, without their key."""
        return replace(self.context, idempotency=None, causation_id=str(self.turn))

    def note(self, noting: asyncio.Future[Receipt], done: ActionDone) -> None:
        """Tell that something was done as soon as it is recorded."""
        shown = {"id": done.call.id, "function": done.call.name, "outcome": done.outcome}

        def tell(noted: asyncio.Future[Receipt]) -> None:
            if not noted.cancelled() and noted.exception() is None:
                self.stream.publish("tool.completed", {**shown, "duration_ms": done.duration_ms})

        noting.add_done_callback(tell)
        self.notes.append(noting)

    async def noted(self) -> None:
        """Wait until what was done (something was) is recorded; raise what went wrong with that."""
        await asyncio.wait(self.notes)
        for noted in self.notes:
            noted.result()
        self.notes.clear()

    def stop(self) -> None:
        """Have the answering stopped; what has been said until now is the end of it."""
        if self.answering is not None:
            self.answering.cancel()


def never_begun(conversation: UUID, turn: UUID, error: DomainError | None = None) -> EndTurn:
    """Return the end of a turn that no process has begun to carry out: failed with an error, or cancelled."""
    state: Literal["failed", "cancelled"] = "cancelled" if error is None else "failed"
    end = End(
        outcome=state,
        error=None if error is None else {"code": error.error_code, "message": str(error)},
        duration_ms=0.0,
        first_token_ms=None,
        versions={},
        steps=(),
        output=None,
    )
    return EndTurn(
        id=conversation, turn=str(turn), state=state, end=end, reply=Reply(content="", details=details_of(error))
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
