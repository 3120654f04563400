"""Conversations over HTTP: messages answered plain and streamed alike, recorded, and read back."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.test_access import key_of
from tests.support.model_server import ModelServer, Reply, ToolCalled, server_error
from tests.support.rebuilding import build_anew
from tests.support.server import Running
from tests.support.talks import Talks, said, talks, types


def asks(question: str = "How many holidays?", **more: Any) -> Reply:
    return Reply(tool_calls=[ToolCalled(name="find_passages", arguments={"query": question}, id="c1")], **more)


async def test_a_message_is_answered_recorded_and_read_back(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada")
    server.script_for("chat-model", asks(), Reply(text="Thirty days [1]."))
    answer = await talk.say(path, "How many holidays do I get?")
    assert answer["turn"]["state"] == "completed"
    assert answer["message"]["role"] == "assistant"
    assert answer["message"]["content"] == "Thirty days [1]."
    assert [each["marker"] for each in answer["message"]["citations"]] == ["[1]"]
    assert [each["function"] for each in answer["message"]["tool_calls"]] == ["find_passages"]
    seen = await talk.see(path)
    assert (seen["id"], seen["version"]) == (answer["id"], answer["version"])
    assert seen["agent"]["name"] == "helper"
    assert (seen["status"], seen["state"], seen["subject"]) == ("open", "completed", "ada")
    assert seen["welcome_message"] == "Hi!"
    assert [(each["role"], each["content"]) for each in seen["messages"]] == [
        ("user", "How many holidays do I get?"),
        ("assistant", "Thirty days [1]."),
    ]
    [turn] = seen["turns"]
    assert (turn["usage"], turn["cost"]) == (answer["usage"], answer["cost"])
    assert turn["actions"][0]["arguments"] == '{"query": "How many holidays?"}'
    assert "Holidays are thirty days" in turn["actions"][0]["result"]
    run = await talk.run(answer["run_id"])
    assert (run["kind"], run["outcome"], run["subject"]) == ("turn", "completed", "ada")
    assert (run["usage"], run["cost"]) == (answer["usage"], answer["cost"])
    assert {"agent", "retrieval_tool", "index", "model"} <= set(run["versions"])


async def test_a_stream_has_its_pieces_its_tools_and_one_terminal_event_with_the_same_answer(
    talk: Talks, server: ModelServer
):
    replies = (asks(text="Let me see."), Reply(text="Thirty days [1]."))
    server.script_for("chat-model", *replies, *replies)
    plain = await talk.say(await talk.begin(), "How many holidays?")
    events = await talk.streamed(await talk.begin(), "How many holidays?")
    assert [data["sequence"] for _, data in events] == list(range(1, len(events) + 1))
    assert [type for type in types(events) if type != "message.delta"] == [
        "turn.started",
        "tool.started",
        "tool.completed",
        "citation",
        "turn.completed",
    ]
    last = events[-1][1]
    assert (
        said(events) == last["message"]["content"] == plain["message"]["content"] == "Let me see.\n\nThirty days [1]."
    )
    assert (last["usage"], last["cost"]) == (plain["usage"], plain["cost"])
    assert set(plain) == set(last) - {"type", "sequence"}


async def test_the_model_is_told_what_was_said_before_with_calls_and_results(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", asks(text="Let me see."), Reply(text="Thirty [1]."), Reply(text="At noon."))
    await talk.say(path, "How many holidays?")
    await talk.say(path, "When is lunch?")
    told = server.last.body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert told[2]["content"] == "Let me see."
    assert told[2]["tool_calls"][0]["id"] == told[3]["tool_call_id"] == "c1"
    assert told[4]["content"] == "Thirty [1]."


async def test_what_a_turn_stores_does_not_grow_with_what_was_said_before(talk: Talks, server: ModelServer):
    path, runs = await talk.begin(), []
    for number in range(1, 11):
        server.script_for("chat-model", Reply(text=f"The answer is {number}."))
        runs.append((await talk.say(path, f"Question number {number}?"))["run_id"])
    [first] = [step for step in (await talk.run(runs[0]))["steps"] if step["kind"] == "model_call"]
    [last] = [step for step in (await talk.run(runs[-1]))["steps"] if step["kind"] == "model_call"]
    assert [message["content"] for message in last["input"]["messages"]] == ["You help.", "Question number 10?"]
    assert (first["input"].get("earlier_messages"), last["input"]["earlier_messages"]) == (None, 18)
    assert len(server.last.body["messages"]) == 1 + 18 + 1
    async with talk.magnet.container.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT sum(length(state)) FROM magnet.magnet_events WHERE originator_id = ANY(%s) GROUP BY originator_id",
            [[UUID(runs[1]), UUID(runs[-1])]],
        )
        sizes = [size for (size,) in await cursor.fetchall()]
    assert max(sizes) - min(sizes) < 100


async def test_without_a_chat_model_the_first_rag_tool_answers(magnet: Running):
    async with talks(magnet, None) as talk:
        path = await talk.begin()
        answer = await talk.say(path, "How many days are holidays?")
        events = await talk.streamed(path, "How many days are holidays?")
    assert "thirty days" in answer["message"]["content"]
    assert [each["marker"] for each in answer["message"]["citations"]] == ["[1]"]
    assert answer["message"]["tool_calls"][0]["function"] == "ask_handbook"
    assert events[-1][0] == "turn.completed"
    assert said(events) == events[-1][1]["message"]["content"]


async def test_without_any_model_or_rag_tool_it_is_told_what_is_missing(magnet: Running):
    async with talks(magnet, None, actions=[]) as talk:
        path = await talk.begin()
        answer = await talk.post(path, "How many holidays?")
        seen = await talk.see(path)
    assert answer.status_code == 409
    assert [message["content"] for message in seen["messages"]] == ["How many holidays?"]


async def test_what_a_conversation_was_begun_with_fills_its_prompts_and_is_not_the_models_to_choose(
    talk: Talks, server: ModelServer
):
    declared = {"words": {}, "customer": {}}
    text = "{{ customer }}: {{ words }}"
    await talk.magnet.do("PATCH", "/v1/prompts/shout?publish=true", {"text": text, "variables": declared})
    path = await talk.begin(variables={"customer": "Ada", "tier": "gold"})
    call = ToolCalled(name="shout", arguments={"words": "hi", "customer": "Eve"}, id="c1")
    server.script_for("chat-model", Reply(tool_calls=[call]), Reply(text="HI ADA"), Reply(text="Done."))
    await talk.say(path, "Shout hi!")
    first, prompted, _ = server.requests[-3:]
    offered = {each["function"]["name"]: each["function"]["parameters"] for each in first.body["tools"]}
    assert (set(offered["shout"]["properties"]), offered["shout"]["required"]) == ({"words"}, ["words"])
    assert prompted.body["messages"][-1]["content"] == "Ada: hi"


async def test_the_users_message_survives_any_failure(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", server_error(), Reply(text="one two three", stop_after=2), Reply(text="Yes."))
    plain = await talk.post(path, "First?")
    assert (plain.status_code, plain.json()["provider"], plain.json()["upstream_status"]) == (502, "house", 500)
    assert plain.json()["turn"]["state"] == "failed"
    events = await talk.streamed(path, "Second?")
    assert [type for type in types(events) if type.startswith("turn.")] == ["turn.started", "turn.failed"]
    assert (events[-1][1]["error"]["code"], events[-1][1]["error"]["status"]) == ("connection_broken", 502)
    seen = await talk.see(path)
    assert [message["content"] for message in seen["messages"]] == ["First?", "Second?", said(events)]
    assert [turn["state"] for turn in seen["turns"]] == ["failed", "failed"]
    run = await talk.run(seen["turns"][1]["run_id"])
    assert (run["outcome"], run["error"]["code"]) == ("failed", "connection_broken")
    assert (await talk.say(path, "Third?"))["message"]["content"] == "Yes."
    assert [message["content"] for message in server.last.body["messages"][1:]] == ["First?", "Second?", "Third?"]


WRONG_BEGINNINGS: list[tuple[Any, str, str]] = [
    ({}, "missing", "/agent"),
    ({"agent": "nobody"}, "unknown_reference", "/agent"),
    ({"agent": str(uuid4())}, "unknown_reference", "/agent"),
    ({"agent": "ask"}, "unknown_reference", "/agent"),
    ({"agent": "helper", "principal": {}}, "extra_forbidden", "/principal"),
    ({"agent": "helper", "subject": ""}, "string_too_short", "/subject"),
    ({"agent": "helper", "variables": []}, "dict_type", "/variables"),
]


async def test_a_beginning_that_is_wrong_is_refused(subtests: pytest.Subtests, talk: Talks):
    for body, code, pointer in WRONG_BEGINNINGS:
        with subtests.test(str((body, code, pointer))[:80]):
            answer = await talk.call("POST", "/v1/conversations", body)
            assert answer.status_code == 422
            assert (answer.json()["errors"][0]["code"], answer.json()["errors"][0]["pointer"]) == (code, pointer)


async def test_a_message_that_is_wrong_is_refused_and_begins_no_turn(talk: Talks):
    path = await talk.begin()
    for body in ({}, {"content": ""}, {"content": 5}, {"content": "a", "x": 1}, {"content": "a", "stream": "yes"}):
        assert (await talk.call("POST", f"{path}/messages", body)).status_code == 422
    both = {"content": "a", "stream": True, "background": True}
    assert (await talk.call("POST", f"{path}/messages", both)).status_code == 422
    assert (await talk.see(path))["turns"] == []


async def test_what_is_not_there_is_a_404(talk: Talks):
    path = await talk.begin()
    for other in (f"/v1/conversations/{uuid4()}", "/v1/conversations/nothing"):
        assert (await talk.call("GET", other)).status_code == 404
        assert (await talk.post(other, "Hello?")).status_code == 404
        assert (await talk.call("POST", f"{other}/close")).status_code == 404
    for turn in (str(uuid4()), "nothing"):
        assert (await talk.call("GET", f"{path}/turns/{turn}/stream")).status_code == 404
        assert (await talk.call("POST", f"{path}/turns/{turn}/cancel")).status_code == 404
        assert (await talk.call("POST", f"{path}/turns/{turn}/retry")).status_code == 404


async def test_a_conversation_is_read_as_it_was(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="One."), Reply(text="Two."))
    first = await talk.say(path, "First?")
    between = await talk.see(path)
    await talk.say(path, "Second?")
    assert await talk.see(path, version=first["version"]) == between
    assert await talk.see(path, as_of=between["updated_at"]) == between
    assert len((await talk.see(path))["messages"]) == 4
    beyond = await talk.magnet.client.get(path, params={"version": 99})
    assert (beyond.status_code, beyond.json()["code"]) == (404, "unknown_version")


async def test_what_was_said_is_sealed_in_the_log(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada", variables={"secret": "canary-3"})
    server.script_for("chat-model", asks("canary-4"), Reply(text="canary-5"))
    await talk.streamed(path, "canary-6")
    async with talk.magnet.container.pool.connection() as connection:
        for table in ("magnet_events", "turn_events", "idempotency", "leases"):
            rows = await (await connection.execute(f"SELECT t::text FROM magnet.{table} AS t")).fetchall()  # type: ignore[arg-type]
            text = str(rows)
            for canary in ("canary-3", "canary-4", "canary-5", "canary-6"):
                assert canary not in text
                assert canary.encode().hex() not in text
    assert "canary-6" in str(await talk.see(path))


async def test_others_conversations_are_as_absent_unless_one_may_read_all(talk: Talks, server: ModelServer):
    admin = await key_of(talk.magnet, "admin", "admin")
    ada, bob, eve = [
        replace(talk, headers={"X_API_Key": await key_of(talk.magnet, name, role, admin=admin)})
        for name, role in (("ada", "user"), ("bob", "user"), ("eve", "auditor"))
    ]
    path = await ada.begin()
    server.script_for("chat-model", Reply(text="one two three", stop_after=2))
    events = await ada.streamed(path, "canary-7?")
    turn = f"{path}/turns/{events[0][1]['turn']['id']}"
    answer_id = (await ada.see(path))["messages"][1]["id"]
    requests = [
        ("GET", path, None),
        ("GET", f"{turn}/stream", None),
        ("POST", f"{path}/messages", {"content": "Hi."}),
        ("POST", f"{turn}/retry", None),
        ("POST", f"{turn}/cancel", None),
        ("POST", f"{path}/feedback", {"message_id": answer_id, "rating": "up"}),
        ("POST", f"{path}/close", None),
    ]
    version = (await ada.see(path))["version"]
    absent = path.replace(path.rsplit("/", 1)[1], str(uuid4()))
    for method, place, body in requests:
        foreign = await bob.call(method, place, body)
        missing = await bob.call(method, place.replace(path, absent), body)
        shown = ("status", "code", "detail", "title", "type")
        assert foreign.status_code == missing.status_code == 404
        assert {name: foreign.json()[name] for name in shown} == {name: missing.json()[name] for name in shown}
        assert "canary-7" not in foreign.text
    assert (await ada.see(path))["version"] == version
    assert (await eve.see(path))["messages"][0]["content"] == "canary-7?"
    assert (await eve.post(path, "Hi.")).status_code == 403
    boss = replace(talk, headers={"X_API_Key": admin})
    assert (await boss.see(path))["messages"][0]["content"] == "canary-7?"
    assert (await boss.post(path, "Hi.")).status_code == 404, "what is said with an admin's rights is not for others"


async def listed(talk: Talks, **query: Any) -> list[str]:
    """Return the paths of all conversations that a list gives, page by page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        parts = "&".join(f"{name}={value}" for name, value in {**query, **cursor}.items())
        talk.magnet.position = await talk.magnet.container.log.head()
        answer = await talk.call("GET", f"/v1/conversations?{parts}")
        assert answer.status_code == 200, answer.text
        found += [f"/v1/conversations/{item['id']}" for item in answer.json()["items"]]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_conversations_are_listed_and_searched(talk: Talks, server: ModelServer):
    await talk.magnet.do("POST", "/v1/agents", {"name": "other", "instructions": "Other."})
    server.script_for("chat-model", Reply(text="Thirty days."), Reply(text="At NOON."), Reply(text="one", stop_after=0))
    first = await talk.begin(subject="ada")
    await talk.say(first, "How many holidays?")
    second = await talk.begin(subject="bob")
    await talk.say(second, "When is lunch?")
    third = await talk.begin(agent="other", subject="ada")
    assert (await talk.post(third, "Anything?")).status_code == 502
    fourth = await talk.begin()
    await talk.magnet.do("POST", f"{fourth}/close")
    everything = [fourth, third, second, first]
    assert await listed(talk) == await listed(talk, limit=1) == await listed(talk, limit=3) == everything
    assert await listed(talk, order="asc", limit=2) == everything[::-1]
    for query, found in (
        ({"subject": "ada"}, [third, first]),
        ({"agent": "other"}, [third]),
        ({"agent": "nobody"}, []),
        ({"status": "closed"}, [fourth]),
        ({"status": "open", "subject": "ada", "agent": "helper"}, [first]),
        ({"state": "failed"}, [third]),
        ({"state": "completed"}, [second, first]),
        ({"q": "noon"}, [second]),
        ({"q": "HOW%20MANY"}, [first]),
        ({"q": "a", "subject": "ada"}, [third, first]),
        ({"q": "%25"}, []),
    ):
        assert await listed(talk, **query) == await listed(talk, limit=1, **query) == found, query
    [item] = (await talk.magnet.get("/v1/conversations?q=lunch"))["items"]
    shown = await talk.see(second)
    assert item == {**{name: shown[name] for name in item}, "turns": 1}
    for wrong in ("status=ended", "state=x", "limit=0", "cursor=x", "order=up", "nothing=1"):
        assert (await talk.call("GET", f"/v1/conversations?{wrong}")).status_code == 422


