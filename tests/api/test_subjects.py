"""Subjects: all that is held of a person is given out, and what they said is erased, wherever it lies."""

import asyncio
import gzip
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from adapters.backup.dump import back_up
from api.cli.backups import key_text
from projections.integration_events import cloud_event
from tests.api.test_turns import asked, held
from tests.support.model_server import Gate, ModelServer, Reply, ToolCalled
from tests.support.model_server.steps import refused
from tests.support.patience import PATIENCE
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, talks

CANARY = "canary-7f31"
ERASED = "[erased]"
SUBJECT = "person-1"
SHOUT = ToolCalled(name="shout", arguments={"words": f"hey {CANARY}"}, id="c2")
SEARCH = ToolCalled(name="find_passages", arguments={"query": f"holidays {CANARY}"}, id="c1")


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, server, actions=actions) as made:
        yield made


@pytest.fixture
async def elsewhere(magnet: Running, talk: Talks) -> AsyncIterator[Talks]:
    """Another process on the same database."""
    async with serving(magnet.database, Path(magnet.container.settings.home)) as other:
        yield Talks(magnet=other, books=talk.books)


async def say_everything(talk: Talks, server: ModelServer, subject: str) -> str:
    """Leave the canary wherever something can be said; return the conversation's path."""
    path = await talk.begin(subject=subject, variables={"greeting": CANARY})
    server.script_for(
        "chat-model",
        Reply(tool_calls=[SEARCH]),
        Reply(text=f"Thirty days, {CANARY}. Shall I shout?", tool_calls=[SHOUT]),
        Reply(text="HEY"),
        Reply(text=f"Done, {CANARY}."),
        refused(400, "invalid_request_error", f"No: {CANARY} is not allowed."),
        Reply(text=f"Fine, {CANARY}.", tool_calls=[SHOUT]),
        Reply(text=f"Never mind, {CANARY}."),
    )
    asked = await talk.say(path, f"How many days, {CANARY}?")
    decision = {"id": asked["confirmations"][0]["id"], "approved": True}
    done = await talk.magnet.do("POST", f"{path}/confirmations", decision)
    feedback = {"message_id": done["message"]["id"], "rating": "down", "comment": f"Too loud, {CANARY}"}
    await talk.magnet.do("POST", f"{path}/feedback", feedback)
    failed = await talk.post(path, f"And this, {CANARY}?")
    assert CANARY in failed.text, "what the provider said is told to who asked"
    assert (await talk.say(path, f"Shout {CANARY}"))["turn"]["state"] == "awaiting_confirmation"
    assert (await talk.say(path, f"No, {CANARY}"))["turn"]["state"] == "completed"

    server.script_for("chat-model", Reply(text=f"HEY {CANARY}"), Reply(text=f"Thirty, {CANARY} [1]."))
    body = {"variables": {"words": CANARY}, "subject": subject}
    assert CANARY in (await talk.call("POST", "/v1/prompts/shout/run", body, Idempotency_Key=f"p-{subject}")).text
    question = {"question": f"How many holidays, {CANARY}?", "subject": subject}
    assert (
        CANARY in (await talk.call("POST", "/v1/rag-tools/ask/answer", question, Idempotency_Key=f"a-{subject}")).text
    )
    query = {"query": f"holidays {CANARY}", "subject": subject}
    await talk.magnet.do("POST", "/v1/retrieval-tools/find/search", query)
    return path


async def everything_about(talk: Talks, path: str, subject: str) -> str:
    """Return all that queries tell of a conversation and of its subject's runs."""
    talk.magnet.position = await talk.magnet.container.log.head()
    told = [str(await talk.see(path)), str(await talk.magnet.get(f"/v1/conversations?subject={subject}"))]
    runs = (await talk.magnet.get(f"/v1/runs?subject={subject}"))["items"]
    told += [str(run) for run in runs]
    for run in runs:
        told.append(str(await talk.magnet.get(f"/v1/runs/{run['id']}")))
    for turn in (await talk.see(path))["turns"]:
        told.append((await talk.call("GET", f"{path}/turns/{turn['id']}/stream")).text)
    return "\n".join(told)


async def erase(talk: Talks, subject: str = SUBJECT) -> Any:
    """Erase a subject, and wait until nothing is left to be done."""
    receipt = await talk.magnet.do("POST", f"/v1/subjects/{subject}/erase", {"message": "as asked"})
    async with asyncio.timeout(PATIENCE):
        while not (await talk.magnet.get("/v1/events?type=subject.answers_removed"))["items"]:
            await asyncio.sleep(0.02)
    return receipt


