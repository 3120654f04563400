"""Forks over HTTP: begun anywhere in a conversation, gone on with, and erased with it."""

from tests.api.test_access import key_of
from tests.api.test_subjects import CANARY, ERASED, database_holds, erase
from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.talks import Talks, types


async def talked(talk: Talks, server: ModelServer) -> str:
    """Return a conversation's path, of two answers; the first cites."""
    path = await talk.begin(subject="ada", variables={"greeting": CANARY})
    call = ToolCalled(name="find_passages", arguments={"query": f"holidays {CANARY}"}, id="c1")
    server.script_for("chat-model", Reply(tool_calls=[call]), Reply(text="Thirty [1]."), Reply(text="At noon."))
    await talk.say(path, f"How many holidays, {CANARY}?")
    await talk.say(path, "When is lunch?")
    return path


async def test_a_fork_is_a_conversation_of_its_own_and_its_turns_are_told_by_their_streams(
    talk: Talks, server: ModelServer
):
    path = await talked(talk, server)
    origin = await talk.see(path)
    made = await talk.call("POST", f"{path}/fork", {"message_id": origin["messages"][1]["id"], "message": "to compare"})
    assert made.status_code == 201
    there = made.headers["Location"]
    seen = await talk.see(there)
    assert (seen["id"], seen["subject"], seen["variables"]) == (made.json()["id"], "ada", {"greeting": CANARY})
    assert seen["forked_from"]["conversation"] == origin["id"]
    assert [each["content"] for each in seen["messages"]] == [each["content"] for each in origin["messages"][:2]]
    assert seen["messages"][1]["citations"] == origin["messages"][1]["citations"] != []
    [turn] = seen["turns"]
    assert turn["run_id"] == origin["turns"][0]["run_id"]
    assert (turn["usage"], turn["cost"]) == (None, None), "what it took is counted where it was spent"
    events = await talk.follow(f"{there}/turns/{turn['id']}")
    assert types(events) == ["turn.started", "message.delta", "turn.completed"]
    assert events[-1][1]["id"] == seen["id"]
    server.script_for("chat-model", Reply(text="As I said."))
    await talk.say(there, "And now?")
    assert [each["role"] for each in server.last.body["messages"]] == [
        *("system", "user", "assistant", "tool", "assistant", "user")
    ]
    assert await talk.see(path) == origin, "the origin is left as it is"
    listed = await talk.magnet.get("/v1/conversations?subject=ada")
    assert [(each["id"], each["turns"]) for each in listed["items"]] == [(seen["id"], 2), (origin["id"], 2)]


async def test_what_was_said_is_said_otherwise_in_a_fork_and_answered_in_any_form(talk: Talks, server: ModelServer):
    path = await talked(talk, server)
    first = (await talk.see(path))["messages"][0]["id"]
    server.script_for("chat-model", Reply(text="Twenty."), Reply(text="At one."), Reply(text="At two."))
    body = {"message_id": first, "content": "How many holidays in Bonn?"}
    again = [await talk.call("POST", f"{path}/fork", body, Idempotency_Key="k") for _ in range(2)]
    assert [each.status_code for each in again] == [200, 200]
    assert again[0].content == again[1].content and again[1].headers["Idempotent-Replay"] == "true"
    answer = again[0].json()
    seen = await talk.see(f"/v1/conversations/{answer['id']}")
    assert [each["content"] for each in seen["messages"]] == ["How many holidays in Bonn?", "Twenty."]
    streamed = await talk.call("POST", f"{path}/fork", {"content": "When is dinner?", "stream": True})
    assert streamed.text.count("event: turn.completed") == 1
    assert [each["content"] for each in server.last.body["messages"]][-1] == "When is dinner?"
    behind = await talk.call("POST", f"{path}/fork", {"content": "When is tea?", "background": True})
    assert behind.status_code == 202
    assert types(await talk.follow(behind.headers["Location"].removesuffix("/stream")))[-1] == "turn.completed"


async def test_a_fork_that_can_not_be_is_refused(talk: Talks, server: ModelServer):
    path = await talked(talk, server)
    seen = await talk.see(path)
    for body, status, code in (
        ({"message_id": seen["id"]}, 404, "not_found"),
        ({"subject": "grace"}, 422, "other_subject"),
        ({"stream": True}, 422, "invalid"),
        ({"message_id": seen["messages"][1]["id"], "content": "Eh?"}, 422, "invalid"),
    ):
        refused = await talk.call("POST", f"{path}/fork", body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    stale = await talk.call("POST", f"{path}/fork", {}, If_Match='"1"')
    assert stale.status_code == 412
    admin = await key_of(talk.magnet, "root", "admin")
    other = await key_of(talk.magnet, "other", "user", admin=admin)
    foreign = await talk.call("POST", f"{path}/fork", {}, X_API_Key=other)
    assert foreign.status_code == 404


async def test_who_is_erased_is_erased_in_forks_too(talk: Talks, server: ModelServer):
    path = await talked(talk, server)
    made = await talk.call("POST", f"{path}/fork", {})
    there = made.headers["Location"]
    assert CANARY in str(await talk.see(there))
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == []
    await erase(talk, "ada")
    seen = await talk.see(there)
    assert CANARY not in str(seen) and len(seen["turns"]) == 2
    assert [each["content"] for each in seen["messages"]] == [ERASED, ERASED]
    assert CANARY not in str(await talk.magnet.get("/v1/events?limit=500"))
