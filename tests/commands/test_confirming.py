"""What a person is asked before an action is carried out: in plain words, or as its template has it."""

from typing import Any

import pytest

from commands.agents.agent import AgentRules
from commands.agents.confirming import question
from commands.configuration import Change
from commands.models.model_calls import ToolCall
from domain.agent import Agent
from domain.errors import Invalid
from tests.support.fakes import PlainRenderer
from tests.support.rendering import renderer
from tests.support.scripted_agents import SHOUT, Agents, Shelf, calls, pause_in


def call(arguments: str) -> ToolCall:
    return ToolCall(id="c1", name="refund_order", arguments=arguments)


@pytest.mark.parametrize(
    ("arguments", "description", "asked"),
    [
        ('{"order": "A 7", "sum": 12}', "Pays money back.", "Pays money back. (order: A 7; sum: 12)"),
        ("{}", "", "refund order"),
        ("nonsense", "Pays.", "Pays. (nonsense)"),
        ('{"why": "' + "x" * 300 + '"}', "Pays.", f"Pays. (why: {'x' * 200}...)"),
    ],
)
async def test_without_a_template_it_is_asked_by_description_and_arguments(
    arguments: str, description: str, asked: str
):
    assert await question(PlainRenderer(), {}, call(arguments), description) == asked


async def test_a_confirmation_message_is_a_template_of_the_arguments():
    action = {"confirmation_message": "Refund {{ sum }} for {{ order }}?"}
    async with renderer() as made:
        given = call('{"order": "{{ sum }}", "sum": 12}')
        assert await question(made, action, given, "Pays.") == "Refund 12 for {{ sum }}?"
        missing = call('{"sum": 12}')
        assert await question(made, action, missing, "Pays.") == "Pays. (sum: 12)"
        broken: dict[str, Any] = {"instructions": "I.", "actions": [{**SHOUT, "confirmation_message": "{{ sum"}]}
        broken["actions"][0]["tool"] = str(Agent.create_id("any"))
        thing = Agent.create(name="odd", definition=broken)
        with pytest.raises(Invalid) as refusal:
            await AgentRules(renderer=made, things=Shelf(), guards={})(Change(thing=thing, before=None, unit=None))  # type: ignore[arg-type]
        assert refusal.value.errors[0].pointer == "/actions/0/confirmation_message"


async def test_a_pause_has_what_the_person_is_asked():
    agents = Agents()
    action = {**SHOUT, "requires_confirmation": True, "confirmation_message": "Loud?"}
    agents.make(Agent, "desk", instructions="You help.", actions=[action])
    pause = pause_in(await agents.ask("desk", "Shout!", steps=[calls("shout")], confirms=True))
    assert [each["message"] for each in pause.calls] == ["Loud?"]
