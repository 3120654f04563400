"""Actions that a person must agree to: asked for, decided once, and gone on from."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api.test_turns import asked, held, one_end
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, said, talks, types

SEARCH = ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="c1")
SHOUT = ToolCalled(name="shout", arguments={"words": "hey"}, id="c2")
ASKS = Reply(text="Shall I shout [1]?", tool_calls=[SEARCH, SHOUT])


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent that must ask before it shouts."""
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, server, actions=actions) as made:
        yield made


@pytest.fixture
async def elsewhere(magnet: Running, talk: Talks) -> AsyncIterator[Talks]:
    """Another process on the same database."""
    async with serving(magnet.database, Path(magnet.container.settings.home)) as other:
        yield Talks(magnet=other, books=talk.books)


async def waiting(talk: Talks, server: ModelServer) -> tuple[str, Any]:
    """Have an agent ask for a confirmation; return the conversation's path, and what is told."""
    server.script_for("chat-model", Reply(tool_calls=[SEARCH]), ASKS)
    path = await talk.begin()
    answer = await talk.say(path, "Find it and shout.")
    assert answer["turn"]["state"] == "awaiting_confirmation"
    return path, answer


async def decide(talk: Talks, path: str, answer: Any, approved: bool, **more: Any) -> Any:
    """Decide on the first that is asked for."""
    body = {"id": answer["confirmations"][0]["id"], "approved": approved, **more}
    return await talk.call("POST", f"{path}/confirmations", body)


async def test_what_needs_a_confirmation_waits_for_it_and_the_rest_is_done(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    [asked_for] = answer["confirmations"]
    assert (asked_for["function"], asked_for["arguments"]) == ("shout", '{"words": "hey"}')
    assert asked_for["message"] == "Runs a prompt. (words: hey)"
    assert answer["message"]["content"] == "Shall I shout [1]?"
    assert [each["marker"] for each in answer["message"]["citations"]] == ["[1]"]
    seen = await talk.see(path)
    assert (seen["status"], seen["state"]) == ("open", "awaiting_confirmation")
    assert [(each["id"], each["approved"]) for each in seen["confirmations"]] == [(asked_for["id"], None)]
    assert [each["function"] for each in seen["turns"][0]["actions"]] == ["find_passages", "find_passages"]
    run = await talk.run(answer["run_id"])
    assert (run["outcome"], run["usage"]) == ("completed", answer["usage"])


async def test_a_confirmed_action_is_done_and_the_turn_goes_on(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    server.script_for("chat-model", Reply(text="HEY!"), Reply(text="I have shouted [2]."))
    decided = await decide(talk, path, answer, True)
    assert decided.status_code == 200, decided.text
    done = decided.json()
    assert (done["turn"], done["message"]["id"]) == (
        {"id": answer["turn"]["id"], "state": "completed"},
        answer["message"]["id"],
    )
    assert done["message"]["content"] == "Shall I shout [1]?\n\nI have shouted [2]."
    assert [each["marker"] for each in done["message"]["citations"]] == ["[1]", "[2]"]
    assert [each["outcome"] for each in done["message"]["tool_calls"]] == ["completed"] * 3
    told = server.last.body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "tool", "assistant", "tool", "tool"]
    assert {message["tool_call_id"]: message["content"] for message in told[5:]}["c2"] == "HEY!"
    assert done["run_id"] != answer["run_id"]
    run = await talk.run(done["run_id"])
    assert (run["outcome"], run["usage"]) == ("completed", done["usage"])
    seen = await talk.see(path)
    assert seen["turns"][0]["earlier_runs"] == [answer["run_id"]]
    assert seen["confirmations"][0]["approved"] is True
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]


