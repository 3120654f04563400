"""Research over HTTP: streamed, recorded and shown as it goes on, and gone on with after its process is gone."""

import json
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, said, talks, types

SEARCHER = {"name": "scholar", "instructions": "You know.", "actions": [ACTIONS[1]], "research": {"at_once": 1}}


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent that looks into questions, over two documents."""
    async with talks(magnet, server) as made:
        await magnet.do("POST", "/v1/agents", SEARCHER)
        yield made


def asks(*questions: str) -> Reply:
    return Reply(text=json.dumps({"questions": questions}))


def finds(query: str) -> Reply:
    return Reply(tool_calls=[ToolCalled(name="find_passages", arguments={"query": query}, id=query)])


async def test_what_is_planned_noted_and_missing_is_streamed_recorded_and_shown(talk: Talks, server: ModelServer):
    notes, answer = Reply(text="Thirty days [1]."), Reply(text="Thirty days a year [1].")
    server.script_for("chat-model", asks("How many days?"), finds("holidays"), notes, asks(), answer)
    path = await talk.begin("scholar", subject="ada")
    events = await talk.streamed(path, "Holidays?")
    assert [type for type, _ in groupby(types(events))] == [
        "turn.started",
        "research.planned",
        "tool.started",
        "tool.completed",
        "research.noted",
        "research.reflected",
        "message.delta",
        "citation",
        "turn.completed",
    ]
    assert said(events) == "Thirty days a year [1]."
    told = dict(events)
    assert told["research.planned"]["questions"] == ["How many days?"]
    assert told["research.noted"]["notes"] == "Thirty days [1]."
    assert told["research.reflected"]["enough"] is True
    assert told["turn.completed"]["research"] == {
        "ended": "enough", "questions": 1, "noted": 1, "noted_before": 0, "steps": 1
    }  # fmt: skip
    assert told["citation"]["citation"]["title"] == "Leave"
    [turn] = (await talk.see(path))["turns"]
    assert turn["research"]["ended"] == "enough"
    [question] = turn["research"]["questions"]
    assert (question["question"], question["notes"], turn["research"]["enough"]) == (
        "How many days?",
        "Thirty days [1].",
        True,
    )
    assert [(each["number"], each["title"]) for each in question["passages"]] == [(1, "Leave")]
    for name, personal in (
        ("planned", {"questions": "[personal]"}),
        ("noted", {"question": "[personal]", "notes": "[personal]", "passages": "[personal]"}),
        ("reflected", {"questions": "[personal]"}),
    ):
        recorded = await talk.magnet.client.get("/v1/events", params={"type": f"conversation.research_{name}"})
        [event] = recorded.json()["items"]
        assert personal.items() <= event["data"].items()
    recorded = await talk.magnet.client.get("/v1/events", params={"type": "conversation.research_spent"})
    spent = [event["data"]["tokens"] for event in recorded.json()["items"]]
    run = await talk.run(told["turn.completed"]["run_id"])
    assert len(spent) == 3 and spent == sorted(spent), "after the plan, the notes and the reflection"
    assert 0 < spent[0] < spent[-1] < run["usage"]["total"], "the answer is no part of it"


async def test_after_its_process_is_gone_a_retry_goes_on_from_what_was_noted(
    magnet: Running, talk: Talks, server: ModelServer
):
    gate = Gate()
    held = Reply(text="Never noted.", gate=gate)
    server.script_for(
        "chat-model", asks("How many days?", "When is lunch?"), finds("holidays"), Reply(text="Thirty [1]."), held
    )
    path = await talk.begin("scholar", subject="ada")
    turn = await talk.start(path, "Holidays and lunch?")
    await server.until(lambda: len([each for each in server.requests if "chat" in each.path and each.pieces]) == 4)
    async with serving(magnet.database, Path(magnet.container.settings.home)) as other:
        async with magnet.container.pool.connection() as connection:
            await connection.execute("UPDATE magnet.leases SET until = now() - interval '1 second'")
        await other.container.leases.sweep()
        before = len(server.requests)
        server.script_for(
            "chat-model", finds("lunch"), Reply(text="Noon [1]."), asks(), Reply(text="30 [1], noon [2].")
        )
        answer = await other.do("POST", f"{turn}/retry")
        assert answer["message"]["content"] == "30 [1], noon [2]."
        assert [each["title"] for each in answer["message"]["citations"]] == ["Leave", "Canteen"]
    asked = [each.body["messages"] for each in server.requests[before:] if "chat" in each.path]
    assert len(asked) == 4, "what was planned and noted is not asked for again"
    assert "The sub-question: When is lunch?" in asked[0][1]["content"]
    cut_off, tried_again = (await talk.see(path))["turns"]
    assert (cut_off["state"], [each["notes"] for each in cut_off["research"]["questions"]]) == (
        "interrupted",
        ["Thirty [1].", None],
    )
    assert [each["notes"] for each in tried_again["research"]["questions"]] == ["Thirty [1].", "Noon [2]."]
    run = await talk.run(answer["run_id"])
    assert [step["name"] for step in run["steps"] if step["kind"] == "research"] == ["question", "reflect"]
    gate.open()


async def test_without_a_chat_model_the_turn_says_so(magnet: Running):
    async with talks(magnet, None) as talk:
        await magnet.do("POST", "/v1/agents", SEARCHER)
        answer = await talk.post(await talk.begin("scholar"), "Holidays?")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_model")
