"""Commands on conversations: beginning, turns and their ends, feedback, closing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from commands.bus import Done
from commands.conversations.conversation_jobs import (
    after_closing,
    after_turn,
    close_later,
    have_carried_out,
    live_definition,
    tell_channel,
    turn_over,
    wake_queue,
)
from commands.conversations.welcoming import welcome_of
from commands.ports import Actor, Things, Unit
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_course import answering
from domain.conversation_deliveries import name_thread
from domain.conversation_files import attach
from domain.conversation_forks import Cut, fork
from domain.conversation_queue import OnBusy, begin_queued, queued, take
from domain.errors import Invalid, NotFound
from domain.run import End, Run
from domain.turn import Pause, Reply

THIS_MACHINE = frozenset({"local", "command_line"})
"""Types of who works at the machine itself, with every right: they are the same person, whichever way they come."""


@dataclass(frozen=True, kw_only=True)
class OnConversation:
    """Base of the commands on a conversation."""

    id: UUID

    @property
    def stream(self) -> UUID:
        """The conversation's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class ByOwner(OnConversation):
    """Base of what only whoever began a conversation may do; for all others there is none.

    `expected` is the version that it must have; None: any.
    """

    principal: Mapping[str, str]
    expected: int | None = None


@dataclass(frozen=True, kw_only=True)
class BeginConversation(ByOwner):
    """Begin a conversation with an agent; by a channel, or (where none has begun there) in its thread {channel, thread}."""

    agent: UUID
    subject: str | None
    variables: Mapping[str, Any]
    channel: str | None = None
    thread: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ForkConversation(BeginConversation):
    """Begin a conversation with what was said in another one up to a message (None: all of it).

    With `edits`, up to before a message of a person's (None: the last), which is said otherwise then. `expected` is the
    version of the origin; agent and variables are the origin's.
    """

    origin: UUID
    message: str | None
    edits: bool


@dataclass(frozen=True, kw_only=True)
class StartTurn(ByOwner):
    """Take what a person said (or try a turn again) and begin its run, for a process to carry out; None: any.

    With `queued`, a turn that waited begins. With `begins`, it is the first that is said. With `after`, it is refused unless the newest turn is this run.
    `noted` is kept with the run's input.
    """

    content: str | None
    retry: str | None
    queued: str | None
    on_busy: OnBusy
    begins: BeginConversation | None
    after: UUID | None
    noted: Mapping[str, Any]
    agent: Mapping[str, Any]
    channel: str
    attributes: Mapping[str, str]
    observability: str
    owner: UUID | None
    files: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Decide(ByOwner):
    """Agree to what an agent wants to do, or decline it; the last decision lets the turn go on (`owner`: see above)."""

    confirmation: str
    approved: bool
    comment: str | None
    channel: str
    attributes: Mapping[str, str]
    observability: str
    owner: UUID | None


@dataclass(frozen=True, kw_only=True)
class NoteAction(OnConversation):
    """Note what the agent did."""

    turn: str
    call: str
    function: str
    type: str
    arguments: str
    result: str
    outcome: str
    duration_ms: float


@dataclass(frozen=True, kw_only=True)
class EndTurn(OnConversation):
    """End a turn and its run together, or have it wait for a person by `pause`.

    The reply of one that was not completed is what there was of it. With `closes`, a completed one is the last, unless
    more was said meanwhile.
    """

    turn: str
    state: Literal["completed", "failed", "cancelled", "awaiting_confirmation"]
    end: End
    reply: Reply
    pause: Pause | None = None
    closes: bool = False


@dataclass(frozen=True, kw_only=True)
class InterruptTurn(OnConversation):
    """Note that nobody carries a turn out any more."""

    turn: str


@dataclass(frozen=True, kw_only=True)
class GiveFeedback(ByOwner):
    """Say what one thinks of an answer."""

    message: str
    rating: str
    reason: str | None
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class CloseConversation(ByOwner):
    """Close it."""


