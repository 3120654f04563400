"""What an agent does otherwise where it is talked to by a channel."""

from typing import Any

import pytest

from commands.agents.agent_talk import Course
from commands.conversations.welcoming import welcome_of
from domain.agent import Agent
from domain.citations import CitationFilter
from domain.errors import Invalid
from tests.support.scripted_agents import Agents, calls

SLACK = {"instructions": "Be brief.", "citations": False, "welcome_message": "Yo."}


@pytest.fixture
def agents() -> Agents:
    made = Agents()
    made.make(Agent, "desk", instructions="You help.", welcome_message="Hello.", channels={"slack": SLACK, "web": {}})
    return made


@pytest.mark.parametrize(
    ("channel", "told", "greeted"),
    [
        ("slack", "You help.\n\nBe brief.", "Yo."),
        ("web", "You help.", "Hello."),
        ("api", "You help.", "Hello."),
    ],
)
async def test_a_channel_has_instructions_and_a_welcome_of_its_own(
    agents: Agents, channel: str, told: str, greeted: str
):
    await agents.ask("desk", "Hi", steps=["Hi."], course=Course(channel=channel))
    assert agents.model.told()[0] == ("system", told)
    desk = agents.shelf.things[Agent.create_id("desk")]
    assert isinstance(desk, Agent) and welcome_of(desk, channel) == greeted


async def test_an_agent_that_is_asked_by_another_one_is_on_no_channel(agents: Agents):
    ask = {"type": "agent", "tool": "desk", "function": "to_desk"}
    agents.make(Agent, "front", instructions="You greet.", actions=[ask])
    steps = [calls("to_desk", message="?"), "Yes.", "He says yes."]
    await agents.ask("front", "Hi", steps=steps, course=Course(channel="slack"))
    assert agents.model.told(1)[0] == ("system", "You help.")


@pytest.mark.parametrize(
    ("pieces", "said", "cited"),
    [
        (["Thirty days [1]", ". And [2, ", "1] more."], "Thirty days. And more.", [1, 2]),
        (["Thirty ", " [", "9]", " days"], "Thirty days", []),
        (["A list [x", "] stays "], "A list [x] stays ", []),
    ],
)
def test_markers_that_are_not_shown_leave_no_gap_and_still_cite(pieces: list[str], said: str, cited: list[int]):
    checked = CitationFilter(range(1, 3), shown=False)
    assert "".join([*map(checked.feed, pieces), checked.rest()]) == said
    assert sorted(checked.cited) == cited


def test_blanks_before_what_is_no_marker_are_looked_through_once():
    checked = CitationFilter(range(1, 3), shown=False)
    said = " " * 200_000 + "x"
    assert checked.feed(said) + checked.rest() == said


@pytest.mark.parametrize("name", ["Slack", "", "a b", "x" * 33])
def test_a_channel_has_a_name_that_runs_can_be_counted_by(agents: Agents, name: str):
    wrong: dict[str, Any] = {name: {}}
    with pytest.raises(Invalid):
        agents.make(Agent, "odd", instructions="I.", channels=wrong)
