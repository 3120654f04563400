"""Files with a message over HTTP: read, told whole or searched, cited, and found by nobody else."""

import asyncio
from base64 import b64encode

from domain.conversation_files import MOST_FILES, MOST_TEXT, SHOWN
from tests.api.test_access import key_of
from tests.api.test_subjects import CANARY, database_holds, erase
from tests.support.model_server import ModelServer, Reply, ToolCalled
from tests.support.patience import PATIENCE
from tests.support.talks import Talks

SEARCH = ToolCalled(name="search_files", arguments={"query": "Where is the archive?"}, id="c1")


def told(server: ModelServer) -> list[str]:
    return [str(message["content"]) for message in server.last.body["messages"]]


def a_long_text() -> str:
    filler = "\n\n".join(f"Paragraph {number} says nothing of interest." for number in range(400))
    return f"{filler}\n\nThe archive is in the cellar, {CANARY}.\n\n{filler}"


def embedded(server: ModelServer) -> list[str]:
    """Return the texts of files that were embedded: queries come alone."""
    asked = [request.body["input"] for request in server.requests if request.path.endswith("/embeddings")]
    return [text for texts in asked if len(texts) > 1 for text in texts]


async def rows(talk: Talks) -> int:
    async with talk.magnet.container.pool.connection() as connection:
        found = await (await connection.execute("SELECT count(*) FROM magnet.private_documents")).fetchone()
    assert found is not None
    return int(found[0])


async def test_a_short_file_is_told_whole_in_every_turn_and_found_in_its_conversation_alone(
    talk: Talks, server: ModelServer
):
    path = await talk.begin(subject="ada")
    server.script_for("chat-model", Reply(text="Noon."), Reply(text="Yes."), Reply(text="What file?"))
    page = b64encode(f"<h1>Plan</h1><p>Lunch, {CANARY}.</p>".encode()).decode()
    files = [{"name": "plan.html", "content_base64": page}, {"name": "b.txt", "text": "Tea at four."}]
    answer = await talk.post(path, "When is lunch?", attachments=files)
    assert answer.status_code == 200, answer.text
    assert told(server)[-1] == "When is lunch?"
    assert f"--- plan.html ---\nPlan\n\nLunch, {CANARY}." in told(server)[-2] and "Tea at four." in told(server)[-2]
    assert "search_files" not in str(server.last.body["tools"])
    await talk.say(path, "Really?")
    assert CANARY in told(server)[-2]
    seen = await talk.see(path)
    [plan, tea] = seen["messages"][0]["attachments"]
    assert (plan["name"], plan["media_type"], tea["characters"]) == ("plan.html", "", 12)
    assert (plan["status"], embedded(server)) == ("whole", []), "nothing is searched, so nothing is made of it"
    assert CANARY not in str(seen)
    file = await talk.magnet.get(f"{path}/attachments/{plan['id']}")
    assert CANARY in file["text"]
    assert (await talk.magnet.get(f"{path}/attachments"))["items"] == [plan, tea]
    assert CANARY in (await talk.call("GET", f"{path}/export")).text
    assert "* File: plan.html" in (await talk.call("GET", f"{path}/export?format=markdown")).text
    other = await talk.begin()
    await talk.say(other, "What is in the file?")
    assert CANARY not in str(server.last.body)
    assert (await talk.call("GET", f"{other}/attachments/{plan['id']}")).status_code == 404
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == [], "files are sealed as what is said"
    assert CANARY in str(await talk.magnet.do("POST", "/v1/subjects/ada/export"))
    await erase(talk, "ada")
    assert (await talk.call("GET", f"{path}/attachments/{plan['id']}")).status_code == 404
    admin = await key_of(talk.magnet, "root", "admin")
    person = await key_of(talk.magnet, "person", "user", admin=admin)
    assert (await talk.call("GET", f"{path}/attachments/{tea['id']}", X_API_Key=person)).status_code == 404


