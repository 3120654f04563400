"""What a model is told of what was said before: all, the last messages, or those after a summary that is kept."""

from typing import Any

import pytest

from commands.agents import summaries
from commands.agents.summaries import Remembered
from commands.models.model_calls import ModelCallFailed
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_course import summarize
from domain.errors import Invalid
from domain.prompt import Prompt
from domain.turn import Reply
from tests.domain.test_conversation import AGENT, a_conversation
from tests.support.scripted_agents import Agents


def said(conversation: Conversation, count: int) -> str:
    """Have so many messages more answered, then one said; return its turn."""
    for _ in range(count):
        number = len(conversation.turns) + 1
        turn = conversation.post(content=f"q{number}", agent=AGENT)
        history = [{"role": "assistant", "content": f"a{number}"}]
        conversation.complete(turn, Reply(content=f"a{number}", history=history))
    return conversation.post(content="now", agent=AGENT)


async def remembered(
    memory: dict[str, Any], conversation: Conversation, turn: str, *steps: Any, agents: Agents | None = None
) -> Remembered:
    """Return what is told, and keep a summary that was made."""
    agents = agents or Agents()
    agents.make(Agent, "desk", instructions="You help.", memory=memory)
    agents.model.steps[:] = steps
    found = await agents.memory.of(agents.recording, await agents.chosen("desk"), conversation, turn)
    if found.summary is not None and found.upto is not None:
        summarize(conversation, turn, upto=found.upto, summary=found.summary)
    conversation.complete(turn, Reply(content="ok", history=[{"role": "assistant", "content": "ok"}]))
    return found


def texts(found: Remembered) -> list[str]:
    return [message["content"] for message in found.messages]


@pytest.mark.parametrize(("n", "told"), [(1, []), (2, ["q3", "a3"]), (9, ["q1", "a1", "q2", "a2", "q3", "a3"])])
async def test_of_the_last_n_messages_the_newest_is_one(n: int, told: list[str]):
    conversation = a_conversation()
    turn = said(conversation, 3)
    assert texts(await remembered({"strategy": "last_n", "n": n}, conversation, turn)) == told


async def test_what_is_older_than_the_last_n_is_told_in_short():
    agents, conversation = Agents(), a_conversation()
    turn = said(conversation, 4)
    memory = {"strategy": "summary", "n": 2, "tokens": 100}
    found = await remembered(memory, conversation, turn, "They greeted.", agents=agents)
    assert texts(found) == [summaries.TOLD.format(summary="They greeted."), "q4", "a4"]
    assert conversation.summary == {"upto": list(conversation.turns)[2], "text": "They greeted."}
    asked = agents.model.requests[0]
    assert asked.parameters["max_tokens"] == 100
    assert "person: q1\nassistant: a1" in agents.model.told()[-1][1]
    assert "q4" not in agents.model.told()[-1][1]
    [step] = [step for step in agents.recording.steps if step.kind == "summary"]
    assert (step.outcome, step.note) == ("completed", {"turns": 3})


async def test_a_summary_is_made_once_and_goes_on_from_the_one_before():
    agents, conversation = Agents(), a_conversation()
    memory = {"strategy": "summary", "n": 4}
    await remembered(memory, conversation, said(conversation, 6), "Six things.", agents=agents)
    assert len(agents.model.requests) == 1
    for _ in range(2):
        found = await remembered(memory, conversation, said(conversation, 0), agents=agents)
        assert texts(found)[0].endswith("Six things.")
    assert len(agents.model.requests) == 1, "the last n and a half are told as they were said"
    found = await remembered(memory, conversation, said(conversation, 0), "Nine things.", agents=agents)
    assert "Six things." in agents.model.told()[-1][1]
    assert (texts(found)[0].endswith("Nine things."), len(found.messages)) == (True, 7)


async def test_where_no_summary_can_be_made_nothing_is_missing():
    agents, conversation = Agents(), a_conversation()
    turn = said(conversation, 4)
    found = await remembered({"strategy": "summary", "n": 2}, conversation, turn, ModelCallFailed(), agents=agents)
    assert texts(found) == ["q1", "a1", "q2", "a2", "q3", "a3", "q4", "a4"]
    assert conversation.summary is None
    assert [step.outcome for step in agents.recording.steps if step.kind == "summary"] == ["model_call_failed"]


async def test_a_summary_is_no_longer_than_it_may_be():
    agents, conversation = Agents(), a_conversation()
    found = await remembered(
        {"strategy": "summary", "n": 1, "tokens": 20}, conversation, said(conversation, 1), "x" * 500, agents=agents
    )
    assert found.summary == "x" * 80
    assert [step.note for step in agents.recording.steps if step.kind == "summary"] == [{"turns": 1, "cut": True}]


async def test_much_is_put_in_short_call_by_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(summaries, "AT_ONCE", 30)
    agents, conversation = Agents(), a_conversation()
    found = await remembered(
        {"strategy": "summary", "n": 1}, conversation, said(conversation, 2), "One.", "Two.", agents=agents
    )
    assert found.summary == "Two."
    assert ["One." in text for _, text in (agents.model.told(number)[-1] for number in range(2))] == [False, True]


async def test_a_summary_may_be_made_by_a_prompt_of_its_own():
    agents, conversation = Agents(), a_conversation()
    agents.make(Prompt, "shorten", text="Shorten.")
    memory = {"strategy": "summary", "n": 1, "prompt": "shorten"}
    await remembered(memory, conversation, said(conversation, 1), "Short.", agents=agents)
    assert agents.model.told(0) == [("user", "Shorten.")]


def test_what_makes_a_summary_goes_with_summaries():
    with pytest.raises(Invalid):
        Agents().make(Agent, "odd", instructions="I.", memory={"tokens": 100})
