"""Agents that answer without a log or a provider: their models say what a test tells them to."""

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
from eventsourcing.domain import Aggregate

from adapters.guardrails.injection import InjectionGuard
from adapters.guardrails.pii import PiiGuard
from api.answering_parts import agent_loop_of
from commands.agents.actions import ActionDone, Asker
from commands.agents.agent_talk import BEGINNING, Course
from commands.agents.guardrails import Guard
from commands.agents.summaries import Memory
from commands.agents.tools import Tools
from commands.choosing import Chosen, choose
from commands.configuration import resolved
from commands.models.model_calls import (
    Attempt,
    ChatAnswer,
    ChatModels,
    ChatRequest,
    ModelCallFailed,
    ModelUsed,
    NoModel,
    TextPiece,
    ToolCall,
)
from commands.ports import SYSTEM, Context
from commands.prompt_run import PromptRuns
from commands.retrieval.answering import Answerer
from commands.runs.execution import Execution
from commands.runs.runs import Recording, Runs
from domain.agent import Agent
from domain.configuration import Configuration
from domain.errors import NotFound
from domain.pricing import Cost, Usage
from domain.prompt import Prompt
from domain.turn import Pause, Reply
from tests.support.fakes import PlainRenderer

MODEL = ModelUsed(id=uuid4(), name="small", version=1, model="gpt-small", provider="house")
SHOUT = {"type": "prompt", "tool": "shout", "function": "shout"}


def calls(*functions: str, **arguments: Any) -> list[ToolCall]:
    """Return calls of functions, each with the same arguments."""
    given = orjson.dumps(arguments).decode()
    return [ToolCall(id=f"c{number}", name=name, arguments=given) for number, name in enumerate(functions, 1)]


@dataclass
class Scripted:
    """A chat model: each step is a text, calls, (text, calls), or an error; 100 tokens and 0.001 USD a call."""

    steps: list[Any] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)
    cost: Cost = field(default_factory=lambda: Cost(amount=Decimal("0.001"), currency="USD", unknown=False))

    def told(self, number: int = -1) -> list[tuple[str, str]]:
        """Return (role, content) of the messages of a request."""
        return [(str(each["role"]), str(each["content"])) for each in self.requests[number].messages]

    def offered(self, number: int = -1) -> list[str]:
        """Return the functions of a request."""
        return [tool["function"]["name"] for tool in self.requests[number].tools]

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        self.requests.append(request)
        step = self.steps.pop(0) if self.steps else NoModel()
        if isinstance(step, Exception):
            raise step
        text, asked = step if isinstance(step, tuple) else (step, ()) if isinstance(step, str) else ("", step)
        for piece in re.findall(r"\S*\s*", text):
            if piece:
                yield TextPiece(text=piece)
        usage = Usage(input=60, output=40)
        ok = Attempt(model=MODEL, outcome="ok", upstream_status=200, duration_ms=1.0, usage=usage, cost=self.cost)
        yield ChatAnswer(
            text=text,
            tool_calls=tuple(asked),
            finish_reason="tool_calls" if asked else "stop",
            model=MODEL,
            usage=usage,
            cost=self.cost,
            attempts=(ok,),
            first_token_ms=1.0,
            duration_ms=2.0,
        )

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        async for piece in self.stream(request):
            if isinstance(piece, ChatAnswer):
                return piece
        raise AssertionError("a stream ends with an answer")


@dataclass
class Shelf:
    """Things by id."""

    things: dict[UUID, Configuration] = field(default_factory=dict)

    def put(self, thing: Configuration) -> None:
        self.things[thing.id] = thing

    async def newest(self, kind: type[Aggregate], id: UUID) -> Any:
        if not isinstance(self.things.get(id), kind):
            raise NotFound
        return self.things[id]

    async def at_version(self, kind: type[Aggregate], id: UUID, version: int) -> Any:
        return await self.newest(kind, id)

    async def newest_of(self, kind: type[Aggregate], ids: Any) -> Mapping[UUID, Any]:
        return {id: self.things[id] for id in ids if id in self.things}


class Agents:
    """Agents on a shelf, and one model that all of them ask; with `models` they ask those instead."""

    def __init__(self, answerer: Any = None, *, models: ChatModels | None = None) -> None:
        self.shelf, self.model, self.done = Shelf(), Scripted(), list[ActionDone]()
        self.guards: dict[str, Guard] = {"pii": PiiGuard(), "injection": InjectionGuard()}
        runs = cast(Runs, None)
        asked = models or self.model
        prompts = PromptRuns(models=asked, things=self.shelf, renderer=PlainRenderer(), execution=cast(Execution, None))
        self.loop = agent_loop_of(
            things=self.shelf,
            chat=asked,
            answerer=cast(Answerer, answerer),
            prompts=prompts,
            tools=Tools(things=self.shelf, servers=cast(Any, None)),
            guards=self.guards,
        )
        self.recording = Recording(runs, uuid4(), Context(actor=SYSTEM), "full")
        self.memory = Memory(things=self.shelf, models=asked, prompts=prompts)
        self.make(Prompt, "shout", text="Shout!")

    def make(self, kind: type[Configuration], name: str, **definition: Any) -> UUID:
        """Put a thing on the shelf; references are names of things that are there."""
        definition = orjson.loads(orjson.dumps(definition, default=str))
        thing = kind.create(name=name, definition=resolved(kind, definition))
        self.shelf.put(thing)
        return thing.id

    async def chosen(self, name: str) -> Chosen:
        """Return an agent as it is to run."""
        return await choose(self.shelf, Agent, Agent.create_id(name), subject="ada")

    async def ask(
        self,
        name: str,
        *messages: str | dict[str, Any],
        steps: Sequence[Any],
        course: Course = BEGINNING,
        **more: Any,
    ) -> list[Any]:
        """Have an agent answer the last of the person's messages; return all that happens."""
        return [piece async for piece in self.asked(name, *messages, steps=steps, course=course, **more)]

    async def told_until_it_fails(self, name: str, *messages: str, steps: Sequence[Any]) -> list[Any]:
        """Have an agent answer, and return what happens until its model fails."""
        pieces = []
        with contextlib.suppress(ModelCallFailed):
            async for piece in self.asked(name, *messages, steps=steps):
                pieces.append(piece)
        return pieces

    async def asked(
        self,
        name: str,
        *messages: str | dict[str, Any],
        steps: Sequence[Any],
        course: Course = BEGINNING,
        confirms: bool | None = False,
        **more: Any,
    ) -> AsyncGenerator[Any, None]:
        self.model.steps[:] = steps

        async def note(done: ActionDone) -> None:
            self.done.append(done)

        told = [each if isinstance(each, dict) else {"role": "user", "content": each} for each in messages]
        asker = Asker(subject="ada", groups=None)
        replying = self.loop.reply(
            self.recording, await self.chosen(name), told, asker, note, confirms=confirms, course=course, **more
        )
        async for piece in replying:
            yield piece


def reply_in(pieces: Sequence[Any]) -> Reply:
    """Return the reply."""
    [reply] = [piece for piece in pieces if isinstance(piece, Reply)]
    return reply


def pause_in(pieces: Sequence[Any]) -> Pause:
    """Return where it waits for a person."""
    [pause] = [piece for piece in pieces if isinstance(piece, Pause)]
    return pause


def only(kind: type[Any], pieces: Sequence[Any]) -> list[Any]:
    """Return the pieces of a kind."""
    return [piece for piece in pieces if isinstance(piece, kind)]
