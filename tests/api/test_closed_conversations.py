"""Conversations that end by themselves, and what is made of conversations by models: titles, and what was found."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.api.test_subjects import CANARY, database_holds, erase
from tests.support.model_server import ModelServer, Reply, ToolCalled, server_error
from tests.support.model_server.steps import refused
from tests.support.patience import PATIENCE
from tests.support.server import Running
from tests.support.talks import Talks, talks

FOUND = {"sentiment": "positive", "resolution": "resolved", "language": "en", "summary": f"Thirty days, {CANARY}."}
BYE = ToolCalled(name="close_conversation", arguments={}, id="c9")


async def set_agent(talk: Talks, **settings: Any) -> None:
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", settings)


async def runs_of(talk: Talks, kind: str) -> list[Any]:
    talk.magnet.position = await talk.magnet.container.log.head()
    return list((await talk.magnet.get(f"/v1/runs?kind={kind}"))["items"])


async def test_a_conversation_is_closed_when_nothing_was_said_for_as_long_as_its_agent_waits(
    talk: Talks, server: ModelServer
):
    earlier = await talk.begin()
    server.script_for("chat-model", Reply(text="Thirty."))
    await talk.say(earlier, "How many?")
    assert await talk.magnet.container.reached("conversations_v1", await talk.magnet.container.log.head(), PATIENCE)
    await set_agent(talk, close_after=1)
    later = await talk.begin()
    for path in (earlier, later):
        seen = await talk.until(path, lambda it: it["status"] == "closed")
        assert seen["closed_by"] == "idle"
    refusal = await talk.post(later, "Still there?")
    assert (refusal.status_code, refusal.json()["code"]) == (409, "conversation_closed")


async def test_an_agent_closes_with_its_last_words_and_what_was_said_is_looked_at_once(
    talk: Talks, server: ModelServer
):
    await set_agent(talk, may_close=True, post_processing={})
    path = await talk.begin(subject="ada")
    wrong = Reply(text=orjson.dumps({**FOUND, "sentiment": "glad"}).decode())
    server.script_for(
        "chat-model", Reply(text=f"Bye, {CANARY}!", tool_calls=[BYE]), wrong, Reply(text=orjson.dumps(FOUND).decode())
    )
    answer = await talk.say(path, "That was all, thanks.")
    assert (answer["turn"]["state"], answer["message"]["content"]) == ("completed", f"Bye, {CANARY}!")
    offered = next(each.body["tools"] for each in server.requests if each.body.get("tools"))
    assert offered[-1]["function"]["name"] == "close_conversation"
    seen = await talk.until(path, lambda it: it["processing"])
    assert (seen["status"], seen["closed_by"]) == ("closed", "agent")
    assert {name: seen["processing"][name] for name in FOUND} == FOUND
    assert "does not fit at '/sentiment'" in server.last.body["messages"][-1]["content"]
    assert "That was all, thanks." in server.last.body["messages"][1]["content"]
    assert server.last.body["response_format"]["type"] == "json_schema"
    [run] = await runs_of(talk, "post_processing")
    assert (run["id"], run["outcome"], run["target"]["name"]) == (seen["processing"]["run_id"], "completed", "helper")
    used = await talk.magnet.get("/v1/usage?by=kind")
    assert run["usage"]["total"] > 0
    assert {each["kind"]: each["usage"]["total"] for each in used["items"]}["post_processing"] == run["usage"]["total"]
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == []
    await erase(talk, "ada")
    assert CANARY not in str(await talk.see(path))
    fork = await talk.call("POST", f"{path}/fork", {})
    assert fork.status_code == 409, "nothing new is recorded for who was erased"


async def test_the_answer_with_which_an_agent_closes_says_where_it_stands_in_the_log(talk: Talks, server: ModelServer):
    await set_agent(talk, may_close=True)
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Bye!", tool_calls=[BYE]))
    answer = await talk.say(path, "Thanks.")
    events = (await talk.magnet.get("/v1/events?kind=conversation"))["items"]
    [end] = [each for each in events if each["type"] == "conversation.turn_completed"]
    assert events[-1]["type"] == "conversation.closed"
    told = (answer["version"], answer["position"])
    assert told == (end["version"], end["position"]), "as everybody who reads it from the log is told"


async def test_of_who_was_erased_nothing_is_looked_at_and_nothing_is_tried_again(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada")
    server.script_for("chat-model", Reply(text="Thirty."))
    await talk.say(path, "How many?")
    await set_agent(talk, post_processing={})
    await erase(talk, "ada")
    await talk.magnet.do("POST", f"{path}/close")
    async with asyncio.timeout(PATIENCE):
        while await talk.magnet.container.jobs.waiting("post_processing", [path[-36:]]):
            await asyncio.sleep(0.01)
    assert (await talk.see(path))["processing"] is None
    assert await runs_of(talk, "post_processing") == []


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ((Reply(text="Well."), Reply(text="Hm.")), "invalid_output"),
        ((refused(400, "invalid_request_error", "No."),) * 5, "model_request_refused"),
    ],
)
async def test_what_can_not_be_looked_at_is_noted_with_its_reason(
    talk: Talks, server: ModelServer, replies: Any, code: str
):
    talk.magnet.container.jobs._first_pause = 0.01
    await set_agent(talk, post_processing={})
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Thirty."), *replies)
    await talk.say(path, "How many?")
    await talk.magnet.do("POST", f"{path}/close")
    seen = await talk.until(path, lambda it: it["processing"])
    assert (seen["processing"]["error"]["code"], seen["processing"]["summary"]) == (code, None)
    runs = await runs_of(talk, "post_processing")
    assert {run["outcome"] for run in runs} == {"failed"}
    assert len(runs) == (1 if code == "invalid_output" else 5)


async def test_a_title_is_given_after_the_first_answer_by_a_prompt_or_else_the_first_words(
    talk: Talks, server: ModelServer
):
    talk.magnet.container.jobs._first_pause = 0.01
    text = "Name this: {{ conversation }}"
    await talk.magnet.do("POST", "/v1/prompts", {"name": "name-it", "text": text, "variables": {"conversation": {}}})
    await set_agent(talk, titles={"prompt": "name-it"})
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Thirty."), server_error(), Reply(text='"Days\n of leave"'))
    await talk.say(path, "How many?")
    seen = await talk.until(path, lambda it: it["title"])
    assert seen["title"] == "Days of leave"
    assert server.last.body["messages"][-1]["content"] == "Name this: Person: How many?\n\nAgent: Thirty."
    assert (await runs_of(talk, "title"))[0]["outcome"] == "completed"
    mine = await talk.begin()
    server.script_for("chat-model", Reply(text="Yes."))
    await talk.magnet.do("POST", f"{mine}/title", {"title": "Mine"})
    await talk.say(mine, "Really?")
    assert (await talk.see(mine))["title"] == "Mine"


async def test_without_a_model_the_first_words_are_the_title_and_nothing_is_found(magnet: Running):
    async with talks(magnet, None, titles={}, post_processing={}) as talk:
        path = await talk.begin()
        await talk.say(path, "How many days of holidays are there?")
        assert (await talk.until(path, lambda it: it["title"]))["title"] == "How many days of holidays are there?"
        await talk.magnet.do("POST", f"{path}/close")
        seen = await talk.until(path, lambda it: it["processing"])
        assert seen["processing"]["error"]["code"] == "no_model"