async def test_a_declined_action_is_not_done_and_the_model_is_told_so(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    server.script_for("chat-model", Reply(text="As you wish."), Reply(text="Still no."))
    done = (await decide(talk, path, answer, False, comment="Too loud.")).json()
    assert done["message"]["content"].endswith("As you wish.")
    assert done["message"]["tool_calls"][-1]["outcome"] == "declined"
    told = server.last.body["messages"][-1]["content"]
    assert "not done" in told and told.endswith("Too loud.")
    assert (await talk.see(path))["confirmations"][0]["comment"] == "Too loud."
    await talk.say(path, "And now?")
    assert told in [message["content"] for message in server.last.body["messages"]]
    assert server.left == 0


async def test_typing_instead_of_confirming_declines_what_was_pending(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    server.script_for("chat-model", Reply(text="Fine."))
    assert (await talk.say(path, "Forget it."))["message"]["content"] == "Fine."
    seen = await talk.see(path)
    assert [turn["state"] for turn in seen["turns"]] == ["cancelled", "completed"]
    assert seen["confirmations"][0]["approved"] is False
    assert [message["content"] for message in seen["messages"]] == [
        "Find it and shout.",
        "Shall I shout [1]?",
        "Forget it.",
        "Fine.",
    ]
    told = server.last.body["messages"]
    calls = [call["id"] for message in told for call in message.get("tool_calls", [])]
    results = [message["tool_call_id"] for message in told if message["role"] == "tool"]
    assert sorted(calls) == sorted(results)
    late = await decide(talk, path, answer, True)
    assert (late.status_code, late.json()["code"]) == (409, "confirmation_decided")


async def test_the_same_confirmation_twice_runs_once(talk: Talks, elsewhere: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    gate = Gate()
    server.script_for("chat-model", held("HEY!", gate), Reply(text="Done."))
    deciding = [asyncio.create_task(decide(each, path, answer, True)) for each in (talk, elsewhere, talk, elsewhere)]
    await asked(server, 3)
    gate.open()
    answers = await asyncio.gather(*deciding)
    answers += [await decide(each, path, answer, True) for each in (talk, elsewhere)]
    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == 1
    assert [each["id"] for each in (await talk.see(path))["turns"][0]["actions"]] == ["c1", "c1", "c2"]
    assert server.left == 0
    other = await decide(talk, path, answer, False)
    assert (other.status_code, other.json()["code"]) == (409, "confirmation_decided")


async def test_several_confirmations_are_decided_one_by_one(talk: Talks, server: ModelServer):
    calls = [ToolCalled(name="shout", arguments={"words": word}, id=word) for word in ("a", "b")]
    server.script_for("chat-model", Reply(tool_calls=calls), Reply(text="A!"), Reply(text="Done."))
    path = await talk.begin()
    first = await talk.say(path, "Shout twice.")
    assert [each["call"] for each in first["confirmations"]] == ["a", "b"]
    decision = {"id": first["confirmations"][0]["id"], "approved": True, "background": True}
    told = await talk.call("POST", f"{path}/confirmations", decision, Idempotency_Key="k", If_Match='"3"')
    still = told.json()
    assert (told.status_code, still["turn"]["state"]) == (200, "awaiting_confirmation")
    assert [each["call"] for each in still["confirmations"]] == ["b"], "what is decided is not asked for any more"
    seen = await talk.see(path)
    assert (still["version"], told.headers["etag"]) == (seen["version"], f'"{seen["version"]}"')
    assert still["position"] == int(told.headers["magnet-position"]) > first["position"], "the decision's own"
    again = await talk.call("POST", f"{path}/confirmations", decision, Idempotency_Key="k", If_Match='"3"')
    assert (again.content, again.headers["idempotent-replay"]) == (told.content, "true")
    body = {"id": first["confirmations"][1]["id"], "approved": False}
    done = await talk.magnet.do("POST", f"{path}/confirmations", body)
    assert {each["id"]: each["outcome"] for each in done["message"]["tool_calls"]} == {
        "a": "completed",
        "b": "declined",
    }


async def test_each_run_of_a_turn_has_a_stream_with_one_end_of_its_own(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    server.script_for("chat-model", Reply(tool_calls=[SEARCH]), ASKS, Reply(text="HEY!"), Reply(text="I have shouted."))
    path = await talk.begin()
    first = await talk.streamed(path, "Find it and shout.")
    kind, end = one_end(first)
    assert kind == "turn.awaiting_confirmation"
    assert types(first).count("confirmation.requested") == 1
    turn = f"{path}/turns/{end['turn']['id']}"
    assert await talk.follow(turn) == await elsewhere.follow(turn) == first
    answer = await decide(talk, path, end, True, stream=True)
    ids = [line.removeprefix("id: ") for line in answer.text.splitlines() if line.startswith("id: ")]
    second = await talk.follow(turn)
    assert ids == [f"2.{number}" for number in range(1, len(second) + 1)]
    kind, end = one_end(second)
    assert (kind, said(second)) == ("turn.completed", "\n\nI have shouted.")
    assert end["message"]["content"] == "Shall I shout [1]?\n\nI have shouted."
    assert await elsewhere.follow(turn) == second
    resumed = await elsewhere.call("GET", f"{turn}/stream", Last_Event_ID="2.2")
    assert resumed.text.startswith("id: 2.3\n")
    before = await elsewhere.call("GET", f"{turn}/stream", Last_Event_ID=str(len(first)))
    assert before.text.startswith("id: 2.1\n"), "who saw the first run to its end is told all of the second"


async def test_a_repeat_of_the_message_is_answered_as_before_also_when_the_turn_has_gone_on(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    server.script_for("chat-model", ASKS, Reply(text="HEY!"), Reply(text="Done."))
    path = await talk.begin()
    body = {"content": "Find it and shout."}
    first = await talk.call("POST", f"{path}/messages", body, Idempotency_Key="m")
    decided = await decide(talk, path, first.json(), True)
    assert decided.status_code == 200
    for each in (talk, elsewhere):
        again = await each.call("POST", f"{path}/messages", body, Idempotency_Key="m")
        assert again.content == first.content


async def test_what_waits_can_be_cancelled_and_closing_declines_it(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    retried = await talk.call("POST", f"{path}/turns/{answer['turn']['id']}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "nothing_to_retry")
    cancelled = await talk.magnet.do("POST", f"{path}/turns/{answer['turn']['id']}/cancel")
    assert cancelled["turn"]["state"] == "cancelled"
    assert (await talk.see(path))["state"] == "cancelled"
    path, answer = await waiting(talk, server)
    await talk.magnet.do("POST", f"{path}/close")
    seen = await talk.see(path)
    assert (seen["status"], seen["state"], seen["confirmations"][0]["approved"]) == ("closed", "cancelled", False)


async def test_what_fails_after_a_confirmation_keeps_what_was_said_and_done_and_history_stays_valid(
    talk: Talks, server: ModelServer
):
    path, answer = await waiting(talk, server)
    server.script_for("chat-model", Reply(text="HEY!"), Reply(text="one two three", stop_after=2), Reply(text="Hm."))
    failed = await decide(talk, path, answer, True)
    assert (failed.status_code, failed.json()["turn"]["state"]) == (502, "failed")
    seen = await talk.see(path)
    assert seen["messages"][1]["content"] == "Shall I shout [1]?\n\none two"
    assert [each["id"] for each in seen["turns"][0]["actions"]] == ["c1", "c1", "c2"]
    await talk.say(path, "What now?")
    told = server.last.body["messages"]
    results = {message["tool_call_id"]: message["content"] for message in told if message["role"] == "tool"}
    assert results["c2"] == "HEY!", "what was done is told, though the turn failed"


async def test_a_confirmation_that_is_not_there_is_a_404_and_a_wrong_one_a_422(talk: Talks, server: ModelServer):
    path, answer = await waiting(talk, server)
    for id in (str(uuid4()), "c2", ""):
        missing = await talk.call("POST", f"{path}/confirmations", {"id": id, "approved": True})
        assert missing.status_code == 404
    for body in (
        {},
        {"id": answer["confirmations"][0]["id"]},
        {"id": "x", "approved": "yes"},
        {"id": "x", "approved": True, "comment": "?"},
    ):
        assert (await talk.call("POST", f"{path}/confirmations", body)).status_code == 422
    elsewhere = f"/v1/conversations/{uuid4()}/confirmations"
    assert (await talk.call("POST", elsewhere, {"id": "x", "approved": True})).status_code == 404


async def test_where_nobody_can_be_asked_it_is_not_done_and_the_model_is_told_so(talk: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(tool_calls=[SHOUT]), Reply(text="I may not."))
    body = {"model": "agent:helper", "messages": [{"role": "user", "content": "Shout!"}]}
    answer = await talk.magnet.do("POST", "/v1/chat/completions", body)
    assert answer["choices"][0]["message"]["content"] == "I may not."
    assert "must agree" in server.last.body["messages"][-1]["content"]
