"""Agents with topics, other agents, limits and guardrails, over HTTP: recorded, streamed and read back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.server import Running
from tests.support.talks import ACTIONS, Talks, talks, types


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words") as running:
        yield running


@pytest.fixture
async def talk(magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent over two documents, and its models."""
    async with talks(magnet, server) as made:
        yield made


async def test_a_topic_is_chosen_recorded_streamed_and_kept(talk: Talks, server: ModelServer):
    topics = [
        {"name": "leave", "description": "Holidays.", "actions": [ACTIONS[1]]},
        {"name": "lunch", "description": "The canteen.", "actions": [ACTIONS[2]]},
    ]
    body = {"name": "desk", "instructions": "You help.", "topics": topics, "classification": {}}
    await talk.magnet.do("POST", "/v1/agents", body)
    choice = {"intent": "topic", "topic": "lunch"}
    server.script_for("chat-model", Reply(text=json.dumps(choice)), Reply(text="At noon."))
    path = await talk.begin("desk")
    events = await talk.streamed(path, "When is lunch?")
    assert types(events)[:2] == ["turn.started", "topic.chosen"]
    assert {**choice, "fell_back": False}.items() <= events[1][1].items()
    seen = await talk.see(path)
    assert (seen["topic"], seen["turns"][0]["topic"]) == ("lunch", {**choice, "fell_back": False})
    run = await talk.run(events[-1][1]["run_id"])
    assert [step["kind"] for step in run["steps"] if step["parent"] is None] == ["classification", "model_call"]
    recorded = await talk.magnet.client.get("/v1/events", params={"type": "conversation.topic_chosen"})
    [event] = recorded.json()["items"]
    assert event["data"] == {"turn": seen["turns"][0]["id"], **choice, "fell_back": False}


async def test_a_conversation_is_handed_off_and_goes_on_with_the_other_agent(talk: Talks, server: ModelServer):
    await talk.magnet.do("POST", "/v1/agents", {"name": "expert", "instructions": "You know.", "actions": [ACTIONS[2]]})
    over = {"type": "agent", "tool": "expert", "function": "to_expert", "hand_off": True}
    await talk.magnet.do("POST", "/v1/agents", {"name": "front", "instructions": "You greet.", "actions": [over]})
    hand = ToolCalled(name="to_expert", arguments={"message": "Taxes."}, id="c1")
    server.script_for("chat-model", Reply(tool_calls=[hand]), Reply(text="Ask me."), Reply(text="Still me."))
    path = await talk.begin("front")
    events = await talk.streamed(path, "Taxes?")
    assert types(events)[:4] == ["turn.started", "tool.started", "tool.completed", "agent.handed_off"]
    assert events[3][1]["agent"]["name"] == "expert"
    answer = await talk.say(path, "Who are you?")
    assert server.last.body["messages"][0] == {"role": "system", "content": "You know."}
    seen = await talk.see(path)
    assert (seen["agent"]["name"], seen["answering"]["name"]) == ("front", "expert")
    assert (seen["turns"][0]["handed_to"]["name"], seen["turns"][1]["agent"]["name"]) == ("expert", "expert")
    assert (await talk.run(answer["run_id"]))["target"]["name"] == "expert"
    in_use = await talk.call("DELETE", "/v1/agents/expert")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "in_use")


async def test_a_summary_is_recorded_and_told_instead_of_the_messages(talk: Talks, server: ModelServer):
    memory = {"strategy": "summary", "n": 1}
    await talk.magnet.do("POST", "/v1/agents", {"name": "desk", "instructions": "You help.", "memory": memory})
    server.script_for("chat-model", Reply(text="Hello Ada."), Reply(text="Ada greeted."), Reply(text="You are Ada."))
    path = await talk.begin("desk", subject="ada")
    await talk.say(path, "I am Ada.")
    answer = await talk.say(path, "Who am I?")
    assert [message["role"] for message in server.last.body["messages"]] == ["system", "system", "user"]
    assert "Ada greeted." in server.last.body["messages"][1]["content"]
    seen = await talk.see(path)
    assert seen["summary"] == {"upto": seen["turns"][0]["id"], "text": "Ada greeted."}
    run = await talk.run(answer["run_id"])
    assert [step["kind"] for step in run["steps"] if step["parent"] is None] == ["summary", "model_call"]
    recorded = await talk.magnet.client.get("/v1/events", params={"type": "conversation.summarized"})
    assert [event["data"]["summary"] for event in recorded.json()["items"]] == ["[personal]"]


async def test_a_conversation_is_held_by_the_channel_that_it_was_begun_with(talk: Talks, server: ModelServer):
    slack = {"slack": {"citations": False, "welcome_message": "Yo."}}
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"channels": slack})
    find = ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="c1")
    server.script_for("chat-model", Reply(tool_calls=[find]), Reply(text="Thirty days [1]."))
    path = await talk.begin(channel="slack")
    answer = await talk.say(path, "How many?")
    assert answer["message"]["content"] == "Thirty days."
    assert [each["marker"] for each in answer["message"]["citations"]] == ["[1]"]
    seen = await talk.see(path)
    assert (seen["channel"], seen["welcome_message"]) == ("slack", "Yo.")
    assert (await talk.run(answer["run_id"]))["channel"] == "slack"