@dataclass(frozen=True, kw_only=True)
class ConversationHandlers:
    """Carries out the commands on conversations."""

    things: Things

    async def begin(self, command: BeginConversation, unit: Unit) -> Done:
        """Begin."""
        if command.thread is not None and (found := await unit.find(Conversation, command.id)) is not None:
            return Done(aggregate=found)
        conversation, agent = await self._begun(command, unit)
        unit.save(conversation)
        return Done(aggregate=conversation, shown={"agent": {"id": str(agent.id), "name": agent.name}})

    async def _begun(self, command: BeginConversation, unit: Unit) -> tuple[Conversation, Agent]:
        """Return a conversation that begins, not saved yet, and with whom."""
        try:
            agent = await self.things.newest(Agent, command.agent)
        except NotFound:
            raise Invalid("There is no agent of this name or id.", code="unknown_reference", pointer="/agent") from None
        agent.must_be_active()
        if isinstance(command, ForkConversation):
            conversation = await self._forked(command, unit)
        else:
            conversation = Conversation.begin(
                id=command.id,
                agent=command.agent,
                subject=command.subject,
                principal=command.principal,
                variables=command.variables,
                welcome=welcome_of(agent, command.channel),
                channel=command.channel,
            )
            if command.thread is not None:
                name_thread(conversation, **command.thread)
        unit.effect("needs", kind=Agent.TOPIC, id=str(command.agent), pointer="/agent")
        close_later(unit, conversation, live_definition(agent))
        return conversation, agent

    @staticmethod
    async def _forked(command: ForkConversation, unit: Unit) -> Conversation:
        """Return a fork, not saved yet; its origin is read anew, since nothing is recorded that would refuse a stale one."""
        found = (await unit.find_many(Conversation, [command.origin])).get(command.origin)
        if found is None:
            raise absent()
        origin = owned(found, command.principal)
        origin.must_be_at(command.expected)
        cut = (Cut.before if command.edits else Cut.after)(origin, command.message)
        return fork(origin, cut, id=command.id, subject=command.subject, principal=command.principal)

    async def start_turn(self, command: StartTurn, unit: Unit) -> Done:
        """Take a message: recorded before anything else is done with it."""
        if command.begins is not None:
            conversation, _ = await self._begun(command.begins, unit)
        else:
            conversation = await own(unit, command)
        if command.after is not None:
            conversation.must_be_newest(command.after)
        if command.retry is not None:
            turn = conversation.retry(command.retry, agent=command.agent)
        elif command.queued is not None:
            turn = command.queued
            begin_queued(conversation, turn, agent=command.agent)
        else:
            turn, interrupted = take(
                conversation,
                command.content or "",
                agent=command.agent,
                on_busy=command.on_busy,
                channel=command.channel,
                attributes=command.attributes,
            )
            attach(conversation, turn, command.files)
            if (found := conversation.turn(turn))["state"] == "queued":
                wake_queue(unit, conversation)
                unit.save(conversation)
                waits = {"queued": True, "interrupts": interrupted}
                return Done(aggregate=conversation, shown={**leg_shown(found, begins=False), **waits})
        return self._leg(unit, conversation, turn, command, command.noted)

    async def decide(self, command: Decide, unit: Unit) -> Done:
        """Take a decision; the turn goes on once nothing is left to be decided."""
        conversation = await own(unit, command)
        goes_on = conversation.decide(command.confirmation, approved=command.approved, comment=command.comment)
        turn = conversation.confirmations[command.confirmation]["turn"]
        if goes_on:
            tell_channel(unit, conversation)
            return self._leg(unit, conversation, turn, command, {})
        unit.save(conversation)
        waits = {"waits": conversation.undecided(turn)}
        return Done(aggregate=conversation, shown={**leg_shown(conversation.turn(turn), begins=False), **waits})

    @staticmethod
    def _leg(
        unit: Unit, conversation: Conversation, turn: str, command: StartTurn | Decide, noted: Mapping[str, Any]
    ) -> Done:
        """Begin the run that a turn is, or goes on as."""
        begun = conversation.turn(turn)
        run = Run.start(
            id=UUID(begun["run_id"]),
            kind="turn",
            target={"kind": Agent.TOPIC, **answering(begun)},
            principal=command.principal,
            subject=conversation.subject,
            channel=conversation.channel or command.channel,
            attributes=command.attributes,
            input={"content": begun["content"], **noted} if command.observability == "full" else None,
        )
        have_carried_out(unit, conversation, turn, command.owner, command.channel, command.attributes)
        unit.save(run, conversation)
        return Done(aggregate=conversation, shown=leg_shown(begun, begins=True))

    async def note_action(self, command: NoteAction, unit: Unit) -> Done:
        """Note an action."""
        conversation = await unit.load(Conversation, command.id)
        conversation.note_action(
            command.turn,
            call=command.call,
            function=command.function,
            type=command.type,
            arguments=command.arguments,
            result=command.result,
            outcome=command.outcome,
            ms=command.duration_ms,
        )
        unit.save(conversation)
        return Done(aggregate=conversation)

    async def end_turn(self, command: EndTurn, unit: Unit) -> Done:
        """End a turn."""
        conversation = await unit.load(Conversation, command.id)
        run = await unit.load(Run, UUID(conversation.turn(command.turn)["run_id"]))
        match command.state:
            case "completed":
                conversation.complete(command.turn, command.reply)
                if command.closes and not queued(conversation):
                    conversation.close(by="agent")
            case "awaiting_confirmation":
                assert command.pause is not None
                conversation.request_confirmation(command.turn, replace(command.pause, reply=command.reply))
            case "cancelled":
                conversation.cancel(command.turn, command.reply)
            case "failed":
                error = command.end.error or {"code": "failed", "message": ""}
                conversation.fail(command.turn, code=error["code"], message=error["message"], reply=command.reply)
        run.finish(command.end)
        unit.effect("release", id=command.turn)
        await after_turn(unit, conversation, self.things)
        unit.save(run, conversation)
        return Done(aggregate=conversation, shown={"turn": conversation.turn(command.turn)})

    async def interrupt(self, command: InterruptTurn, unit: Unit) -> Done:
        """Mark a turn and its run as interrupted."""
        conversation = await unit.load(Conversation, command.id)
        run = await unit.load(Run, UUID(conversation.turn(command.turn)["run_id"]))
        conversation.interrupt(command.turn)
        run.interrupt()
        unit.effect("release", id=command.turn)
        turn_over(unit, conversation)
        unit.save(run, conversation)
        return Done(aggregate=conversation, shown={"turn": conversation.turn(command.turn)})

    async def give_feedback(self, command: GiveFeedback, unit: Unit) -> Done:
        """Take feedback."""
        conversation = await own(unit, command)
        conversation.give_feedback(
            command.message, rating=command.rating, reason=command.reason, comment=command.comment
        )
        unit.save(conversation)
        return Done(aggregate=conversation)

    async def close(self, command: CloseConversation, unit: Unit) -> Done:
        """Close a conversation."""
        conversation = await own(unit, command)
        conversation.close()
        after_closing(unit, conversation)
        unit.save(conversation)
        return Done(aggregate=conversation)


