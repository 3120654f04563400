"""Other agents among an agent's actions: asked as a tool, or handed over to."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from commands.agents.actions import ActionDone, ActionResult, AskAgent, Asker, arguments_of, text_in
from commands.agents.agent_talk import ActionStarted, Course, Note, Starting
from commands.choosing import Chosen, choose
from commands.models.model_calls import ToolCall
from commands.ports import Things
from commands.runs.runs import Recording
from domain.agent import Agent
from domain.citations import numbers_in
from domain.errors import DomainError
from domain.retrieval import Passage
from domain.turn import Reply

DEEPEST = 3
"""Agents below the one that is spoken to that may be asked by one another."""

YOURS = "The conversation is with you now, '{name}': answer the person. What you were told with it: {message}"
"""What the model is told of a call by which another agent has taken over."""


class AgentOnChain(DomainError):
    """This agent is waiting for an answer itself: answer with what you know."""

    code = "agent_on_chain"


class AgentsTooDeep(DomainError):
    """Too many agents ask each other already: answer with what you know."""

    code = "agents_too_deep"


class HandOffRefused(DomainError):
    """The conversation can't be handed over together with other calls that hand it over, or wait for a person."""

    code = "hand_off_refused"


@dataclass(frozen=True, kw_only=True)
class HandedOff:
    """Another agent goes on with the conversation."""

    agent: Chosen


@dataclass(frozen=True, kw_only=True)
class Nested:
    """What another agent is asked on behalf of a call, and by whom; `confirms` as for any reply."""

    agent: Chosen
    message: str
    asker: Asker
    course: Course
    note: Note
    confirms: bool | None


Replying = Callable[[Recording, Nested], AsyncGenerator[Any, None]]
"""Lets an agent answer."""


@dataclass(kw_only=True)
class OtherAgents:
    """The other agents of one agent's part in a turn; `handed` is the one that has taken over.

    While calls wait for a person (`waiting`), none may.
    """

    things: Things
    recording: Recording
    agent: Chosen
    course: Course
    asker: Asker
    given: list[Passage]
    note: Note
    replying: Replying
    handed: Chosen | None = None
    waiting: bool = False

    def asking(self, call: ToolCall, action: Mapping[str, Any], confirms: bool | None) -> AskAgent:
        """Return how an action's agent is asked for a call.

        What needs a person's agreement inside it counts as agreed to where the call itself was, and is refused else.
        """
        agreed = None if action.get("requires_confirmation") and confirms is not False else False

        async def ask(parent: int) -> ActionResult:
            message = text_in(arguments_of(call), "message")
            chosen = await choose(self.things, Agent, UUID(action["tool"]), subject=self.asker.subject)
            chain = (*self.course.chain, self.agent.id)
            if chosen.id in chain:
                raise AgentOnChain
            if action.get("hand_off"):
                return ActionResult(told=self._hand_off(chosen, message))
            if len(chain) > DEEPEST:
                raise AgentsTooDeep
            self.recording.versions.setdefault("agents", []).append(chosen.document())
            nested = Nested(
                agent=chosen,
                message=message,
                asker=self.asker,
                course=replace(
                    self.course,
                    channel="",
                    topic=None,
                    choice=None,
                    research=None,
                    remembered=None,
                    chain=chain,
                    parent=parent,
                    given=self.given,
                    told=(),
                    starting=starting_within(call, self.course.starting),
                ),
                note=within(call, self.note),
                confirms=agreed,
            )
            return await self._answered(nested, call)

        return ask

    def _hand_off(self, chosen: Chosen, message: str) -> str:
        if self.handed is not None or self.waiting:
            raise HandOffRefused
        self.handed = chosen
        self.recording.versions.setdefault("agents", []).append(chosen.document())
        return YOURS.format(name=chosen.name, message=message)

    async def _answered(self, nested: Nested, call: ToolCall) -> ActionResult:
        reply: Reply | None = None
        async with aclosing(self.replying(self.recording, nested)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ActionStarted) and self.course.began is not None:
                    self.course.began(replace(piece, call=below(call, piece.call)))
                elif isinstance(piece, Reply):
                    reply = piece
        assert reply is not None  # where nobody is asked, a reply never pauses
        return ActionResult(told=reply.content, said=reply.content, citable=numbers_in(reply.citations))


def below(outer: ToolCall, inner: ToolCall) -> ToolCall:
    """Return a call as it is noted where it was made inside another one."""
    return replace(inner, id=f"{outer.id}/{inner.id}")


def within(outer: ToolCall, note: Note) -> Note:
    """Return what notes what is done inside a call."""

    async def noted(done: ActionDone) -> None:
        await note(replace(done, call=below(outer, done.call)))

    return noted


def starting_within(outer: ToolCall, starting: Starting | None) -> Starting | None:
    """Return what records what is begun inside a call."""
    if starting is None:
        return None

    async def begun(started: ActionStarted) -> None:
        await starting(replace(started, call=below(outer, started.call)))

    return begun
