"""Commands on conversations: beginning, turns and their ends, feedback, closing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from commands.bus import Answers, Done
from commands.ports import Things, Unit
from commands.runs import LEASE, note_answer
from domain.agent import Agent
from domain.conversation import Conversation
from domain.run import End, Run
from domain.turn import Reply


@dataclass(frozen=True, kw_only=True)
class OnConversation:
    """Base of the commands on a conversation."""

    id: UUID

    @property
    def stream(self) -> UUID:
        """The conversation's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class BeginConversation(OnConversation):
    """Begin a conversation with an agent."""

    agent: UUID
    subject: str | None
    principal: Mapping[str, str]
    variables: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StartTurn(OnConversation):
    """Take what a person said (or try a turn again) and begin its run, leased by a process."""

    content: str | None
    retry: str | None
    agent: Mapping[str, Any]
    principal: Mapping[str, str]
    channel: str
    attributes: Mapping[str, str]
    observability: str
    owner: UUID


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
    """End a turn and its run together; with `scope`, keep what a repeat of its request is answered."""

    turn: str
    state: Literal["completed", "failed", "cancelled"]
    end: End
    reply: Reply
    scope: bytes | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class InterruptTurn(OnConversation):
    """Note that nobody carries a turn out any more."""

    turn: str


@dataclass(frozen=True, kw_only=True)
class GiveFeedback(OnConversation):
    """Say what one thinks of an answer."""

    message: str
    rating: str
    reason: str | None
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class CloseConversation(OnConversation):
    """Close it."""


@dataclass(frozen=True, kw_only=True)
class ConversationHandlers:
    """Carries out the commands on conversations."""

    answers: Answers
    things: Things

    async def begin(self, command: BeginConversation, unit: Unit) -> Done:
        """Begin."""
        agent = await self.things.newest(Agent, command.agent)
        agent.must_be_active()
        conversation = Conversation.begin(
            id=command.id,
            agent=command.agent,
            subject=command.subject,
            principal=command.principal,
            variables=command.variables,
            welcome=agent.labels["live"]["definition"]["welcome_message"],
        )
        unit.effect("needs", kind=Agent.TOPIC, id=str(command.agent), pointer="/agent")
        unit.save(conversation)
        return Done(aggregate=conversation, shown={"agent": {"id": str(agent.id), "name": agent.name}})

    async def start_turn(self, command: StartTurn, unit: Unit) -> Done:
        """Take a message: recorded before anything else is done with it."""
        conversation = await unit.load(Conversation, command.id)
        if command.retry is not None:
            turn = conversation.retry(command.retry, agent=command.agent)
        else:
            turn = conversation.post(content=command.content or "", agent=command.agent)
        begun = conversation.turn(turn)
        run = Run.start(
            id=UUID(begun["run_id"]),
            kind="turn",
            target={"kind": Agent.TOPIC, **command.agent},
            principal=command.principal,
            subject=conversation.subject,
            channel=command.channel,
            attributes=command.attributes,
            input={"content": begun["content"]} if command.observability == "full" else None,
        )
        unit.effect("lease", id=turn, kind="turn", stream=str(conversation.id), owner=str(command.owner), seconds=LEASE)
        unit.save(run, conversation)
        return Done(aggregate=conversation, shown={"turn": turn, "run_id": str(run.id)})

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
            case "cancelled":
                conversation.cancel(command.turn, content=command.reply.content)
            case "failed":
                error = command.end.error or {"code": "failed", "message": ""}
                conversation.fail(
                    command.turn, code=error["code"], message=error["message"], content=command.reply.content
                )
        run.finish(command.end)
        unit.effect("release", id=command.turn)
        if command.scope is not None:
            note_answer(unit, self.answers, command.scope, Done(aggregate=conversation, shown=command.answer))
        unit.save(run, conversation)
        return Done(aggregate=conversation)

    async def interrupt(self, command: InterruptTurn, unit: Unit) -> Done:
        """Mark a turn and its run as interrupted."""
        conversation = await unit.load(Conversation, command.id)
        run = await unit.load(Run, UUID(conversation.turn(command.turn)["run_id"]))
        conversation.interrupt(command.turn)
        run.interrupt()
        unit.effect("release", id=command.turn)
        unit.save(run, conversation)
        return Done(aggregate=conversation)

    async def give_feedback(self, command: GiveFeedback, unit: Unit) -> Done:
        """Take feedback."""
        conversation = await unit.load(Conversation, command.id)
        conversation.give_feedback(
            command.message, rating=command.rating, reason=command.reason, comment=command.comment
        )
        unit.save(conversation)
        return Done(aggregate=conversation)

    async def close(self, command: CloseConversation, unit: Unit) -> Done:
        """Close a conversation."""
        conversation = await unit.load(Conversation, command.id)
        conversation.close()
        unit.save(conversation)
        return Done(aggregate=conversation)
