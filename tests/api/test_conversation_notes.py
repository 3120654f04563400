"""Titles, notes, copied answers and exports over HTTP: who may, who sees them, and that they are erased."""

from collections.abc import AsyncIterator

import pytest

from tests.api.test_access import key_of
from tests.api.test_subjects import CANARY, database_holds, erase
from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.server import Running
from tests.support.talks import ACTIONS, Talks, talks

FIND = ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="c1")
SHOUT = ToolCalled(name="shout", arguments={"words": "```hey"}, id="c2")


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, server, actions=actions) as made:
        yield made


async def test_titles_are_listed_and_searched_by_time_and_erased_with_all_else(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada")
    await talk.magnet.do("POST", f"{path}/title", {"title": f"Leave {CANARY}", "message": "clearer"})
    other = await talk.begin()
    listed = (await talk.magnet.get("/v1/conversations"))["items"]
    assert [each["title"] for each in listed] == [None, f"Leave {CANARY}"]
    assert (await talk.see(path))["title"] == f"Leave {CANARY}"
    since = (await talk.see(other))["updated_at"]
    assert [each["id"] for each in (await talk.magnet.get(f"/v1/conversations?since={since}"))["items"]] == [
        other[-36:]
    ]
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == []
    await erase(talk, "ada")
    assert CANARY not in str(await talk.magnet.get("/v1/conversations"))
    for body in ({}, {"title": ""}, {"title": "x" * 201}):
        assert (await talk.call("POST", f"{other}/title", body)).status_code == 422


async def test_notes_are_for_reviewers_and_an_answer_that_was_copied_says_so(talk: Talks, server: ModelServer):
    admin = await key_of(talk.magnet, "root", "admin")
    person = {"X_API_Key": await key_of(talk.magnet, "person", "user", admin=admin)}
    auditor = {"X_API_Key": await key_of(talk.magnet, "auditor", "auditor", admin=admin)}
    editor = {"X_API_Key": await key_of(talk.magnet, "editor", "editor", admin=admin)}
    theirs = Talks(magnet=talk.magnet, books=talk.books, headers=person)
    path = await theirs.begin(subject="ada")
    server.script_for("chat-model", Reply(text="Thirty."))
    answer = (await theirs.say(path, "How many?"))["message"]["id"]
    noted = await talk.call("POST", f"{path}/notes", {"text": f"Wrong, {CANARY}", "message_id": answer}, **auditor)
    assert (noted.status_code, noted.json().keys()) == (200, {"id", "version", "position", "note_id"})
    assert (await talk.call("POST", f"{path}/notes", {"text": "x"}, **person)).status_code == 403
    assert (await talk.call("POST", f"{path}/notes", {"text": "x"}, **editor)).status_code == 404, "it is not theirs"
    copied = await talk.call("POST", f"{path}/copied", {"message_id": answer}, **person)
    again = await talk.call("POST", f"{path}/copied", {"message_id": answer}, **person)
    assert copied.json()["version"] == again.json()["version"]
    assert (await talk.call("POST", f"{path}/copied", {"message_id": path[-36:]}, **person)).status_code == 404
    seen = await theirs.see(path)
    assert "notes" not in seen and CANARY not in str(seen) and seen["messages"][1]["copied"]
    [note] = (await talk.magnet.get(path, **auditor))["notes"]
    assert (note["id"], note["message_id"], note["text"]) == (noted.json()["note_id"], answer, f"Wrong, {CANARY}")
    assert note["author"]["name"] == "auditor"
    given = await talk.magnet.do("POST", "/v1/subjects/ada/export", X_API_Key=admin)
    assert CANARY in str(given), "a person is given all that is held of them"


async def test_a_conversation_is_exported_whole_as_json_and_as_markdown(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada")
    server.script_for("chat-model", Reply(tool_calls=[FIND]), Reply(text="Thirty [1].", tool_calls=[SHOUT]))
    waiting = await talk.say(path, "How many holidays?\n\n# And more?")
    await talk.magnet.do("POST", f"{path}/title", {"title": "About leave"})
    answer = waiting["message"]["id"]
    feedback = {"message_id": answer, "rating": "down", "reason": "tone", "comment": "Too short"}
    await talk.magnet.do("POST", f"{path}/feedback", feedback)
    await talk.magnet.do("POST", f"{path}/notes", {"text": "Check this.\nSoon.", "message_id": answer})
    await talk.magnet.do("POST", f"{path}/notes", {"text": "All in all, fine."})
    await talk.magnet.do("POST", f"{path}/close")
    file = await talk.call("GET", f"{path}/export")
    assert file.json() == await talk.see(path)
    assert file.headers["Content-Disposition"] == f'attachment; filename="conversation-{path[-36:]}.json"'
    read = await talk.call("GET", f"{path}/export?format=markdown")
    assert read.headers["Content-Type"] == "text/markdown; charset=utf-8"
    lines = read.text.splitlines()
    order = [
        "# About leave",
        "* Agent: helper",
        "* Subject: ada",
        "> Hi!",
        "How many holidays?",
        "# And more?",
        '{"query": "holidays"}',
        "*shout, to be confirmed: declined*",
        "*The turn is cancelled*",
        "Thirty [1].",
        "*Feedback: down, tone: Too short*",
        "> Check this.",
        "> Soon.",
        "## Notes",
        "> All in all, fine.",
    ]
    assert [line for line in lines if line in order] == order
    assert any(line.startswith("* [1] Leave (document ") for line in lines)
    assert "Holidays are thirty days a year." in read.text
    assert '````json\n{"words": "```hey"}\n````' in read.text
    assert (await talk.call("GET", f"{path}/export?format=pdf")).status_code == 422
    await key_of(talk.magnet, "root", "admin")
    assert (await talk.call("GET", f"{path}/export")).status_code == 401
