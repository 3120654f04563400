"""Agents with topics, other agents, limits and guardrails, over HTTP: recorded, streamed and read back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.model_server import ModelServer, Reply
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
