"""A turn that changes something is killed wherever it can be: it is done once at most, and the record says whether."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import pytest

from commands.agents.looking_back import LookingBack
from commands.agents.tool_actions import ToolActions
from commands.agents.tools import ToolAnswer, Tools
from commands.conversations.conversation import ConversationHandlers, NoteAction
from commands.conversations.conversation_course import NoteBegun, begun_noted
from commands.conversations.private_source import PrivateSources
from commands.conversations.turn_answering import TurnAnswering
from commands.conversations.turn_streams import TurnStream
from commands.conversations.turn_work import Work
from commands.ports import SYSTEM, Context
from commands.runs.runs import Recording, Runs
from domain.agent import Agent
from domain.conversation import Conversation
from domain.tool_server import ToolServer
from domain.turn import Pause, Reply
from domain.turn_effects import STARTED
from tests.domain.test_conversation import a_conversation
from tests.support.scripted_agents import Agents, calls

HANDLERS: Mapping[type[Any], Any] = {
    NoteBegun: begun_noted,
    NoteAction: ConversationHandlers(things=cast(Any, None)).note_action,
}
OFFER = {"name": "order", "description": "Orders.", "input_schema": {"type": "object"}, "side_effects": True,
         "request": {"kind": "tool", "name": "order"}}  # fmt: skip
MOST_STEPS = 50


def no_files() -> PrivateSources:
    """Return what searches files where nobody gives any."""
    nothing = cast(Any, None)
    return PrivateSources(things=nothing, reader=nothing, models=nothing, documents=nothing, queue=nothing, room=0)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """A conversation as its log has it, an agent that orders, and a shop; the process is killed at the step `dies`."""

    dies: int = 0
    steps: int = 0
    orders: int = 0
    log: list[Any] = field(default_factory=list)
    dead: bool = False

    def __post_init__(self) -> None:
        self.agents = Agents()
        server = ToolServer.create(name="shop", definition={"type": "mcp", "url": "https://shop.example.com/mcp"})
        server.sync({"title": "Shop", "server": None, "tools": [OFFER], "left_out": []})
        self.agents.shelf.put(cast(Any, server))
        action = {"type": "mcp_tool", "tool": "shop", "operation": "order", "function": "order"}
        self.agents.make(Agent, "clerk", instructions="You order.", actions=[action])
        actions = self.agents.loop.actions
        tools = ToolActions(tools=Tools(things=self.agents.shelf, servers=cast(Any, self)))
        loop = replace(self.agents.loop, actions=replace(actions, tools=tools))
        looking_back = LookingBack(guards=self.agents.guards)
        self.answering = TurnAnswering(
            bus=cast(Any, self), things=cast(Any, self), loop=loop, memory=self.agents.memory,
            looking_back=looking_back, sources=no_files(),
        )  # fmt: skip
        begun = a_conversation()
        self.id = begun.id
        self.keep(begun)

    def may_die(self) -> None:
        """Take a step: one that the process may not survive."""
        if self.dead:
            raise Killed
        self.steps += 1
        if self.steps == self.dies:
            self.dead = True
            raise Killed

    # The log ---------------------------------------------------------------

    def keep(self, conversation: Conversation) -> None:
        self.log += conversation.collect_events()

    def now(self) -> Conversation:
        """Return the conversation as its events make it."""
        conversation: Conversation | None = None
        for event in self.log:
            conversation = event.mutate(conversation)
        assert conversation is not None
        return conversation

    async def newest(self, kind: type[Any], id: UUID) -> Any:
        return self.now()

    async def since(self, kind: type[Any], id: UUID, version: int) -> Any:
        return self.now()

    async def append(self, change: Callable[[Conversation], Any]) -> Any:
        """Record what a command decides, where the process lives so long."""
        self.may_die()
        conversation = self.now()
        result = change(conversation)
        self.keep(conversation)
        self.may_die()
        return result

    async def dispatch(self, command: Any, context: Context) -> None:
        self.may_die()
        conversation, unit = self.now(), AsyncMock()
        unit.load.return_value = conversation
        unit.find.return_value = conversation
        unit.save = lambda *_: None
        await HANDLERS[type(command)](command, unit)
        self.keep(conversation)
        self.may_die()

    # The shop ---------------------------------------------------------------

    async def call(self, server: Any, tool: Any, arguments: Any, *, seconds: float) -> ToolAnswer:
        self.may_die()
        self.orders += 1
        self.may_die()
        return ToolAnswer(text=f"number {self.orders}")

    # Turns ------------------------------------------------------------------

    async def attempt(self, begin: Callable[[Conversation], str], *steps: Any) -> Reply | Pause:
        """Have a turn answered to its end."""
        self.agents.model.steps[:] = steps
        conversation = self.now()
        agent = await self.agents.chosen("clerk")
        turn = begin(conversation)
        self.keep(conversation)
        recording = Recording(cast(Runs, None), uuid4(), Context(actor=SYSTEM), "full")
        stream = TurnStream(run=uuid4(), subject="ada", journal=AsyncMock(note=lambda *_: None))
        work = Work(
            conversation=self.id,
            turn=UUID(turn),
            version=conversation.version,
            context=Context(actor=SYSTEM),
            recording=recording,
            stream=stream,
        )
        said = await self.answering.answer(work, agent)
        if work.notes:
            await work.noted()
        if isinstance(said, Reply):
            await self.append(lambda it: it.complete(turn, said))
        else:
            await self.append(lambda it: it.request_confirmation(turn, said))
        return said


AGENT = {"id": str(uuid4()), "name": "clerk", "version": 1, "variant": "default"}


def says(conversation: Conversation) -> str:
    return conversation.post(content="Order a pen.", agent=AGENT)


def again(conversation: Conversation) -> str:
    return conversation.retry(list(conversation.turns)[-1], agent=AGENT)


async def killed_at(step: int) -> World:
    """Return the world after its process was killed at a step, and what was left behind was seen as that."""
    world = World(dies=step)
    with pytest.raises(Killed):
        await world.attempt(says, calls("order"), "It is ordered.")
    conversation = world.now()
    conversation.interrupt(list(conversation.turns)[-1])
    world.keep(conversation)
    world.dead, world.dies = False, 0
    return world


async def test_unharmed_it_is_ordered_once_and_the_steps_are_counted():
    world = World()
    reply = await world.attempt(says, calls("order"), "It is ordered.")
    assert isinstance(reply, Reply) and (reply.content, world.orders) == ("It is ordered.", 1)
    assert 8 <= world.steps < MOST_STEPS, "before and after each append, and before and after the call"


async def test_killed_at_each_step_it_is_done_once_at_most_and_the_record_says_whether():
    unharmed = World()
    await unharmed.attempt(says, calls("order"), "It is ordered.")
    seen = set()
    for step in range(1, unharmed.steps + 1):
        world = await killed_at(step)
        [turn] = world.now().turns.values()
        actions = [action["outcome"] for action in turn["actions"] if action["function"] == "order"]
        if turn["state"] == "completed":  # only its answer did not leave any more
            assert (step, world.orders, actions) == (unharmed.steps, 1, ["completed"])
            continue
        assert turn["state"] == "interrupted"
        assert world.orders == 0 or actions in ([STARTED], ["completed"]), f"step {step}: nothing says that it was done"
        seen.add((world.orders, *actions))
        after = await world.attempt(again, calls("order"), "It is ordered.")
        if actions:  # it was begun at least: a person is asked first, and the model told what is known
            assert isinstance(after, Pause) and world.orders <= 1, f"step {step}: it was done again unasked"
            told = " ".join(str(each["content"]) for each in world.agents.model.requests[-1].messages)
            assert f"order({{}}): {actions[0]}" in told
        else:
            assert isinstance(after, Reply) and world.orders == 1
    assert seen == {(0,), (0, STARTED), (1, STARTED), (1, "completed")}, "each of what can be left behind was met"
