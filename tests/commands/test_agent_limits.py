"""How far a turn may go in tokens and money, and what form its answer has."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from commands.agents.agent_talk import BEGINNING
from commands.agents.budgets import TurnLimitReached
from commands.models.model_calls import NoModel
from commands.prompt_run import InvalidOutput
from domain.agent import Agent
from domain.errors import Invalid
from domain.pricing import Cost
from domain.prompt import Prompt
from tests.support.scripted_agents import SHOUT, Agents, calls, reply_in

SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
JSON = {"type": "json_schema", "schema": SCHEMA}


def an_agent(name: str = "desk", **more: Any) -> Agents:
    made = Agents()
    made.make(Agent, name, instructions="You help.", **{"actions": [SHOUT], **more})
    return made


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"tokens": 200}, "turn_tokens_reached"), ({"cost": {"amount": "0.002"}}, "turn_cost_reached")],
)
async def test_at_a_limit_no_model_is_asked_any_more_and_what_was_done_is_noted(limits: dict[str, Any], code: str):
    agents = an_agent(limits=limits)
    with pytest.raises(TurnLimitReached) as refusal:
        await agents.ask("desk", "Shout!", steps=[calls("shout"), "HEY!", "Never said."])
    assert refusal.value.error_code == code
    assert [(done.call.name, done.told) for done in agents.done] == [("shout", "HEY!")]
    assert len(agents.model.requests) == 2


async def test_an_answer_that_goes_beyond_a_limit_is_still_the_answer():
    agents = an_agent(limits={"tokens": 1})
    assert reply_in(await agents.ask("desk", "Hi", steps=["Hello."])).content == "Hello."


async def test_money_in_another_currency_or_of_unknown_price_does_not_count():
    for cost in (
        Cost(amount=Decimal(5), currency="EUR", unknown=False),
        Cost(amount=Decimal(0), currency=None, unknown=True),
    ):
        agents = an_agent(limits={"cost": {"amount": "0.002"}})
        agents.model.cost = cost
        assert reply_in(await agents.ask("desk", "Shout!", steps=[calls("shout"), "HEY!", "Done."]))


async def test_what_a_turn_took_before_it_waited_counts():
    agents = an_agent(limits={"tokens": 250})
    course = replace(BEGINNING, earlier=[{"usage": {"total": 100}}])
    with pytest.raises(TurnLimitReached):
        await agents.ask("desk", "Shout!", steps=[calls("shout"), "HEY!", "Done."], course=course)


async def test_what_another_agent_takes_counts_for_who_asked_it_and_is_bound_by_both():
    agents = an_agent("expert", limits={"tokens": 150})
    ask = {"type": "agent", "tool": "expert", "function": "to_expert"}
    agents.make(Agent, "desk", instructions="You help.", actions=[ask], limits={"tokens": 300})
    steps = [calls("to_expert", message="?"), calls("shout"), "HEY!", "Never said."]
    with pytest.raises(TurnLimitReached):
        await agents.ask("desk", "Shout!", steps=steps)
    assert [(done.call.name, done.outcome) for done in agents.done] == [
        ("shout", "completed"),
        ("to_expert", "turn_tokens_reached"),
    ]


async def test_an_answer_fits_the_agents_schema_and_comes_whole():
    agents = an_agent(response_format=JSON)
    pieces = await agents.ask("desk", "Days?", steps=[("Let me see.", calls("shout")), "HEY!", '{"days": 30}'])
    assert reply_in(pieces).content == '{"days": 30}'
    form = agents.model.requests[0].response_format
    assert form is not None and form["json_schema"]["schema"] == SCHEMA


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_and_forgotten():
    agents = an_agent(response_format=JSON)
    reply = reply_in(await agents.ask("desk", "Days?", steps=['{"days": "30"}', '{"days": [1]}', '{"days": 30}'][1:]))
    assert (reply.content, [each["content"] for each in reply.history]) == ('{"days": 30}', ['{"days": 30}'])
    assert "/days" in agents.model.told()[-1][1]
    with pytest.raises(InvalidOutput):
        await agents.ask("desk", "Days?", steps=["thirty", "thirty"])


async def test_a_prompts_answer_to_an_agent_fits_the_prompts_schema_or_is_asked_for_once_more():
    agents = an_agent()
    agents.make(Prompt, "shout", text="Shout!", response_format=JSON)
    steps = [calls("shout"), '{"days": "30"}', '{"days": 30}', "Thirty.", calls("shout"), "thirty", "30 days", "Hm."]
    for said in ("Thirty.", "Hm."):
        assert reply_in(await agents.ask("desk", "Days?", steps=steps)).content == said
        steps = agents.model.steps[:]
    assert [(done.outcome, done.told) for done in agents.done[:1]] == [("completed", '{"days": 30}')]
    assert agents.done[1].outcome == "invalid_output" and agents.done[1].told.startswith("Error: ")
    action = next(step for step in agents.recording.steps if step.kind == "action")
    inside = [step.kind for step in agents.recording.steps if step.parent == action.number]
    assert inside == ["model_call", "model_call"], "both are part of the action's step"


async def test_a_number_in_brackets_is_no_citation_in_json():
    agents = an_agent(response_format={"type": "json_object"})
    assert reply_in(await agents.ask("desk", "Days?", steps=['{"days": [30]}'])).content == '{"days": [30]}'


async def test_without_a_model_nothing_is_quoted_where_json_is_wanted():
    agents = an_agent(response_format=JSON)
    with pytest.raises(NoModel):
        await agents.ask("desk", "Days?", steps=[])


def test_what_answers_directly_is_given_no_form_by_a_model():
    with pytest.raises(Invalid):
        an_agent(response_format=JSON, actions=[{**SHOUT, "answer_directly": True}])


def test_limits_that_are_not_set_are_not_there():
    agent = an_agent().shelf.things[Agent.create_id("desk")]
    assert set(agent.definition["limits"]) == {"iterations", "seconds", "action_seconds"}