def leg_shown(turn: Mapping[str, Any], *, begins: bool) -> dict[str, Any]:
    """Return which run a turn is at present, and whether the command began it."""
    return {"turn": turn["id"], "run_id": turn["run_id"], "leg": len(turn["legs"]) + 1, "begins": begins}


async def own(unit: Unit, command: ByOwner) -> Conversation:
    """Return the conversation for changing; one of somebody else is as absent."""
    conversation = owned(await unit.load(Conversation, command.id), command.principal)
    conversation.must_be_at(command.expected)
    return conversation


def owned(conversation: Conversation, principal: Mapping[str, str]) -> Conversation:
    """Return the conversation if this principal began it, or raise NotFound as where there is none."""
    if not same_person(conversation.principal, principal):
        raise absent()
    return conversation


def same_person(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two principals are the same."""
    here = one["type"] in THIS_MACHINE and other["type"] in THIS_MACHINE
    return here or (one["type"], one["id"]) == (other["type"], other["id"])


def absent() -> NotFound:
    """Return the refusal of what is not there, or somebody else's."""
    return NotFound("There is no such conversation.")


def principal_of(actor: Actor) -> dict[str, str]:
    """Return who begins something, as it is recorded."""
    return {"type": actor.type, "id": actor.id, "name": actor.name}