async def test_a_list_holds_ones_own_conversations_only_unless_one_may_read_all(talk: Talks, server: ModelServer):
    admin = await key_of(talk.magnet, "admin", "admin")
    ada, bob, eve = [
        replace(talk, headers={"X_API_Key": await key_of(talk.magnet, name, role, admin=admin)})
        for name, role in (("ada", "user"), ("bob", "user"), ("eve", "auditor"))
    ]
    server.script_for("chat-model", Reply(text="canary-8"), Reply(text="canary-8"))
    hers, his = await ada.begin(), await bob.begin()
    await ada.say(hers, "Hello?")
    await bob.say(his, "Hello?")
    assert (await listed(ada), await listed(bob), await listed(eve)) == ([hers], [his], [his, hers])
    assert (await listed(ada, q="canary"), await listed(eve, q="canary")) == ([hers], [his, hers])


async def test_a_search_goes_on_behind_what_it_looked_through(
    talk: Talks, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("projections.conversation_reading.SCANNED_AT_ONCE", 2)
    monkeypatch.setattr("projections.conversation_reading.SCANNED", 4)
    server.script_for("chat-model", Reply(text="needle"))
    first = await talk.begin()
    await talk.say(first, "Where?")
    for _ in range(8):
        await talk.begin()
    head = str(await talk.magnet.container.log.head())
    page = await talk.magnet.get("/v1/conversations?q=needle", Magnet_Min_Position=head)
    assert page["items"] == [] and page["next_cursor"] is not None
    assert await listed(talk, q="needle") == [first]


async def test_a_rebuilt_list_equals_the_live_one(talk: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(text="One."), Reply(text="one two", stop_after=1))
    path = await talk.begin(subject="ada")
    await talk.say(path, "First?")
    assert (await talk.post(path, "Second?")).status_code == 502
    await talk.magnet.do("POST", f"{path}/close")
    before = await listed(talk)
    administration = talk.magnet.container.administration

    async def status() -> Any:
        return next(each for each in await administration.status() if each.name == "conversations_v1")

    checksum = (await status()).checksum
    assert checksum is not None
    await build_anew(administration, "conversations_v1")
    assert (await status()).checksum == checksum
    assert await listed(talk) == before
