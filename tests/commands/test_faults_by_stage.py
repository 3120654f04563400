"""Every fault of a provider, met at every stage of a turn: it has one end, keeps what was done, and goes on where it can."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from adapters.egress import Egress
from adapters.model_catalogue import CalledModel
from adapters.openai import OpenAIModels
from commands.agents.agent_talk import NO_TOOLS, ClientTools
from commands.agents.pausing import resumption_of
from commands.agents.research_words import INQUIRE, PLAN, REFLECT, WRITE
from commands.agents.summaries import SYSTEM as SUMMARY
from commands.models.model_calls import ModelCallFailed, TextPiece
from domain.agent import Agent
from domain.conversation import Conversation
from domain.prompt import Prompt
from domain.turn import Pause, Reply
from tests.commands.test_research import Books
from tests.domain.test_conversation import AGENT, a_conversation
from tests.support.called_models import Clock, Routes, model_of, provider_at
from tests.support.faults import OUTCOMES, timeouts
from tests.support.model_server import FAULTS, ModelServer, Received, ToolCalled
from tests.support.model_server import Reply as Says
from tests.support.scripted_agents import Agents, only

RETRIES = 1
FINE = "Fine."

Body = Mapping[str, Any]


def words_of(body: Body) -> str:
    """Return what a model is told by the system."""
    return " ".join(str(each["content"]) for each in body["messages"] if each["role"] == "system")


def last(body: Body) -> Mapping[str, Any]:
    message: Mapping[str, Any] = body["messages"][-1]
    return message


def begins(words: str) -> Callable[[Body], bool]:
    return lambda body: words_of(body).startswith(words[:40])


def has(words: str) -> Callable[[Body], bool]:
    return lambda body: words[:40] in words_of(body)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a turn meets a fault: the requests that do, the agent's settings, and whether the turn goes on then.

    `done` are the actions that were carried out before, `then` those where it goes on although it may not. Where the
    answer itself is met, it is `said`. `tools` are those of whoever asks.
    """

    meets: Callable[[Body], bool]
    agent: Mapping[str, Any] = field(default_factory=dict)
    goes_on: bool = False
    done: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    said: bool = True
    tools: ClientTools = NO_TOOLS


SHOUT = {"type": "prompt", "tool": "shout", "function": "shout"}
FIND = {"type": "retrieval_tool", "tool": "find", "function": "find"}
RESEARCH: dict[str, Any] = {"actions": [FIND], "research": {"at_once": 1}}
STAGES: Mapping[str, Stage] = {
    "classification": Stage(
        meets=lambda body: "response_format" in body,
        agent={"topics": [{"name": "orders", "description": "Orders."}], "classification": {}},
        goes_on=True,
    ),
    "answer": Stage(meets=lambda body: True),
    "after_an_action": Stage(
        meets=lambda body: last(body)["role"] == "tool", agent={"actions": [SHOUT]}, done=("shout",)
    ),
    "inside_an_action": Stage(
        meets=lambda body: last(body)["content"] == "Shout!", agent={"actions": [SHOUT]}, goes_on=True, done=("shout",)
    ),
    "after_agreement": Stage(
        meets=lambda body: last(body)["role"] == "tool",
        agent={"actions": [{**SHOUT, "requires_confirmation": True}]},
        done=("shout",),
    ),
    "after_a_clients_function": Stage(
        meets=lambda body: last(body)["role"] == "tool",
        tools=ClientTools(functions=[{"type": "function", "function": {"name": "weather"}}]).beside(NO_TOOLS),
        done=("weather",),
    ),
    "after_a_hand_off": Stage(
        meets=begins("You know."),
        agent={"actions": [{"type": "agent", "tool": "other", "function": "to_other", "hand_off": True}]},
        done=("to_other",),
    ),
    "in_another_agent": Stage(
        meets=begins("You know."),
        agent={"actions": [{"type": "agent", "tool": "other", "function": "ask_other"}]},
        goes_on=True,
        done=("ask_other",),
    ),
    "summary": Stage(meets=begins(SUMMARY), agent={"memory": {"strategy": "summary", "n": 1}}, goes_on=True),
    "plan": Stage(meets=has(PLAN), agent=RESEARCH, said=False, then=("find",)),
    "inquiry": Stage(meets=has(INQUIRE), agent=RESEARCH, said=False),
    "reflection": Stage(meets=has(REFLECT), agent=RESEARCH, said=False, done=("find",)),
    "writing": Stage(meets=has(WRITE), agent=RESEARCH, done=("find",)),
}


def well(body: Body) -> Says:
    """Return what a model says that is well."""
    words = words_of(body)
    if PLAN[:40] in words:
        return Says(text='{"questions": ["Rain?"]}')
    if REFLECT[:40] in words:
        return Says(text='{"questions": []}')
    if "response_format" in body:
        return Says(text='{"intent": "topic", "topic": "orders"}')
    if last(body)["role"] == "user" and (tools := body.get("tools")):
        name = tools[0]["function"]["name"]
        arguments = {"message": "?"} if name.endswith("other") else {"query": "rain"} if name == "find" else {}
        return Says(tool_calls=[ToolCalled(name=name, arguments=arguments, id="c1")])
    return Says(text=FINE)


def answer(request: Received) -> Any:
    """Answer well, but the stage that a model is named for with its fault."""
    stage, _, fault = str(request.model).partition(":")
    step: Any = FAULTS[fault] if STAGES[stage].meets(request.body) else well(request.body)
    return step(request) if callable(step) else step


class ByModel(Routes):
    """Each model alone, by its id."""

    async def route(self, model: UUID | None, kind: str) -> list[CalledModel]:
        return [each for each in self.models if each.id == model]


