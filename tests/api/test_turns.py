"""Turns: one at a time, whoever listens; cancelled, followed and resumed from any process; one end, always."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters import failpoints
from commands.conversations.conversation import StartTurn
from domain.errors import Unavailable
from tests.api.test_prompt_runs import events_in
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled
from tests.support.patience import PATIENCE
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Events, Talks, said, types

SEARCH = [ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="c1")]


@pytest.fixture
async def elsewhere(magnet: Running, talk: Talks) -> AsyncIterator[Talks]:
    """Another process on the same database, which carries out no jobs: what is said in the background is not its work."""
    async with serving(magnet.database, Path(magnet.container.settings.home), worker=False) as other:
        yield Talks(magnet=other, books=talk.books)


def held(text: str = "one two three", gate: Gate | None = None) -> Reply:
    """Say the first word, then wait."""
    return Reply(text=text, gate=gate or Gate())


async def asked(server: ModelServer, count: int = 1) -> None:
    """Wait until the model was asked, and has begun to answer, so many times."""
    await server.until(lambda: len([each for each in server.requests if "chat" in each.path and each.pieces]) >= count)


def one_end(events: Events) -> tuple[str, dict[str, Any]]:
    """Return the terminal event: there is one, it is the last, and the numbers have no gap."""
    ends = [event for event in events if event[0].startswith("turn.") and event[0] != "turn.started"]
    assert ends == events[-1:]
    first = events[0][1]["sequence"]
    assert [data["sequence"] for _, data in events] == list(range(first, first + len(events)))
    return events[-1]


async def test_one_turn_at_a_time_another_message_meanwhile_is_told_so(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    turn = await talk.start(path, "First?")
    refused = await talk.post(path, "Second?")
    assert (refused.status_code, refused.json()["code"]) == (409, "turn_in_progress")
    assert turn.endswith(refused.json()["turn"])
    gate.open()
    one_end(await talk.follow(turn))
    assert [message["content"] for message in (await talk.see(path))["messages"]] == ["First?", "one two three"]


async def test_20_messages_at_once_are_all_kept_or_told_409(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    sending = [asyncio.create_task(talk.post(path, f"Message {number}")) for number in range(20)]
    waiting = set(sending)
    async with asyncio.timeout(PATIENCE):
        while len(waiting) > 1:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    gate.open()
    answers = await asyncio.gather(*sending)
    kept = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    told = [answer for answer in answers if answer.status_code == 409]
    assert len(kept) == 1 and len(told) == 19
    assert {answer.json()["code"] for answer in told} == {"turn_in_progress"}
    seen = await talk.see(path)
    assert [each["content"] for each in seen["messages"] if each["role"] == "user"] == [f"Message {kept[0]}"]
    assert len(seen["turns"]) == 1


async def test_a_dropped_connection_does_not_stop_the_turn(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    body = {"content": "Go on?", "stream": True}
    async with talk.magnet.client.stream("POST", f"{path}/messages", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: message.delta"):
                break
    assert (await talk.see(path))["state"] == "running"
    gate.open()
    seen = await talk.until(path, lambda it: it["state"] != "running")
    assert (seen["state"], seen["messages"][-1]["content"]) == ("completed", "one two three")
    assert server.last.ended == "answered"


async def test_cancel_stops_the_turn_and_closes_the_call_upstream(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", held())
    posted = asyncio.create_task(talk.post(path, "Long?"))
    await asked(server)
    seen = await talk.see(path)
    turn = f"{path}/turns/{seen['turns'][0]['id']}"
    following = asyncio.create_task(talk.follow(turn))
    await talk.until(path, lambda it: it["state"] == "running")
    cancelled = await talk.call("POST", f"{turn}/cancel")
    assert (cancelled.status_code, cancelled.json()["turn"]["state"]) == (200, "cancelled")
    await server.until(lambda: server.last.ended == "left")
    assert (await posted).json() == cancelled.json()
    kind, end = one_end(await following)
    assert (kind, end["turn"]["state"]) == ("turn.cancelled", "cancelled")
    seen = await talk.see(path)
    assert (seen["state"], seen["messages"][-1]["content"]) == ("cancelled", cancelled.json()["message"]["content"])
    run = await talk.run(end["run_id"])
    assert run["outcome"] == "cancelled"
    assert run["usage"]["input"] > 0
    again = await talk.call("POST", f"{turn}/cancel")
    assert (again.status_code, again.json()) == (200, cancelled.json())
    assert (await talk.see(path))["version"] == seen["version"]


async def test_a_turn_that_has_ended_is_not_cancelled(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Done."))
    answer = await talk.say(path, "Quick?")
    refused = await talk.call("POST", f"{path}/turns/{answer['turn']['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "turn_ended")


async def test_cancel_reaches_the_process_that_carries_the_turn_out(talk: Talks, elsewhere: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", held())
    turn = await talk.start(path, "Long?")
    await asked(server)
    cancelled = await elsewhere.call("POST", f"{turn}/cancel")
    assert (cancelled.status_code, cancelled.json()["turn"]["state"]) == (200, "cancelled")
    await server.until(lambda: server.last.ended == "left")
    assert (await talk.see(path))["state"] == "cancelled"


async def test_resume_by_last_event_id_from_another_process_without_gap_or_double(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    path, gate = await talk.begin(), Gate()
    words = " ".join(f"word{number}" for number in range(60))
    server.script_for("chat-model", Reply(text="Let me see.", tool_calls=SEARCH), Reply(text=f"{words} [1]", gate=gate))
    first: Events = []
    body = {"content": "All of it?", "stream": True}
    async with talk.magnet.client.stream("POST", f"{path}/messages", json=body) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            if line.startswith("data: "):
                first.append((kind, json.loads(line.removeprefix("data: "))))
            if kind == "tool.completed" and line == "":
                break
    turn = f"{path}/turns/{(await talk.see(path))['turns'][0]['id']}"
    resumed = asyncio.create_task(elsewhere.follow(turn, first[-1][1]["sequence"]))
    joined = asyncio.create_task(elsewhere.follow(turn))
    here = asyncio.create_task(talk.follow(turn, first[-1][1]["sequence"]))
    await asked(server, 2)
    gate.open()
    whole = first + await resumed
    one_end(whole)
    assert said(whole) == f"Let me see.\n\n{words} [1]"
    assert await joined == whole
    assert first + await here == whole
    for after in range(len(whole) + 2):
        assert await elsewhere.follow(turn, after) == whole[after:]
        assert await talk.follow(turn, after) == whole[after:]


async def test_20_clients_on_one_stream_get_the_same_bytes_whenever_and_wherever_they_join(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    path, gate = await talk.begin(), Gate()
    words = " ".join(f"word{number}" for number in range(40))
    server.script_for("chat-model", Reply(text="Let me see.", tool_calls=SEARCH), Reply(text=f"{words} [1]", gate=gate))
    turn = await talk.start(path, "All of it?")

    def join(count: int) -> list[asyncio.Task[Any]]:
        return [
            asyncio.create_task(each.call("GET", f"{turn}/stream")) for _ in range(count) for each in (talk, elsewhere)
        ]

    clients = join(5)  # some from the beginning, some while it says something, some when all of it is said
    await asked(server, 2)
    clients += join(3)
    gate.open()
    answers = await asyncio.gather(*clients)
    answers += await asyncio.gather(*join(2))
    assert (len(answers), {answer.status_code for answer in answers}) == (20, {200})
    assert len({answer.content for answer in answers}) == 1
    assert said(events_in(answers[0].text)) == f"Let me see.\n\n{words} [1]"


async def test_a_stream_whose_last_pieces_were_never_written_is_completed_from_the_log(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Let me see.", tool_calls=SEARCH), Reply(text="Thirty days [1]."))
    whole = await talk.streamed(path, "How many?")
    turn = f"{path}/turns/{whole[0][1]['turn']['id']}"
    assert await elsewhere.follow(turn) == whole  # all of it is written
    async with talk.magnet.container.pool.connection() as connection:
        await connection.execute("DELETE FROM magnet.turn_events")
    rest = await elsewhere.follow(turn)
    assert types(rest) == ["turn.started", "message.delta", "turn.completed"]
    assert said(rest) == said(whole)
    same = ("turn", "message", "run_id", "usage", "cost", "id", "version", "position")
    assert {name: rest[-1][1][name] for name in same} == {name: whole[-1][1][name] for name in same}
    assert types(await elsewhere.follow(turn, 1)) == ["message.delta", "turn.completed"]
    assert types(await elsewhere.follow(turn, 50)) == ["turn.completed"]


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5.2", "9" * 20])
async def test_a_last_event_id_that_is_none_is_refused(talk: Talks, server: ModelServer, wrong: str):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Hi."))
    answer = await talk.say(path, "Hello?")
    refused = await talk.call("GET", f"{path}/turns/{answer['turn']['id']}/stream", Last_Event_ID=wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_last_event_id")


async def test_feedback_during_a_turn_is_kept(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", Reply(text="One."), held(gate=gate))
    first = await talk.say(path, "First?")
    turn = await talk.start(path, "Second?")
    await asked(server, 2)
    given = {"message_id": first["message"]["id"], "rating": "up", "reason": "clear", "comment": "Thanks!"}
    receipt = await talk.magnet.do("POST", f"{path}/feedback", given)
    again = await talk.magnet.do("POST", f"{path}/feedback", given)
    assert again["version"] == receipt["version"]
    gate.open()
    one_end(await talk.follow(turn))
    seen = await talk.see(path)
    assert seen["messages"][1]["feedback"] == {"rating": "up", "reason": "clear", "comment": "Thanks!"}
    assert seen["messages"][3]["content"] == "one two three"
    for message in (seen["messages"][0]["id"], "nothing"):
        refused = await talk.call("POST", f"{path}/feedback", {"message_id": message, "rating": "up"})
        assert refused.status_code == 404


async def test_a_closed_conversation_answers_409(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    turn = await talk.start(path, "First?")
    busy = await talk.call("POST", f"{path}/close")
    assert (busy.status_code, busy.json()["code"]) == (409, "turn_in_progress")
    gate.open()
    one_end(await talk.follow(turn))
    closed = await talk.magnet.do("POST", f"{path}/close")
    assert (await talk.magnet.do("POST", f"{path}/close"))["version"] == closed["version"]
    for answer in (await talk.post(path, "More?"), await talk.call("POST", f"{turn}/retry")):
        assert (answer.status_code, answer.json()["code"]) == (409, "conversation_closed")
    assert (await talk.see(path))["status"] == "closed"


async def test_a_repeat_waits_for_the_same_turn_and_gives_the_same_bytes(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held("Thirty days.", gate))
    body = {"content": "How many?"}
    first = asyncio.create_task(talk.call("POST", f"{path}/messages", body, Idempotency_Key="k"))
    await asked(server)
    repeats = [
        asyncio.create_task(each.call("POST", f"{path}/messages", body, Idempotency_Key="k"))
        for each in (talk, elsewhere, talk, elsewhere)
    ]
    gate.open()
    answers = [await first, *await asyncio.gather(*repeats)]
    answers += [await each.call("POST", f"{path}/messages", body, Idempotency_Key="k") for each in (talk, elsewhere)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replay") for answer in answers] == [None, *["true"] * 6]
    assert len((await talk.see(path))["turns"]) == 1
    other = await talk.call("POST", f"{path}/messages", {"content": "Else?"}, Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_repeat_of_a_stream_joins_it_and_ends_the_same(talk: Talks, elsewhere: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held("Thirty days.", gate))
    body = {"content": "How many?", "stream": True}
    calls = [
        asyncio.create_task(each.call("POST", f"{path}/messages", body, Idempotency_Key="s"))
        for each in (talk, elsewhere, talk)
    ]
    await asked(server)
    gate.open()
    answers = await asyncio.gather(*calls)
    assert len({answer.text for answer in answers}) == 1
    assert len([each for each in server.requests if "chat" in each.path]) == 1


async def test_a_repeat_of_a_turn_that_failed_fails_the_same(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="one two three", stop_after=2))
    body = {"content": "How many?"}
    first, again = [await talk.call("POST", f"{path}/messages", body, Idempotency_Key="f") for _ in range(2)]
    assert first.status_code == again.status_code == 502
    told = [{name: value for name, value in each.json().items() if name != "request_id"} for each in (first, again)]
    assert told[0] == told[1]
    assert told[0]["upstream_status"] == 200


async def test_retry_answers_what_was_said_in_the_newest_turn(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="one two three", stop_after=2), Reply(text="Thirty days."))
    assert (await talk.post(path, "How many?")).status_code == 502
    failed = (await talk.see(path))["turns"][0]["id"]
    answer = await talk.magnet.do("POST", f"{path}/turns/{failed}/retry")
    assert answer["message"]["content"] == "Thirty days."
    assert [message["content"] for message in server.last.body["messages"]] == ["You help.", "How many?"]
    seen = await talk.see(path)
    assert [turn["retry_of"] for turn in seen["turns"]] == [None, failed]
    assert [(each["role"], each["content"]) for each in seen["messages"]] == [
        ("user", "How many?"),
        ("assistant", "one two"),
        ("assistant", "Thirty days."),
    ]
    refused = await talk.call("POST", f"{path}/turns/{failed}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_retry")


async def test_if_match_of_an_older_version_is_a_412(talk: Talks, server: ModelServer):
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"actions": actions})
    path = await talk.begin()
    server.script_for("chat-model", Reply(tool_calls=[ToolCalled(name="shout", arguments={"word": "a"}, id="c")]))
    waits = await talk.say(path, "First?")
    assert waits["turn"]["state"] == "awaiting_confirmation"
    bodies = {
        "messages": {"content": "Second?"},
        "confirmations": {"id": waits["confirmations"][0]["id"], "approved": True},
        "turns/{turn}/retry": None,
        "turns/{turn}/cancel": None,
        "feedback": {"message_id": waits["message"]["id"], "rating": "up"},
        "close": None,
        "fork": None,
        "title": {"title": "A title"},
        "notes": {"text": "A note"},
        "copied": {"message_id": waits["message"]["id"]},
        "tokens": None,
    }
    prefix = "/v1/conversations/{id}/"
    paths = (await talk.magnet.get("/openapi.json"))["paths"]
    assert {*bodies, "replay"} == {  # a replay leaves the conversation as it is
        address.removeprefix(prefix)
        for address, ways in paths.items()
        if address.startswith(prefix) and ways.get("post", {}).get("tags") == ["commands: conversations"]
    }
    for route, body in bodies.items():
        address = f"{path}/{route.replace('{turn}', waits['turn']['id'])}"
        stale = await talk.call("POST", address, body, If_Match='"1"')
        assert (route, stale.status_code) == (route, 412)
        assert stale.json()["current_version"] == waits["version"]
        malformed = await talk.call("POST", address, body, If_Match="1")
        assert (route, malformed.status_code, malformed.json()["code"]) == (route, 422, "invalid_if_match")
    seen = await talk.see(path)
    assert (seen["version"], seen["state"]) == (waits["version"], "awaiting_confirmation")


async def test_a_running_turn_goes_on_where_cancel_speaks_of_an_older_version(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    turn = await talk.start(path, "First?")
    await asked(server)
    stale = await talk.call("POST", f"{turn}/cancel", If_Match='"1"')
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    gate.open()
    assert one_end(await talk.follow(turn))[0] == "turn.completed"


async def test_a_cancel_with_the_same_key_gives_its_first_answer_again_and_says_so(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", held())
    turn = await talk.start(path, "First?")
    await asked(server)
    version = (await talk.see(path))["version"]
    headers = {"Idempotency_Key": "k", "If_Match": f'"{version}"'}
    first = await talk.call("POST", f"{turn}/cancel", **headers)
    assert (first.status_code, first.json()["turn"]["state"]) == (200, "cancelled")
    assert "Idempotent-Replay" not in first.headers
    again = await talk.call("POST", f"{turn}/cancel", **headers)
    assert (again.status_code, again.content, again.headers["Idempotent-Replay"]) == (200, first.content, "true")


async def test_a_turn_that_comes_to_wait_for_a_person_while_it_is_cancelled_is_cancelled(
    talk: Talks, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"actions": actions})
    path, gate = await talk.begin(), Gate()
    call = ToolCalled(name="shout", arguments={"word": "a"}, id="c")
    server.script_for("chat-model", Reply(text="one two", tool_calls=[call], gate=gate))
    turn = await talk.start(path, "First?")
    await asked(server)

    async def too_late(*_: Any) -> None:
        gate.open()
        await talk.until(path, lambda seen: seen["state"] == "awaiting_confirmation")

    monkeypatch.setattr(talk.magnet.container.turns, "_end_running", too_late)
    ended = await talk.call("POST", f"{turn}/cancel", Idempotency_Key="k")
    assert (ended.status_code, ended.json()["turn"]["state"]) == (200, "cancelled")
    assert [each["state"] for each in (await talk.see(path))["turns"]] == ["cancelled"]


async def test_an_action_already_done_is_in_the_record_also_when_the_limit_is_reached(talk: Talks, server: ModelServer):
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"limits": {"iterations": 1, "seconds": 300}})
    path = await talk.begin()
    server.script_for("chat-model", Reply(tool_calls=SEARCH), Reply(text="I know enough."))
    answer = await talk.say(path, "How many?")
    assert answer["message"]["content"] == "I know enough."
    assert server.last.body["tool_choice"] == "none"
    assert (await talk.see(path))["turns"][0]["actions"][0]["outcome"] == "completed"
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"limits": {"seconds": 4}})
    server.script_for("chat-model", Reply(tool_calls=SEARCH), held())
    late = await talk.post(path, "And now?")
    assert (late.status_code, late.json()["code"]) == (502, "turn_timed_out")
    seen = await talk.see(path)
    assert (seen["turns"][1]["state"], seen["turns"][1]["actions"][0]["outcome"]) == ("failed", "completed")


async def test_actions_of_one_answer_are_carried_out_side_by_side_and_each_is_recorded(
    talk: Talks, server: ModelServer
):
    path, gates = await talk.begin(), [Gate(), Gate()]
    calls = [ToolCalled(name="shout", arguments={"words": word}, id=word) for word in ("a", "b")]
    server.script_for(
        "chat-model", Reply(tool_calls=calls), held("A!", gates[0]), held("B!", gates[1]), Reply(text="Done.")
    )
    turn = await talk.start(path, "Shout twice.")
    await asked(server, 3)  # both go on at once
    gates[1].open()
    gates[0].open()
    events = await talk.follow(turn)
    assert types(events).count("tool.completed") == 2
    told = {
        message["tool_call_id"]: message["content"]
        for message in server.last.body["messages"]
        if message["role"] == "tool"
    }
    assert set(told) == {"a", "b"} and set(told.values()) == {"A!", "B!"}
    assert [each["id"] for each in one_end(events)[1]["message"]["tool_calls"]] == [
        data["id"] for type, data in events if type == "tool.completed"
    ]


async def test_what_goes_wrong_in_an_action_is_told_to_the_model_and_recorded(talk: Talks, server: ModelServer):
    path = await talk.begin()
    calls = [
        ToolCalled(name="nowhere", id="c1"),
        ToolCalled(name="find_passages", arguments="no json", id="c2"),
        ToolCalled(name="find_passages", arguments={"query": 5}, id="c3"),
        ToolCalled(name="shout", arguments={"words": "a"}, id="c4"),
    ]
    server.script_for("chat-model", Reply(tool_calls=calls), Reply(text="cut off", stop_after=1), Reply(text="Sorry."))
    assert (await talk.say(path, "Try."))["message"]["content"] == "Sorry."
    actions = {each["id"]: each["outcome"] for each in (await talk.see(path))["turns"][0]["actions"]}
    assert actions == {
        "c1": "unknown_function",
        "c2": "invalid_arguments",
        "c3": "invalid_arguments",
        "c4": "connection_broken",
    }


async def test_an_end_that_can_not_be_recorded_at_once_is_recorded_later(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Kept."))
    failpoints.arm("append.before=disk_full@2")
    events = await talk.streamed(path, "Hello?")
    assert one_end(events)[0] == "turn.completed"
    assert (await talk.see(path))["messages"][1]["content"] == "Kept."


async def test_a_turn_that_came_on_record_though_its_process_was_not_told_so_is_interrupted(
    talk: Talks, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    path = await talk.begin()
    bus = talk.magnet.container.bus
    dispatch = bus.dispatch

    async def answer_lost(command: Any, context: Any) -> Any:
        receipt = await dispatch(command, context)
        if isinstance(command, StartTurn):
            raise Unavailable
        return receipt

    monkeypatch.setattr(bus, "dispatch", answer_lost)
    assert (await talk.post(path, "Hello?")).status_code == 503
    monkeypatch.undo()
    assert (await talk.see(path))["state"] == "running"
    await talk.magnet.container.leases.renew()
    async with talk.magnet.container.pool.connection() as connection:
        await connection.execute("UPDATE magnet.leases SET until = until - interval '20 seconds'")
    await talk.magnet.container.leases.sweep()
    [turn] = (await talk.see(path))["turns"]
    assert turn["state"] == "interrupted"
    server.script_for("chat-model", Reply(text="Here."))
    assert (await talk.magnet.do("POST", f"{path}/turns/{turn['id']}/retry"))["message"]["content"] == "Here."


async def test_a_turn_whose_lease_ran_out_is_interrupted_its_stream_ends_once_and_retry_works(
    talk: Talks, elsewhere: Talks, server: ModelServer
):
    path = await talk.begin()
    server.script_for("chat-model", held(), Reply(text="Here again."))
    turn = await talk.start(path, "Long?")
    await asked(server)
    following = [asyncio.create_task(each.follow(turn)) for each in (talk, elsewhere)]
    async with talk.magnet.container.pool.connection() as connection:
        await connection.execute("UPDATE magnet.leases SET until = now() - interval '1 second'")
    await elsewhere.magnet.container.leases.sweep()
    kind, end = one_end(await following[1])
    assert (kind, end["turn"]["state"], end["error"]["code"]) == ("turn.failed", "interrupted", "turn_interrupted")
    assert (await talk.see(path))["state"] == "interrupted"
    assert (await talk.run(end["run_id"]))["outcome"] == "interrupted"
    answer = await elsewhere.magnet.do("POST", f"{turn}/retry")
    assert answer["message"]["content"] == "Here again."
    talk.magnet.container.turns.stop(UUID(turn.rsplit("/", 1)[1]))
    kind, end = one_end(await following[0])
    assert (kind, end["turn"]["state"]) == ("turn.failed", "interrupted")


async def test_a_process_that_ends_gives_turns_their_time_and_marks_the_rest_as_interrupted(
    talk: Talks, server: ModelServer
):
    quick, slow, gate = await talk.begin(), await talk.begin(), Gate()
    server.script_for("chat-model", held("In time.", gate), held())
    turns = [await talk.start(quick, "Quick?")]
    await asked(server)
    turns.append(await talk.start(slow, "Slow?"))
    await asked(server, 2)
    following = [asyncio.create_task(talk.follow(turn)) for turn in turns]
    await asyncio.sleep(0)
    closing = asyncio.create_task(talk.magnet.container.turns.close(1.0))
    gate.open()
    assert one_end(await following[0])[0] == "turn.completed"
    kind, end = one_end(await following[1])
    assert (kind, end["turn"]["state"], end["error"]["status"]) == ("turn.failed", "interrupted", 503)
    await closing
    await server.until(lambda: server.requests[-1].ended == "left")
    seen = await talk.see(slow)
    assert (seen["state"], seen["messages"][0]["content"]) == ("interrupted", "Slow?")
    refused = await talk.post(quick, "One more?")
    assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
