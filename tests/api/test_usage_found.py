"""Usage by what was found of what was said: topic, feedback, resolution and language, some of it hours after the run."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.postgres.runs import PostgresRunsWriter
from domain.run import Run
from projections.runs import RunsProjection
from tests.api.test_subjects import CANARY
from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, talks

SHOUT = ToolCalled(name="shout", arguments={"words": "hey"}, id="c1")
OVER = ToolCalled(name="to_desk", arguments={"message": "Lunch?"}, id="c2")
FOUND = {"sentiment": "neutral", "resolution": "partly_resolved", "language": "de", "summary": f"Lunch, {CANARY}."}
DESK = {
    "name": "desk",
    "instructions": "You help.",
    "classification": {},
    "post_processing": {},
    "topics": [
        {"name": "leave", "description": "Holidays.", "actions": [ACTIONS[1]]},
        {"name": "lunch", "description": "Food.", "actions": [{**ACTIONS[2], "requires_confirmation": True}]},
    ],
}


@pytest.fixture
async def books(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Two documents, models, and a RAG tool over them."""
    async with library(magnet) as made:
        yield made


def about(topic: str | None) -> Reply:
    """Return what a classifier says of a message about this."""
    return Reply(text=json.dumps({"intent": "topic" if topic else "greeting", "topic": topic}))


async def spoken(talk: Talks, server: ModelServer) -> str:
    """Have four turns in two conversations, one of them in two runs, and return the path of the one with three."""
    await talk.magnet.do("POST", "/v1/agents", DESK)
    script = [about("lunch"), Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="HEY"), Reply(text="Done.")]
    script += [
        about("leave"),
        Reply(text="Thirty."),
        about("leave"),
        Reply(text="Yes."),
        about(None),
        Reply(text="Hi!"),
    ]
    server.script_for("chat-model", *script)
    path = await talk.begin("desk", subject="ada")
    asked = await talk.say(path, "Shout for lunch!")
    await talk.magnet.do("POST", f"{path}/confirmations", {"id": asked["confirmations"][0]["id"], "approved": True})
    await talk.say(path, "How many days?")
    await talk.say(path, "Sure?")
    await talk.say(await talk.begin("desk", subject="bob"), "Hello!")
    return path


async def rate(talk: Talks, path: str, turn: int, rating: str) -> None:
    message = (await talk.see(path))["turns"][turn]["id"]
    [answer] = [
        each for each in (await talk.see(path))["messages"] if each["turn"] == message and each["role"] != "user"
    ]
    body = {"message_id": answer["id"], "rating": rating, "comment": f"Too loud, {CANARY}"}
    await talk.magnet.do("POST", f"{path}/feedback", body)


async def close(talk: Talks, server: ModelServer, path: str) -> None:
    server.script_for("chat-model", Reply(text=json.dumps(FOUND)))
    await talk.magnet.do("POST", f"{path}/close")
    await talk.until(path, lambda seen: seen["processing"])


async def usage(magnet: Running, by: str, query: str = "") -> dict[Any, int]:
    """Return how many runs there are of each value."""
    magnet.position = await magnet.container.log.head()
    return {row[by]: row["count"] for row in (await magnet.get(f"/v1/usage?by={by}&{query}"))["items"]}


async def checksum(magnet: Running) -> str:
    assert await magnet.container.reached("runs_v1", await magnet.container.log.head(), PATIENCE)
    status = await magnet.container.administration.status()
    return next(str(each.checksum) for each in status if each.name == "runs_v1")


async def test_turns_count_by_the_topic_they_were_taken_for_with_all_their_runs(talk: Talks, server: ModelServer):
    await spoken(talk, server)
    assert await usage(talk.magnet, "topic", "kind=turn") == {"lunch": 2, "leave": 2, None: 1}
    assert await usage(talk.magnet, "subject", "topic=leave") == {"ada": 2}
    assert await usage(talk.magnet, "topic", "model=chat") == {"lunch": 4, "leave": 4, None: 2}, "calls of models too"
    runs = (await talk.magnet.get("/v1/runs?topic=lunch"))["items"]
    assert [run["kind"] for run in runs] == ["turn", "turn"]


async def test_a_turn_that_is_handed_to_another_agent_counts_by_that_ones_topic(talk: Talks, server: ModelServer):
    await talk.magnet.do("POST", "/v1/agents", DESK)
    over = {"type": "agent", "tool": "desk", "function": "to_desk", "hand_off": True}
    front = {"name": "front", "instructions": "You greet.", "classification": {}}
    topics = [{"name": "other", "description": "All else.", "actions": [over]}, {"name": "none", "description": "-"}]
    await talk.magnet.do("POST", "/v1/agents", {**front, "topics": topics})
    server.script_for("chat-model", about("other"), Reply(tool_calls=[OVER]), about("leave"), Reply(text="At noon."))
    await talk.say(await talk.begin("front"), "Lunch?")
    assert await usage(talk.magnet, "topic") == {"leave": 1}


async def test_feedback_counts_with_the_turn_it_is_on_as_it_was_given_last(talk: Talks, server: ModelServer):
    path = await spoken(talk, server)
    assert await usage(talk.magnet, "feedback") == {None: 5}
    await rate(talk, path, 0, "down")
    await rate(talk, path, 1, "down")
    assert await usage(talk.magnet, "feedback") == {"down": 3, None: 2}
    await rate(talk, path, 0, "up")
    assert await usage(talk.magnet, "feedback", "kind=turn") == {"up": 2, "down": 1, None: 2}
    assert await usage(talk.magnet, "topic", "feedback=down") == {"leave": 1}
    [run] = (await talk.magnet.get("/v1/runs?feedback=down"))["items"]
    assert run["id"] == (await talk.see(path))["turns"][1]["run_id"]
    assert (await talk.magnet.get("/v1/runs?feedback=up&topic=leave"))["items"] == []