@pytest.fixture
def server() -> Any:
    with ModelServer(default=answer) as running:
        yield running


@dataclass
class Turn:
    """A turn of an agent whose model meets one fault, in a conversation as the domain keeps it."""

    stage: str
    fault: str
    model: CalledModel
    agents: Agents
    conversation: Conversation = field(default_factory=a_conversation)
    pieces: list[Any] = field(default_factory=list)
    error: ModelCallFailed | None = None

    def make(self) -> None:
        id = str(self.model.id)
        self.agents.make(Prompt, "shout", text="Shout!", model=id)
        self.agents.make(Agent, "other", instructions="You know.", model=id)
        self.agents.make(Agent, "desk", **{"instructions": "You help.", "model": id, **STAGES[self.stage].agent})

    async def hear(self, **more: Any) -> None:
        agents = self.agents
        turn = list(self.conversation.turns)[-1]
        try:
            earlier = await agents.memory.of(agents.recording, await agents.chosen("desk"), self.conversation, turn)
            messages = [*earlier.messages, "Now?"]
            async for piece in agents.asked(
                "desk", *messages, steps=[], confirms=True, tools=STAGES[self.stage].tools, **more
            ):
                self.pieces.append(piece)
        except ModelCallFailed as error:
            self.error = error

    async def take(self) -> None:
        """Have it answered to its end, with a person's agreement where that is asked for."""
        for text in ("First?", "Second?"):
            self.conversation.complete(self.conversation.post(content=text, agent=AGENT), Reply(content="Yes."))
        turn = self.conversation.post(content="Now?", agent=AGENT)
        await self.hear()
        if paused := only(Pause, self.pieces):
            self.conversation.request_confirmation(turn, paused[0])
            for each in self.conversation.confirmations:
                self.conversation.decide(each, approved=True)
            await self.hear(resumed=resumption_of(self.conversation, turn))
        for done in self.agents.done:
            self.conversation.note_action(
                turn, call=done.call.id, function=done.call.name, type=done.type, arguments=done.call.arguments,
                result=done.told, outcome=done.outcome, ms=done.duration_ms,
            )  # fmt: skip
        if self.error is None:
            [reply] = only(Reply, self.pieces)
            assert self.pieces[-1] is reply
            self.conversation.complete(turn, reply)
        else:
            assert only(Reply, self.pieces) == []
            self.conversation.fail(turn, code=self.error.error_code, message="", reply=Reply(content=self.said))

    @property
    def said(self) -> str:
        return "".join(piece.text for piece in only(TextPiece, self.pieces))

    def check(self) -> None:
        """Compare what came of it with what must come of the fault, there."""
        stage, expected = STAGES[self.stage], OUTCOMES[self.fault]
        code = expected.code(stream=True)
        case = (self.stage, self.fault)
        fails = code is not None and not stage.goes_on
        assert (None if self.error is None else self.error.error_code) == (code if fails else None), case
        own = stage.said and not stage.goes_on  # what the fault leaves of an answer is heard
        heard = (expected.text if code is None else expected.passed_on) if own else "" if fails else FINE
        assert self.said.strip() == heard.strip(), case
        outcomes = [step.outcome for step in self.agents.recording.steps if step.kind == "attempt"]
        if code is not None:
            assert outcomes.count(code) == expected.attempts(RETRIES, stream=True), case
        assert [done.call.name for done in self.agents.done] == list(
            stage.done if fails else stage.done or stage.then
        ), case
        state = "failed" if fails else "completed"
        assert list(self.conversation.turns.values())[-1]["state"] == state
        self.can_be_told()

    def can_be_told(self) -> None:
        """Show that a provider takes the history that the next turn begins with: every call has its result."""
        history = self.conversation.history(self.conversation.post(content="And then?", agent=AGENT))
        waiting: list[str] = []
        for message in history:
            if message["role"] == "tool":
                waiting.remove(message["tool_call_id"])
            else:
                assert not waiting
                waiting = [call["id"] for call in message.get("tool_calls") or ()]
        assert not waiting
        assert [each["content"] for each in history if each["role"] == "user"] == ["First?", "Second?", "Now?"]


def a_turn(stage: str, fault: str, server: ModelServer) -> Turn:
    provider = provider_at(server.url, name=fault, timeouts=timeouts(fault, stream=True))
    model = model_of(provider, name=fault, model=f"{stage}:{fault}", retries=RETRIES)
    return Turn(stage, fault, model, Agents())


@pytest.fixture
async def turns_at(server: ModelServer) -> AsyncIterator[Callable[[str], list[Turn]]]:
    opened: list[OpenAIModels] = []

    def made(stage: str) -> list[Turn]:
        turns = [a_turn(stage, fault, server) for fault in FAULTS]
        routes: Any = ByModel(*(turn.model for turn in turns))
        models = OpenAIModels(routes, egress=Egress(["127.0.0.0/8"]), timing=Clock().timing())
        opened.append(models)
        for turn in turns:
            turn.agents = Agents(Books(), models=models)
            turn.make()
        return turns

    yield made
    for each in opened:
        await each.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_turn_that_meets_a_fault_has_one_end_and_keeps_what_was_done(
    stage: str, turns_at: Callable[[str], list[Turn]], server: ModelServer
):
    before = asyncio.all_tasks()
    turns = turns_at(stage)
    waiting = [turn for turn in turns if turn.fault.startswith("hang")]  # apart: what is well is in time then
    for some in ([turn for turn in turns if turn not in waiting], waiting):
        await asyncio.gather(*(turn.take() for turn in some))
    for turn in turns:
        turn.check()
    await server.until(lambda: all(request.ended for request in server.requests))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "nothing is left running"
