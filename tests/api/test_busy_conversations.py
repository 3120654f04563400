"""Messages while a turn runs, over HTTP: each recorded at once, joined from anywhere, and ended once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.api.test_access import key_of
from tests.api.test_turns import asked, held, one_end
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled
from tests.support.patience import PATIENCE
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, said, talks


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    async with talks(magnet, server, on_busy="enqueue") as made:
        yield made


async def test_messages_wait_and_are_answered_in_their_order_and_joined_from_anywhere(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate), Reply(text="Two."), Reply(text="Three."))
    first = await talk.start(path, "First?")
    await asked(server)
    answer = await talk.post(path, "Second?", background=True)
    assert (answer.status_code, answer.json()["turn"]["state"]) == (202, "queued")
    second = f"{path}/turns/{answer.json()['turn']['id']}"
    async with serving(talk.magnet.database, Path(talk.magnet.container.settings.home)) as other:
        elsewhere = Talks(magnet=other, books=talk.books)
        following = [asyncio.create_task(each.follow(second)) for each in (talk, elsewhere)]
        third = asyncio.create_task(talk.post(path, "Third?"))
        seen = await talk.until(path, lambda it: len(it["turns"]) == 3)
        assert [turn["state"] for turn in seen["turns"]] == ["running", "queued", "queued"]
        assert (await talk.post(path, "Now?", on_busy="reject")).json()["code"] == "turn_in_progress"
        gate.open()
        one_end(await talk.follow(first))
        for events in await asyncio.gather(*following):
            assert (one_end(events)[0], said(events)) == ("turn.completed", "Two.")
        assert (await third).json()["message"]["content"] == "Three."
    seen = await talk.see(path)
    assert [each["content"] for each in seen["messages"] if each["role"] == "user"] == ["First?", "Second?", "Third?"]
    assert [turn["state"] for turn in seen["turns"]] == ["completed"] * 3
    told = [each["content"] for each in server.last.body["messages"]]
    assert told[1:] == ["First?", "one two three", "Second?", "Two.", "Third?"]


async def test_a_turn_that_waits_and_is_taken_back_is_read_as_a_response_too(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    first = await talk.start(path, "First?")
    await asked(server)
    waits = (await talk.post(path, "Second?", background=True)).json()
    response = f"/v1/responses/resp_{UUID(path.rpartition('/')[2]).hex}{UUID(waits['run_id']).hex}"
    seen = await talk.call("GET", response)
    assert (seen.status_code, seen.json()["status"]) == (200, "queued")
    cancelled = await talk.call("POST", f"{path}/turns/{waits['turn']['id']}/cancel", {})
    assert cancelled.status_code == 200, cancelled.text
    read = await talk.call("GET", response)
    assert (read.status_code, read.json()["status"]) == (200, "cancelled")
    gate.open()
    one_end(await talk.follow(first))


async def test_what_interrupts_stops_the_running_turn_keeps_its_text_and_is_answered(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", held(), Reply(text="Instead."))
    first = await talk.start(path, "Long?")
    await asked(server)
    waits = await talk.post(path, "Waits?", background=True)
    answer = await talk.post(path, "Something else?", on_busy="interrupt")
    assert answer.json()["message"]["content"] == "Instead."
    await server.until(lambda: server.requests[-2].ended == "left")
    kind, end = one_end(await talk.follow(first))
    assert kind == "turn.cancelled"
    withdrawn = await talk.follow(f"{path}/turns/{waits.json()['turn']['id']}")
    assert one_end(withdrawn)[0] == "turn.cancelled"
    seen = await talk.see(path)
    assert [turn["state"] for turn in seen["turns"]] == ["cancelled", "cancelled", "completed"]
    kept = [each["content"] for each in seen["messages"] if each["turn"] == end["turn"]["id"]]
    assert "".join(kept[1:]) == end["message"]["content"]


async def test_a_message_that_waits_is_taken_back_by_cancel_and_a_kill_of_what_runs_lets_the_next_begin(
    talk: Talks, server: ModelServer
):
    path = await talk.begin()
    server.script_for("chat-model", held(), Reply(text="After the kill."))
    await talk.start(path, "Long?")
    await asked(server)
    back, waits = [(await talk.post(path, text, background=True)).json()["turn"]["id"] for text in ("Back?", "Stays?")]
    cancelled = await talk.call("POST", f"{path}/turns/{back}/cancel")
    assert (cancelled.status_code, cancelled.json()["turn"]["state"]) == (200, "cancelled")
    with psycopg.connect(talk.magnet.database.owner_dsn) as connection:
        connection.execute("UPDATE magnet.leases SET until = now() - interval '1 second', owner = gen_random_uuid()")
    await talk.magnet.container.leases.sweep()
    events = await talk.follow(f"{path}/turns/{waits}")
    assert (one_end(events)[0], said(events)) == ("turn.completed", "After the kill.")


async def test_what_waits_behind_a_turn_that_waits_for_a_person_begins_when_that_is_cancelled(
    talk: Talks, server: ModelServer
):
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"actions": actions})
    path, gate = await talk.begin(), Gate()
    call = ToolCalled(name="shout", arguments={"word": "a"}, id="c")
    server.script_for("chat-model", Reply(text="one two", tool_calls=[call], gate=gate), Reply(text="Two."))
    first = await talk.start(path, "First?")
    await asked(server)
    second = (await talk.post(path, "Second?", background=True)).json()["turn"]["id"]
    gate.open()
    seen = await talk.until(path, lambda it: it["state"] == "awaiting_confirmation")
    assert [turn["state"] for turn in seen["turns"]] == ["awaiting_confirmation", "queued"]
    assert (await talk.call("POST", f"{first}/cancel")).json()["turn"]["state"] == "cancelled"
    async with asyncio.timeout(PATIENCE):
        events = await talk.follow(f"{path}/turns/{second}")
    assert (one_end(events)[0], said(events)) == ("turn.completed", "Two.")


async def test_who_may_no_more_is_not_answered_any_more(talk: Talks, server: ModelServer):
    admin = await key_of(talk.magnet, "root", "admin")
    headers = {"X_API_Key": await key_of(talk.magnet, "person", "user", admin=admin)}
    theirs = Talks(magnet=talk.magnet, books=talk.books, headers=headers)
    path, gate = await theirs.begin(), Gate()
    server.script_for("chat-model", held(gate=gate))
    await theirs.start(path, "First?")
    await asked(server)
    waits = (await theirs.post(path, "Second?", background=True)).json()["turn"]["id"]
    await talk.magnet.do("DELETE", "/v1/api-keys/person", X_API_Key=admin)
    gate.open()
    mine = Talks(magnet=talk.magnet, books=talk.books, headers={"X_API_Key": admin})
    seen = await mine.until(path, lambda it: it["turns"][-1]["state"] != "queued")
    assert (seen["turns"][-1]["id"], seen["turns"][-1]["error"]["code"]) == (waits, "credential_ended")
    kind, end = one_end(await mine.follow(f"{path}/turns/{waits}"))
    assert (kind, end["error"]["code"]) == ("turn.failed", "credential_ended"), "who waits for it is told"
    assert not any("Second?" in str(each.body) for each in server.requests)


async def test_the_end_of_a_turn_in_the_background_is_told_by_the_event_stream(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.script_for("chat-model", Reply(text="Thirty."))
    begun = await talk.post(path, "How many?", background=True)
    after = begun.json()["position"]
    heard = f"/v1/events/stream?after={after}&type=conversation.turn_completed&aggregate={path[-36:]}"
    async with talk.magnet.client.stream("GET", heard) as stream, asyncio.timeout(PATIENCE):
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                break
    event = json.loads(line.removeprefix("data:"))
    assert (event["type"], event["data"]["turn"]) == ("conversation.turn_completed", begun.json()["turn"]["id"])
