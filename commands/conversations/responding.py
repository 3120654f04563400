"""Answering as part of a conversation that is known by what was answered last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from commands.agents.agent_talk import NO_TOOLS, ClientTools
from commands.bus import Bus
from commands.completion import no_such
from commands.conversations.conversation import BeginConversation, owned, principal_of
from commands.conversations.turn_work import Begun, Confirm, Say
from commands.conversations.turns import Turns
from commands.ports import Context, Things
from domain.agent import Agent
from domain.conversation import Conversation
from domain.errors import FieldError, Invalid, NotFound
from domain.turn import CLIENT_TOOL


@dataclass(frozen=True, kw_only=True)
class Respond:
    """Have an agent answer: in a new conversation, or in an earlier one of the same caller's.

    With `after`, only where the newest turn is, or goes on as, this run. `subject` and `variables` are those of a new
    conversation. With `decisions` (confirmation -> whether it was approved) nothing is said: a turn that waits for
    them goes on. `comments` say why some were declined. `results` (call -> what came of it) are of calls that the caller
    has carried out, and count as decisions. `tools` are the caller's. `files` are those of what is said, as they were read.
    """

    agent: UUID
    content: str | None
    conversation: UUID | None = None
    after: UUID | None = None
    decisions: Mapping[str, bool] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    instructions: str | None = None
    subject: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    tools: ClientTools = NO_TOOLS
    background: bool = False
    files: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Responding:
    """Begins turns for whoever continues conversations by what was answered last."""

    bus: Bus
    things: Things
    turns: Turns

    async def begin(self, command: Respond, context: Context) -> Begun:
        """Begin to answer; or raise."""
        earlier = await self.bus.earlier(context)
        if earlier is not None:
            return Begun.of(earlier)
        if command.conversation is None:
            return await self._anew(command, context)
        conversation = owned(await self.things.newest(Conversation, command.conversation), principal_of(context.actor))
        if conversation.agent != str(command.agent):
            raise Invalid(
                "This conversation is with another agent: go on with it by that agent's name.",
                code="other_agent",
                pointer="/model",
            )
        command = with_results(command, conversation)
        if command.decisions:
            return await self._decided(command, conversation, context)
        return await self.turns.begin(
            Say(
                conversation=conversation.id,
                content=command.content,
                files=command.files,
                on_busy="reject",
                after=command.after,
                instructions=command.instructions,
                metadata=command.metadata,
                tools=command.tools,
                background=command.background,
            ),
            context,
        )

    async def _anew(self, command: Respond, context: Context) -> Begun:
        """Begin a conversation by what is said first in it."""
        id = uuid4()
        begins = BeginConversation(
            id=id,
            agent=command.agent,
            subject=command.subject,
            principal=principal_of(context.actor),
            variables=command.variables,
        )
        say = Say(
            conversation=id,
            content=command.content,
            files=command.files,
            begins=begins,
            instructions=command.instructions,
            metadata=command.metadata,
            tools=command.tools,
            background=command.background,
        )
        try:
            return await self.turns.begin(say, context)
        except NotFound as error:
            if error.error_code != NotFound.code:
                raise
            raise no_such(Agent) from None

    async def _decided(self, command: Respond, conversation: Conversation, context: Context) -> Begun:
        """Take decisions, of which the last lets the turn go on."""
        turns = {conversation.confirmation(id)["turn"] for id in command.decisions}
        missing = [
            each
            for each in conversation.confirmations.values()
            if each["turn"] in turns and each["approved"] is None and each["id"] not in command.decisions
        ]
        if len(turns) > 1 or missing:
            errors = [
                FieldError(pointer="/input", message=f"{each['function']} is not decided on", code="approval_missing")
                for each in missing
            ]
            raise Invalid(
                "Decide at once on all that a response asks for, and on nothing else.",
                code="approval_missing",
                pointer="/input",
                errors=errors,
            )
        *first, last = command.decisions.items()
        # Each is taken once, whoever asks again; the key stands for the one that lets the turn go on.
        for id, approved in first:
            confirm = Confirm(
                conversation=conversation.id, confirmation=id, approved=approved, comment=command.comments.get(id)
            )
            await self.turns.decide(confirm, replace(context, idempotency=None))
        confirm = Confirm(
            conversation=conversation.id,
            confirmation=last[0],
            approved=last[1],
            comment=command.comments.get(last[0]),
            instructions=command.instructions,
            tools=command.tools,
            background=command.background,
        )
        return await self.turns.decide(confirm, context)


def with_results(command: Respond, conversation: Conversation) -> Respond:
    """Return a command with its results as decisions on the calls that a turn waits for; raise Invalid for others."""
    asked = {each["call"]: id for id, each in conversation.confirmations.items() if each["type"] == CLIENT_TOOL}
    if any(call not in asked for call in command.results):
        raise Invalid("This conversation waits for no such call.", code="unknown_call", pointer="/input")
    decisions = dict.fromkeys((asked[call] for call in command.results), True)
    comments = {asked[call]: result for call, result in command.results.items() if result}
    return replace(command, decisions={**command.decisions, **decisions}, comments={**command.comments, **comments})