def database_holds(dsn: str, text: str) -> list[str]:
    """Return the tables that a text stands in, as text or as bytes."""
    found = []
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 30
        for schema, table in tables:
            query = SQL("SELECT count(*) FROM {}.{} AS t WHERE strpos(t::text, %s) > 0 OR strpos(t::text, %s) > 0")
            row = connection.execute(
                query.format(Identifier(schema), Identifier(table)), [text, text.encode().hex()]
            ).fetchone()
            assert row is not None
            if row[0]:
                found.append(f"{schema}.{table}")
    return found


async def test_all_that_is_held_of_a_person_is_given_out(talk: Talks, server: ModelServer):
    path = await say_everything(talk, server, SUBJECT)
    await talk.begin(subject="person-2")
    given = await talk.magnet.do("POST", f"/v1/subjects/{SUBJECT}/export", {"message": "they asked"})
    assert given["subject"] == SUBJECT
    [conversation] = given["conversations"]
    assert conversation == await talk.see(path)
    listed = (await talk.magnet.get(f"/v1/runs?subject={SUBJECT}"))["items"]
    assert [run["id"] for run in given["runs"]] == [run["id"] for run in listed]
    assert {run["kind"] for run in given["runs"]} == {"turn", "prompt", "answer", "search"}
    assert given["runs"][0] == await talk.magnet.get(f"/v1/runs/{given['runs'][0]['id']}")
    [event] = (await talk.magnet.get("/v1/events?type=subject.exported"))["items"]
    assert (event["aggregate_id"], event["reason"]) == (given["id"], "they asked")


async def test_of_who_was_erased_nothing_that_was_said_can_be_read_anywhere(
    talk: Talks, elsewhere: Talks, server: ModelServer, capsys: pytest.CaptureFixture[str]
):
    path = await say_everything(talk, server, SUBJECT)
    for each in (talk, elsewhere):
        assert CANARY in await everything_about(each, path, SUBJECT)
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == [], "what persons say is never stored in plain"
    await erase(talk)
    for each in (talk, elsewhere):
        told = await everything_about(each, path, SUBJECT)
        assert CANARY not in told and ERASED in told
        found = await each.magnet.get(f"/v1/conversations?q={CANARY}")
        assert found["items"] == []
    given = await talk.magnet.do("POST", f"/v1/subjects/{SUBJECT}/export")
    assert CANARY not in str(given) and len(given["conversations"]) == 1
    assert CANARY not in str(await talk.magnet.get("/v1/events?limit=500"))
    with psycopg.connect(talk.magnet.database.owner_dsn) as connection:
        kept = connection.execute("SELECT count(*) FROM magnet.idempotency").fetchone()
        keys = connection.execute("SELECT wrapped_key FROM magnet.data_keys WHERE destroyed_at IS NOT NULL").fetchall()
    assert kept == (0,), "what repeats would have been answered is gone"
    assert keys == [(None,)]
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == []
    assert CANARY not in capsys.readouterr().out
    await nothing_that_leaves_holds(talk, CANARY)


async def nothing_that_leaves_holds(talk: Talks, text: str) -> None:
    """Look through a backup, the log as files and as messages to Kafka, and all that lies beside the database."""
    settings = talk.magnet.container.settings
    assert text not in str(
        [cloud_event(event, "x") for event in (await talk.magnet.get("/v1/events?limit=500"))["items"]]
    )
    for form in ("ndjson", "csv"):
        exported = (await talk.call("GET", f"/v1/events?format={form}")).text
        assert "conversation.turn_started" in exported and text not in exported
    file = settings.home / "backup"
    await asyncio.to_thread(back_up, talk.magnet.database.app_dsn, key_text(settings), file)
    with tarfile.open(file) as backup:
        members = [(member.name, backup.extractfile(member)) for member in backup.getmembers()]
        held = {name: member.read() for name, member in members if member is not None}
    file.unlink()
    unpacked = {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in held.items()}
    assert any(b"conversation.turn_started" in data for data in unpacked.values())
    unpacked |= {str(path): path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}
    for name, data in unpacked.items():
        assert text.encode() not in data and text.encode().hex().encode() not in data, name


