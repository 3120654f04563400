"""What a message is about is found out before it is answered, and decides what the agent is told and may do."""

from typing import Any

import orjson
import pytest

from commands.agents.agent_talk import Course
from commands.agents.classifying import TopicChosen
from commands.agents.pausing import Resumption
from commands.models.model_calls import ModelCallFailed
from domain.agent import Agent
from domain.prompt import Prompt
from domain.topics import TopicChoice
from tests.support.scripted_agents import SHOUT, Agents, only, reply_in

TOPICS = [
    {"name": "orders", "description": "Orders and their state.", "instructions": "Be exact.", "actions": [SHOUT]},
    {"name": "returns", "description": "Sending things back.", "actions": [{**SHOUT, "function": "yell"}]},
]


def answer(intent: str, topic: str | None = None) -> str:
    return orjson.dumps({"intent": intent, "topic": topic}).decode()


@pytest.fixture
def agents() -> Agents:
    made = Agents()
    made.make(Agent, "shop", instructions="You sell.", topics=TOPICS, classification={})
    return made


def chosen(pieces: list[Any]) -> dict[str, Any]:
    [piece] = only(TopicChosen, pieces)
    document: dict[str, Any] = piece.choice.document()
    return document


async def test_a_message_is_answered_by_the_instructions_and_with_the_actions_of_its_topic(agents: Agents):
    pieces = await agents.ask("shop", "Can I send it back?", steps=[answer("topic", "returns"), "Yes."])
    assert chosen(pieces) == {"intent": "topic", "topic": "returns", "fell_back": False}
    assert reply_in(pieces).content == "Yes."
    assert agents.model.offered() == ["yell"]
    await agents.ask("shop", "Where is it?", steps=[answer("topic", "orders"), "Here."])
    assert (agents.model.offered(), agents.model.told()[0]) == (["shout"], ("system", "You sell.\n\nBe exact."))


async def test_the_classifier_is_told_the_topics_and_the_present_one_and_bound_to_a_schema(agents: Agents):
    course = Course(topic="orders")
    pieces = await agents.ask("shop", "Back with it", steps=[answer("topic", "returns"), "Yes."], course=course)
    assert chosen(pieces)["intent"] == "switch", "another topic than the present one is a switch, whatever it is called"
    system = agents.model.told(0)[0][1]
    assert "Sending things back." in system and "so far: orders" in system
    form = agents.model.requests[0].response_format
    assert form is not None and form["json_schema"]["schema"]["properties"]["topic"] == {
        "enum": ["orders", "returns", None]
    }


@pytest.mark.parametrize(
    ("intent", "told"),
    [("greeting", "greets"), ("farewell", "leave"), ("unclear", "question"), ("off_topic", "nothing")],
)
async def test_what_belongs_to_no_topic_is_answered_without_actions(agents: Agents, intent: str, told: str):
    pieces = await agents.ask("shop", "Hm.", steps=[answer(intent), "Well."])
    assert chosen(pieces) == {"intent": intent, "topic": None, "fell_back": False}
    system = agents.model.told()[0][1]
    assert agents.model.offered() == []
    assert told in system and "- orders: Orders and their state." in system


@pytest.mark.parametrize(
    "wrong", ["orders", "[]", answer("topic"), answer("topic", "weather"), answer("buy", "orders")]
)
async def test_a_bad_answer_of_the_classifier_is_told_to_it_once(agents: Agents, wrong: str):
    pieces = await agents.ask("shop", "Where?", steps=[wrong, answer("topic", "orders"), "Here."])
    assert chosen(pieces) == {"intent": "topic", "topic": "orders", "fell_back": False}
    assert agents.model.told(1)[-2:] == [("assistant", wrong), ("user", agents.model.told(1)[-1][1])]


async def test_after_a_second_bad_answer_the_topic_stays_and_that_is_said(agents: Agents):
    pieces = await agents.ask("shop", "?", steps=["a", "b", "Yes."], course=Course(topic="returns"))
    assert chosen(pieces) == {"intent": "topic", "topic": "returns", "fell_back": True}
    assert agents.model.offered() == ["yell"]
    [step] = [step for step in agents.recording.steps if step.kind == "classification"]
    assert (step.outcome, step.note["fell_back"]) == ("invalid_output", True)
    inside = [each for each in agents.recording.steps if each.parent == step.number]
    assert [each.kind for each in inside] == ["model_call", "model_call"]


async def test_a_classifier_that_fails_leaves_the_first_topic(agents: Agents):
    pieces = await agents.ask("shop", "?", steps=[ModelCallFailed(), "Yes."])
    assert chosen(pieces) == {"intent": "topic", "topic": "orders", "fell_back": True}


async def test_without_classification_the_first_topic_serves_and_no_model_is_asked(agents: Agents):
    agents.make(Agent, "plain", instructions="You sell.", topics=TOPICS)
    pieces = await agents.ask("plain", "Back?", steps=["Yes."], course=Course(topic="returns"))
    assert chosen(pieces)["topic"] == "orders"
    assert len(agents.model.requests) == 1


async def test_a_classifier_may_have_a_prompt_and_a_model_of_its_own(agents: Agents):
    agents.make(Prompt, "sort", text="Sort it.")
    agents.make(Agent, "own", instructions="You sell.", topics=TOPICS, classification={"prompt": "sort"})
    await agents.ask("own", "Back?", steps=[answer("topic", "returns"), "Yes."])
    assert agents.model.told(0) == [("user", "Sort it.")]
    assert [each["name"] for each in agents.recording.versions["prompts"]] == ["sort"]


async def test_a_turn_that_goes_on_keeps_its_topic(agents: Agents):
    nothing = Resumption(content="", history=[], tool_calls=[], given=[], cited=[], approved=[], declined=[])
    course = Course(topic="orders", choice=TopicChoice(intent="topic", topic="returns"))
    pieces = await agents.ask("shop", "Back?", steps=["Yes."], course=course, resumed=nothing)
    assert only(TopicChosen, pieces) == []
    assert agents.model.offered() == ["yell"]
