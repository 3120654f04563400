"""Turns in the background, over HTTP: on record with their job, and carried out by any worker, once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.conversations.background_turns import CarryOutTurns
from commands.conversations.conversation_jobs import BACKGROUND_TURNS
from commands.jobs import Job
from commands.ports import SYSTEM, Context
from domain.conversation import Conversation
from tests.api.test_access import key_of
from tests.api.test_turns import asked, held, one_end
from tests.support.library import Library, library
from tests.support.model_server import Gate, ModelServer, Reply
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.talks import Talks, said

AT_ONCE = {"Magnet_Min_Position": "0"}
"""Nothing keeps read models up to date where no worker is."""

CANCELLED = {"outcome": "cancelled", "error": None}


@pytest.fixture
async def front(database: Database, tmp_path: Path, server: ModelServer) -> AsyncIterator[Talks]:
    """Conversations by a process that carries out no jobs."""
    async with serving(database, tmp_path, worker=False) as running, library(running) as books:
        await books.models(server)
        await running.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help."})
        yield Talks(magnet=running, books=books, headers=AT_ONCE)


def elsewhere(talk: Talks, running: Running) -> Talks:
    return Talks(magnet=running, books=Library(magnet=running, owner=talk.books.owner))


def job_of(path: str, turn: str) -> Job:
    payload = {"conversation": path[-36:], "channel": "api", "attributes": {}}
    return Job(id=UUID(int=1), kind=BACKGROUND_TURNS, key=turn, payload=payload)


async def test_a_turn_in_the_background_is_carried_out_by_a_worker_when_who_took_it_does_no_such_thing(
    front: Talks, server: ModelServer, database: Database, tmp_path: Path
):
    server.script_for("chat-model", Reply(text="Thirty."))
    path = await front.begin()
    answer = await front.post(path, "How many?", background=True)
    assert (answer.status_code, answer.json()["turn"]["state"]) == (202, "running")
    assert (await front.see(path))["turns"][0]["state"] == "running"
    assert not server.requests, "it has not been begun"
    async with serving(database, tmp_path) as worker:
        events = await elsewhere(front, worker).follow(f"{path}/turns/{answer.json()['turn']['id']}")
    assert (one_end(events)[0], said(events)) == ("turn.completed", "Thirty.")
    assert len(server.requests) == 1


async def test_it_goes_on_when_who_took_it_ends(front: Talks, server: ModelServer, database: Database, tmp_path: Path):
    gate = Gate()
    server.script_for("chat-model", held(gate=gate))
    async with serving(database, tmp_path) as worker:
        path = await front.begin()
        turn = await front.start(path, "How many?")
        await asked(server)
        await front.magnet.container.turns.close(drain=0)
        gate.open()
        events = await elsewhere(front, worker).follow(turn)
    assert (one_end(events)[0], said(events)) == ("turn.completed", "one two three")


async def test_one_that_no_process_has_taken_is_cancelled_at_once_and_never_begun(
    front: Talks, server: ModelServer, database: Database, tmp_path: Path
):
    server.script_for("chat-model", Reply(text="Only this."))
    path = await front.begin()
    turn = await front.start(path, "How many?")
    cancelled = await front.call("POST", f"{turn}/cancel")
    assert (cancelled.status_code, cancelled.json()["turn"]["state"]) == (200, "cancelled")
    assert one_end(await front.follow(turn))[0] == "turn.cancelled"
    async with serving(database, tmp_path) as worker:
        talk = elsewhere(front, worker)
        assert (await talk.say(path, "And now?"))["message"]["content"] == "Only this."
        run = await talk.run(cancelled.json()["run_id"])
    assert {name: run[name] for name in CANCELLED} == CANCELLED
    assert [each["state"] for each in (await front.see(path))["turns"]] == ["cancelled", "completed"]
    assert len(server.requests) == 1


async def test_what_interrupts_ends_one_that_no_process_has_taken(front: Talks, server: ModelServer):
    server.script_for("chat-model", Reply(text="Instead."))
    path = await front.begin()
    await front.start(path, "How many?")
    waits = await front.post(path, "Something else?", on_busy="interrupt", background=True)
    seen = await front.see(path)
    assert [turn["state"] for turn in seen["turns"]] == ["cancelled", "queued"]
    assert (waits.status_code, waits.json()["turn"]["state"]) == (202, "queued")


async def test_who_may_no_more_is_not_answered_and_a_listener_is_told(
    front: Talks, server: ModelServer, database: Database, tmp_path: Path
):
    admin = await key_of(front.magnet, "root", "admin")
    headers = {**AT_ONCE, "X_API_Key": await key_of(front.magnet, "person", "user", admin=admin)}
    theirs = Talks(magnet=front.magnet, books=front.books, headers=headers)
    turn = await theirs.start(await theirs.begin(), "How many?")
    await front.magnet.do("DELETE", "/v1/api-keys/person", X_API_Key=admin)
    async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as worker:
        mine = Talks(magnet=worker, books=front.books, headers={"X_API_Key": admin})
        kind, end = one_end(await mine.follow(turn))
    assert (kind, end["error"]["code"]) == ("turn.failed", "credential_ended")
    assert not server.requests


async def test_a_cancel_that_comes_while_it_is_being_taken_is_not_lost(front: Talks, server: ModelServer):
    server.script_for("chat-model", held())
    path = await front.begin()
    turn = (await front.start(path, "How many?"))[-36:]
    container = front.magnet.container
    claim = container.leases.claim

    async def cancelled_meanwhile(id: UUID) -> bool:
        taken = await claim(id)
        container.turns.stop(id)
        return taken

    container.leases.claim = cancelled_meanwhile  # type: ignore[method-assign]
    conversation = await container.store.newest(Conversation, UUID(path[-36:]))
    await container.turns.take_over(conversation, turn, Context(actor=SYSTEM))
    assert one_end(await front.follow(f"{path}/turns/{turn}"))[0] == "turn.cancelled"


async def test_one_that_could_not_be_begun_for_so_long_is_interrupted_and_retry_works(
    front: Talks, server: ModelServer
):
    server.script_for("chat-model", Reply(text="Thirty."))
    path = await front.begin()
    turn = (await front.start(path, "How many?"))[-36:]
    container = front.magnet.container

    async def nobody(_: Any) -> None:
        return None

    work = CarryOutTurns(
        bus=container.bus, things=container.store, turns=container.turns, claims=container.leases, asking=nobody
    )
    await work.give_up(job_of(path, turn), "The database was away.")
    assert (await front.see(path))["turns"][0]["state"] == "interrupted"
    await work.carry_out([job_of(path, turn)])
    retried = await front.call("POST", f"{path}/turns/{turn}/retry")
    assert retried.json()["message"]["content"] == "Thirty."