async def test_a_longer_file_is_searched_for_the_message_and_by_the_model_and_cited(talk: Talks, server: ModelServer):
    path = await talk.begin(subject="ada")
    text = a_long_text()
    server.script_for("chat-model", Reply(text="In the cellar [1]."))
    form = {"content": "Where is the archive?", "message": "asked by mail"}
    answer = await talk.magnet.client.post(f"{path}/messages", data=form, files={"files": ("long.txt", text)})
    assert answer.status_code == 200, answer.text
    [citation] = answer.json()["message"]["citations"]
    [file] = (await talk.see(path))["messages"][0]["attachments"]
    assert (citation["title"], citation["document_id"]) == ("long.txt", file["id"])
    assert CANARY in text[citation["start"] : citation["end"]], "also a model that calls no function cites it"
    assert (file["status"], file["retrieval"], file["failure"]) == ("indexed", "hybrid", None)
    assert file["passages"] > 10 and len(told(server)[-2]) < SHOWN + 15_000
    assert server.last.body["tools"][-1]["function"]["name"] == "search_files"
    server.script_for("chat-model", Reply(tool_calls=[SEARCH]), Reply(text="Down there [1]."))
    [again] = (await talk.say(path, "Sure?"))["message"]["citations"]
    assert CANARY in told(server)[-1]
    assert again["document_id"] == file["id"]
    assert database_holds(talk.magnet.database.owner_dsn, CANARY) == [], "what is made of files is sealed as they are"
    assert (await rows(talk), len(embedded(server))) == (1, file["passages"])

    server.script_for("chat-model", Reply(text="Down there."), Reply(text="No."))
    edited = await talk.call("POST", f"{path}/fork", {"content": "Where, exactly?"})
    assert edited.status_code == 200
    assert "long.txt" in told(server)[-2], "what is said otherwise has the same files"
    assert (await rows(talk), len(embedded(server))) == (2, file["passages"]), "and nothing is paid for twice"
    other = await talk.begin()
    asked = len(server.requests)
    await talk.magnet.client.post(
        f"{other}/messages", data={"content": "Where is the archive?"}, files={"files": ("b.txt", "Elsewhere. " * 3000)}
    )
    assert CANARY not in str([request.body for request in server.requests[asked:]]), "nobody else's are found"
    await erase(talk, "ada")
    assert await rows(talk) == 1, "of who was erased nothing is left"
    closed = await talk.call("POST", f"{other}/close")
    assert closed.status_code == 200, closed.text
    async with asyncio.timeout(PATIENCE):
        while await rows(talk):
            await asyncio.sleep(0.02)
    [theirs] = (await talk.see(other))["messages"][0]["attachments"]
    assert theirs["status"] == "removed"


async def test_a_file_that_can_not_be_embedded_is_found_by_its_words_and_says_so(talk: Talks, server: ModelServer):
    path = await talk.begin()
    server.refuses = "Paragraph 7 "
    server.script_for("chat-model", Reply(text="In the cellar [1]."))
    text = a_long_text()
    answer = await talk.post(path, "Where is the archive?", attachments=[{"name": "a.txt", "text": text}])
    [citation] = answer.json()["message"]["citations"]
    assert CANARY in text[citation["start"] : citation["end"]]
    [file] = (await talk.see(path))["messages"][0]["attachments"]
    assert (file["status"], file["retrieval"]) == ("failed", "lexical")
    assert "by their words" in file["failure"]["reason"] and "not allowed" not in str(file)


async def test_files_that_can_not_be_taken_are_refused_and_nothing_is_said(talk: Talks, server: ModelServer):
    path = await talk.begin()
    for files, status, code in (
        ([{"name": "a.txt"}], 422, "missing"),
        ([{"name": "a.txt", "content_base64": "*"}], 422, "invalid_base64"),
        ([{"name": "a.bin", "content_base64": b64encode(bytes(range(256))).decode()}], 415, "unsupported_media_type"),
        ([{"name": "a.pdf", "content_base64": b64encode(b"%PDF-nonsense").decode()}], 422, "unreadable"),
        ([{"name": "a.txt", "text": "x" * (MOST_TEXT + 1)}], 413, "too_large"),
        ([{"name": "a.txt", "text": "x"}] * (MOST_FILES + 1), 422, "invalid"),
        ([{"name": "a\u0000.txt", "text": "x"}], 422, None),
    ):
        refused = await talk.post(path, "Read this.", attachments=files)
        assert refused.status_code == status, refused.text
        assert code is None or refused.json()["code"] == code
    strange = await talk.magnet.client.post(
        f"{path}/messages", data={"content": "x", "other": "y"}, files={"files": b"z"}
    )
    assert (strange.status_code, strange.json()["code"]) == (422, "unknown_part")
    assert (await talk.see(path))["messages"] == []
