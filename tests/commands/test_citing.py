"""What an agent cites: numbers in brackets are markers where it may be given passages, and text elsewhere."""

import pytest

from domain.agent import Agent
from tests.support.scripted_agents import SHOUT, Agents, calls, reply_in

CODE = "Use `sys.argv[0]`:\n\n```python\nrows = [[1, 2], [3, 4]]\nfirst = rows[0][1]\n```\nThen go on"


def an_agent(*actions: dict[str, object]) -> Agents:
    made = Agents()
    made.make(Agent, "helper", instructions="You help.")
    made.make(Agent, "desk", instructions="You help.", actions=list(actions))
    return made


@pytest.mark.parametrize(
    ("actions", "said", "told", "invented"),
    [
        ([{"type": "agent", "tool": "helper"}], f"{CODE} [3].", f"{CODE} .", 1),
        ([SHOUT], f"{CODE} [3].", f"{CODE} [3].", 0),
        ([], "print(sys.argv[0]); a = [0] * 5", "print(sys.argv[0]); a = [0] * 5", 0),
    ],
)
async def test_code_comes_as_it_was_said_and_only_who_may_be_given_passages_invents_citations(
    actions: list[dict[str, object]], said: str, told: str, invented: int
):
    reply = reply_in(await an_agent(*actions).ask("desk", "How?", steps=[said]))
    assert (reply.content, reply.citations) == (told, [])
    assert reply.details["invented_citations"] == invented


async def test_what_answers_directly_and_found_nothing_is_said_as_it_is():
    agents = an_agent({**SHOUT, "answer_directly": True}, {"type": "agent", "tool": "helper", "answer_directly": True})
    said = reply_in(await agents.ask("desk", "Numbers!", steps=[calls("shout"), '{"rows": [1, 2], "next": [3]}']))
    assert said.content == '{"rows": [1, 2], "next": [3]}'
