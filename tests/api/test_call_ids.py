"""Calls of tools that a provider numbers alike, or not at all: each is a call of its own."""

from tests.api.test_confirmations import SHOUT, decide, talk
from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.talks import Talks

__all__ = ["talk"]


async def test_each_call_of_a_turn_is_confirmed_by_itself_where_their_ids_are_the_same(
    talk: Talks, server: ModelServer
):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Once?", tool_calls=[SHOUT]))
    first = await talk.say(path, "Shout twice.")
    server.script_for("chat-model", Reply(text="HEY!"), Reply(text="Twice?", tool_calls=[SHOUT]))
    second = (await decide(talk, path, first, True)).json()
    assert second["turn"]["state"] == "awaiting_confirmation"
    assert second["confirmations"][0]["id"] != first["confirmations"][0]["id"]
    server.script_for("chat-model", Reply(text="HEY AGAIN!"), Reply(text="Done."))
    last = (await decide(talk, path, second, True)).json()
    assert last["turn"]["state"] == "completed", last
    told = [each["content"] for each in server.last.body["messages"] if each["role"] == "tool"]
    assert told == ["HEY!", "HEY AGAIN!"]
    [turn] = (await talk.see(path))["turns"]
    assert [(each["function"], each["outcome"]) for each in turn["actions"]] == [("shout", "completed")] * 2


async def test_calls_of_one_answer_with_the_same_id_are_told_apart(talk: Talks, server: ModelServer):
    twice = [ToolCalled(name="shout", arguments={"words": word}, id="same") for word in ("a", "b")]
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Both?", tool_calls=twice))
    answer = await talk.say(path, "Shout twice.")
    assert [each["arguments"] for each in answer["confirmations"]] == ['{"words": "a"}', '{"words": "b"}']
    one, other = answer["confirmations"]
    assert one["id"] != other["id"]
    body = {"id": one["id"], "approved": False}
    still = (await talk.call("POST", f"{path}/confirmations", body)).json()
    assert still["turn"]["state"] == "awaiting_confirmation"
    server.script_for("chat-model", Reply(text="B!"), Reply(text="Done."))
    done = (await talk.call("POST", f"{path}/confirmations", {"id": other["id"], "approved": True})).json()
    assert done["turn"]["state"] == "completed", done
    messages = server.last.body["messages"]
    [asked] = [each["tool_calls"] for each in messages if each.get("tool_calls")]
    told = {each["tool_call_id"]: each["content"] for each in messages if each["role"] == "tool"}
    assert len({call["id"] for call in asked}) == 2
    by_words = {call["function"]["arguments"]: told[call["id"]] for call in asked}
    assert "not agreed" in by_words['{"words": "a"}'] and by_words['{"words": "b"}'] == "B!"