async def test_what_post_processing_finds_counts_with_all_turns_of_the_conversation(talk: Talks, server: ModelServer):
    path = await spoken(talk, server)
    assert await usage(talk.magnet, "resolution") == {None: 5}
    await close(talk, server, path)
    assert await usage(talk.magnet, "resolution", "kind=turn") == {"partly_resolved": 4, None: 1}
    assert await usage(talk.magnet, "language", "resolution=partly_resolved") == {"de": 4}
    assert await usage(talk.magnet, "kind", "language=de") == {"turn": 4}, "not the run that found it"
    assert len((await talk.magnet.get("/v1/runs?language=de&resolution=partly_resolved"))["items"]) == 4


async def test_answers_of_rag_tools_count_by_their_resolution_and_their_questions_language(
    books: Library, server: ModelServer
):
    nothing = "I can't find that in the documents."
    server.script_for("chat-model", Reply(text="Thirty [1]."), Reply(text=nothing), Reply(text="Ja [1]."))
    await books.ask("How many holidays?")
    await books.ask("What is the password?")
    await books.magnet.do("PATCH", "/v1/rag-tools/ask?publish=true", {"languages": {}})
    await books.ask("Wie viele Tage Urlaub habe ich im Jahr?")
    assert await usage(books.magnet, "resolution", "kind=answer") == {"answered": 2, "not_answered": 1}
    assert await usage(books.magnet, "language", "resolution=answered") == {"de": 1, None: 1}
    [run] = (await books.magnet.get("/v1/runs?resolution=not_answered"))["items"]
    note = (await books.magnet.get(f"/v1/runs/{run['id']}"))["steps"][0]["note"]
    assert note["resolution"] == "not_answered"


async def test_usage_as_csv_tells_it_and_a_rebuild_makes_the_same_rows_with_no_word_of_what_was_said(
    talk: Talks, server: ModelServer
):
    path = await spoken(talk, server)
    before = await checksum(talk.magnet)
    await rate(talk, path, 0, "down")
    await rate(talk, path, 0, "up")
    rated = await checksum(talk.magnet)
    await close(talk, server, path)
    live = await checksum(talk.magnet)
    assert len({before, rated, live}) == 3
    by = "topic,feedback,resolution,language"
    talk.magnet.position = await talk.magnet.container.log.head()
    answer = await talk.magnet.call("GET", f"/v1/usage?by={by}&kind=turn&format=csv")
    told = {
        tuple(row[name] for name in by.split(",")): row["count"] for row in csv.DictReader(io.StringIO(answer.text))
    }
    assert told == {
        ("lunch", "up", "partly_resolved", "de"): "2",
        ("leave", "", "partly_resolved", "de"): "2",
        ("", "", "", ""): "1",
    }
    await build_anew(talk.magnet.container.administration, "runs_v1")
    assert await checksum(talk.magnet) == live
    with psycopg.connect(talk.magnet.database.owner_dsn) as owner:
        tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'runs_v1'::regnamespace"
        for (table,) in owner.execute(tables).fetchall():
            rows = owner.execute(
                psycopg.sql.SQL("SELECT count(*) FROM {} AS t WHERE t::text LIKE %s").format(
                    psycopg.sql.Identifier("runs_v1", table)
                ),
                [f"%{CANARY}%"],
            )
            assert rows.fetchone() == (0,), table


async def test_whether_runs_are_followed_before_their_conversations_or_after_makes_no_difference(
    talk: Talks, server: ModelServer
):
    path = await spoken(talk, server)
    await rate(talk, path, 0, "up")
    await close(talk, server, path)
    live = await checksum(talk.magnet)
    container = talk.magnet.container
    events = await container.log.section(0, 10_000)
    ours = [entry for entry in events if isinstance(entry.event, Run.Created | Run.Finished)]
    others = [entry for entry in events if entry not in ours]
    for order in (ours + others, others + ours):
        async with container.pool.connection() as connection, connection.transaction(force_rollback=True):
            await connection.execute("CREATE SCHEMA elsewhere")
            await connection.execute("SET LOCAL search_path TO elsewhere")
            await PostgresRunsWriter.create(connection)
            for entry in order:
                await RunsProjection().apply([entry], PostgresRunsWriter(connection))
            assert await PostgresRunsWriter(connection).checksum() == live


async def test_a_read_model_of_an_earlier_version_is_completed_with_what_was_recorded_before(
    handbook: None, database: Database, tmp_path: Path, server: ModelServer
):
    async with serving(database, tmp_path) as magnet, talks(magnet, server) as talk:
        path = await spoken(talk, server)
        await rate(talk, path, 0, "up")
        live = await checksum(magnet)
    async with serving(database, tmp_path, worker=False) as magnet:
        with psycopg.connect(database.owner_dsn) as owner:  # as a worker of the earlier version leaves it
            owner.execute("DROP TABLE runs_v1.turns, runs_v1.topics, runs_v1.feedback, runs_v1.processed")
            owner.execute("ALTER TABLE runs_v1.runs DROP COLUMN resolution, DROP COLUMN language")
        for query in ("/v1/usage", "/v1/usage?by=topic", "/v1/runs?feedback=up"):
            answer = await magnet.call("GET", query)
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text
    async with serving(database, tmp_path) as magnet:
        async with asyncio.timeout(PATIENCE):
            while await checksum(magnet) != live:
                await asyncio.sleep(0.02)
        assert await usage(magnet, "feedback") == {"up": 2, None: 3}