async def test_others_are_left_alone_the_log_still_verifies_and_is_rebuilt_to_the_same(
    talk: Talks, server: ModelServer
):
    await say_everything(talk, server, SUBJECT)
    server.script_for("chat-model", Reply(text="Thirty."))
    other = await talk.begin(subject="person-2")
    await talk.say(other, f"And for me, {CANARY}?")
    before = await checksums(talk)
    await erase(talk)
    assert CANARY in str(await talk.see(other))
    verified = await talk.magnet.get("/v1/audit/verify")
    assert (verified["ok"], verified["first_bad"]) == (True, None)
    assert await checksums(talk) == before
    for name in before:
        await talk.magnet.do("POST", f"/v1/projections/{name}/rebuild")
    async with asyncio.timeout(PATIENCE):
        while any(each.state != "live" for each in await talk.magnet.container.administration.status(checksums=False)):
            await asyncio.sleep(0.02)
    assert await checksums(talk) == before


async def checksums(talk: Talks) -> dict[str, str]:
    """Return the checksums of what is kept of conversations and runs, once all is in."""
    head = await talk.magnet.container.log.head()
    names = ("conversations_v1", "runs_v1")
    for name in names:
        assert await talk.magnet.container.reached(name, head, PATIENCE)
    status = await talk.magnet.container.administration.status(checksums=True)
    return {each.name: str(each.checksum) for each in status if each.name in names}


async def test_nothing_new_is_recorded_for_who_was_erased(talk: Talks, server: ModelServer):
    path = await talk.begin(subject=SUBJECT)
    receipt = await erase(talk)
    again = await talk.magnet.do("POST", f"/v1/subjects/{SUBJECT}/erase")
    assert again["version"] >= receipt["version"]
    assert len((await talk.magnet.get("/v1/events?type=subject.erased"))["items"]) == 1
    said = await talk.post(path, "Hello?")
    assert (said.status_code, said.json()["code"]) == (409, "subject_erased")
    body = {"variables": {"words": "x"}, "subject": SUBJECT}
    run = await talk.call("POST", "/v1/prompts/shout/run", body)
    assert (run.status_code, run.json()["code"]) == (409, "subject_erased")


async def test_a_turn_that_runs_while_its_person_is_erased_leaves_nothing(talk: Talks, server: ModelServer):
    path, gate = await talk.begin(subject=SUBJECT), Gate()
    server.script_for("chat-model", held(f"one {CANARY} three", gate))
    turn = await talk.start(path, f"Tell me, {CANARY}")
    await asked(server)
    await erase(talk)
    gate.open()
    events = await talk.follow(turn)
    assert events[-1][0] in ("turn.failed", "turn.completed")
    async with talk.magnet.container.pool.connection() as connection:
        await connection.execute("UPDATE magnet.leases SET until = now() - interval '1 second'")
    await talk.magnet.container.leases.sweep()
    seen = await talk.see(path)
    assert seen["turns"][0]["state"] == "interrupted"
    assert CANARY not in str(seen)


@pytest.mark.parametrize("subject", ["a/b", "ä ö", "x" * 200])
async def test_a_subject_that_fits_no_path_is_named_in_the_body(talk: Talks, server: ModelServer, subject: str):
    server.script_for("chat-model", Reply(text="Thirty."))
    path = await talk.begin(subject=subject)
    await talk.say(path, f"Hello {CANARY}")
    given = await talk.magnet.do("POST", "/v1/subjects/-/export", {"subject": subject})
    assert CANARY in str(given["conversations"])
    await talk.magnet.do("POST", "/v1/subjects/-/erase", {"subject": subject})
    assert CANARY not in str(await talk.see(path))


async def test_a_subject_with_a_slash_is_named_by_its_encoded_form_too(magnet: Running):
    assert (await magnet.do("POST", "/v1/subjects/crm%2F4%2f7/export"))["subject"] == "crm/4/7"


UNCLEAR: list[tuple[str, Any, str]] = [
    ("/v1/subjects/-/erase", {}, "invalid"),
    ("/v1/subjects/someone/erase", {"subject": "other"}, "invalid"),
    ("/v1/subjects/-/erase", {"subject": ""}, "invalid"),
    (f"/v1/subjects/{'x' * 201}/erase", {}, "invalid"),
    ("/v1/subjects/someone/erase", {"all": True}, "invalid"),
    ("/v1/subjects/some%00one/erase", {}, "invalid_text"),
]


async def test_whom_it_is_about_must_be_clear(subtests: pytest.Subtests, magnet: Running):
    for path, body, code in UNCLEAR:
        with subtests.test(str((path, body, code))[:80]):
            answer = await magnet.call("POST", path, body)
            assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
