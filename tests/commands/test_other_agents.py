"""Agents among an agent's actions: asked as a tool inside the same run, or handed over to."""

from dataclasses import replace
from typing import Any

import pytest

from commands.agents.agent_talk import BEGINNING, ActionStarted
from commands.agents.classifying import TopicChosen
from commands.agents.other_agents import HandedOff
from commands.agents.pausing import Resumption
from domain.agent import Agent
from domain.errors import Invalid
from tests.support.scripted_agents import SHOUT, Agents, calls, only, pause_in, reply_in

SURE = {**SHOUT, "requires_confirmation": True}


def to(agent: str, **more: Any) -> dict[str, Any]:
    return {"type": "agent", "tool": agent, "function": f"to_{agent}", **more}


@pytest.fixture
def agents() -> Agents:
    made = Agents()
    made.make(Agent, "expert", instructions="You know.", description="Knows taxes.", actions=[SHOUT])
    made.make(Agent, "desk", instructions="You help.", actions=[to("expert"), SHOUT])
    return made


async def test_another_agent_answers_inside_the_same_run_and_what_it_takes_counts(agents: Agents):
    pieces = await agents.ask(
        "desk",
        "Taxes?",
        steps=[calls("to_expert", message="Which taxes?"), calls("shout"), "HEY!", "All of them.", "All, he says."],
    )
    assert reply_in(pieces).content == "All, he says."
    assert agents.model.told(1) == [("system", "You know."), ("user", "Which taxes?")]
    assert agents.model.told()[-1] == ("tool", "All of them.")
    steps = {step.number: step for step in agents.recording.steps}
    [asked] = [step for step in steps.values() if step.kind == "action" and step.name == "to_expert"]
    inside = [step for step in steps.values() if step.parent == asked.number]
    assert [step.kind for step in inside] == ["model_call", "action", "model_call"]
    assert agents.recording.spent()["usage"]["total"] == 500
    assert [each["name"] for each in agents.recording.versions["agents"]] == ["expert"]


async def test_its_model_is_told_of_the_other_agent(agents: Agents):
    await agents.ask("desk", "Hi", steps=["Hi."])
    [expert, _] = agents.model.requests[0].tools
    assert expert["function"]["description"] == "Asks the agent 'expert'. Knows taxes."
    assert expert["function"]["parameters"]["required"] == ["message"]


async def test_what_it_does_is_noted_and_told_as_part_of_the_call(agents: Agents):
    began: list[ActionStarted] = []
    await agents.ask(
        "desk",
        "Taxes?",
        steps=[calls("to_expert", message="?"), calls("shout"), "HEY!", "All.", "All."],
        course=replace(BEGINNING, began=began.append),
    )
    assert [(done.call.id, done.type) for done in agents.done] == [("c1/c1", "prompt"), ("c1", "agent")]
    assert [(each.call.id, each.call.name) for each in began] == [("c1/c1", "shout")]


async def test_an_agent_that_waits_for_the_answer_is_not_asked_again(agents: Agents):
    agents.make(Agent, "expert", instructions="You know.", actions=[to("desk")])
    steps = [calls("to_expert", message="?"), calls("to_desk", message="?"), "Alone, then.", "Fine."]
    assert reply_in(await agents.ask("desk", "Taxes?", steps=steps)).content == "Fine."
    assert agents.done[0].outcome == "agent_on_chain"
    assert "answer with what you know" in agents.model.told(2)[-1][1]


async def test_three_agents_may_ask_below_the_first_and_no_fourth(agents: Agents):
    agents.make(Agent, "a4", instructions="I.")
    for number in (3, 2, 1, 0):
        agents.make(Agent, f"a{number}", instructions="I.", actions=[to(f"a{number + 1}")])
    down = [calls(f"to_a{number}", message="?") for number in (1, 2, 3, 4)]
    await agents.ask("a0", "Who?", steps=[*down, "I.", "I.", "I.", "I."])
    assert [done.outcome for done in agents.done] == ["agents_too_deep", "completed", "completed", "completed"]


async def test_what_needs_agreement_inside_is_refused_unless_the_call_itself_was_agreed_to(agents: Agents):
    agents.make(Agent, "expert", instructions="You know.", actions=[SURE])
    steps = [calls("to_expert", message="?"), calls("shout"), "I may not.", "He may not."]
    await agents.ask("desk", "Shout!", steps=steps, confirms=True)
    assert agents.done[0].outcome == "confirmation_needed"
    agents.make(Agent, "careful", instructions="You help.", actions=[to("expert", requires_confirmation=True)])
    pieces = await agents.ask("careful", "Shout!", steps=[calls("to_expert", message="?")], confirms=True)
    pause = pause_in(pieces)
    agreed = Resumption(
        content="",
        history=pause.reply.history,
        tool_calls=[],
        given=[],
        cited=[],
        approved=calls("to_expert", message="?"),
        declined=[],
    )
    agents.done.clear()
    steps = [calls("shout"), "HEY!", "He has.", "Done."]
    await agents.ask("careful", "Shout!", steps=steps, confirms=True, resumed=agreed)
    assert [(done.call.name, done.outcome) for done in agents.done] == [
        ("shout", "completed"),
        ("to_expert", "completed"),
    ]


async def test_a_hand_off_lets_the_other_agent_answer_with_all_that_was_said(agents: Agents):
    agents.make(Agent, "front", instructions="You greet.", actions=[to("expert", hand_off=True)])
    steps = [("One moment.", calls("to_expert", message="Taxes of Ada.")), calls("shout"), "HEY!", "Hello Ada."]
    pieces = await agents.ask("front", "Taxes?", steps=steps)
    [handed] = only(HandedOff, pieces)
    assert handed.agent.name == "expert"
    assert reply_in(pieces).content == "One moment.\n\nHello Ada."
    told = agents.model.told(1)
    assert told[:2] == [("system", "You know."), ("user", "Taxes?")]
    assert told[-1][0] == "tool" and told[-1][1].endswith("Taxes of Ada.")
    assert agents.model.offered(1) == ["shout"]


async def test_who_takes_over_has_topics_of_its_own_and_does_not_hand_back_in_the_same_turn(agents: Agents):
    topics = [{"name": "taxes", "description": "Taxes.", "actions": [to("front", hand_off=True)]}]
    agents.make(Agent, "front", instructions="You greet.")
    agents.make(Agent, "expert", instructions="You know.", topics=topics)
    agents.make(Agent, "front", instructions="You greet.", actions=[to("expert", hand_off=True)])
    steps = [calls("to_expert", message="?"), calls("to_front", message="?"), "Then I answer."]
    pieces = await agents.ask("front", "Taxes?", steps=steps)
    assert [type(piece) for piece in pieces if isinstance(piece, HandedOff | TopicChosen)] == [HandedOff, TopicChosen]
    assert agents.done[-1].outcome == "agent_on_chain"
    assert reply_in(pieces).content == "Then I answer."


async def test_nothing_is_handed_over_twice_at_once_or_while_a_person_decides(agents: Agents):
    over = {"hand_off": True}
    agents.make(Agent, "front", instructions="You greet.", actions=[to("expert", **over), to("desk", **over), SURE])
    pieces = await agents.ask("front", "?", steps=[calls("to_expert", "to_desk", message="?"), "Here."])
    assert len(only(HandedOff, pieces)) == 1
    assert sorted(done.outcome for done in agents.done) == ["completed", "hand_off_refused"]
    agents.done.clear()
    pieces = await agents.ask("front", "?", steps=[calls("to_expert", "shout", message="?")], confirms=True)
    assert [call["function"] for call in pause_in(pieces).calls] == ["shout"]
    assert [done.outcome for done in agents.done] == ["hand_off_refused"]


def test_only_an_agent_is_handed_over_to(agents: Agents):
    with pytest.raises(Invalid):
        agents.make(Agent, "odd", instructions="I.", actions=[{**SHOUT, "hand_off": True}])


def test_what_was_stored_before_hand_offs_came_out_as_it_did(agents: Agents):
    agent = agents.shelf.things[Agent.create_id("desk")]
    assert all("hand_off" not in action for action in agent.definition["actions"])
