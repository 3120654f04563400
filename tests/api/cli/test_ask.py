"""`magnet ask` against a running server: an agent or a RAG tool answers, with citations, and goes on."""

import asyncio
import os
import pty
import re
import select
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.cli.conftest import LIMIT, ROOT, Done, Magnet
from tests.support.commands import start
from tests.support.model_server import ModelServer, Reply, ToolCalled, server_error
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.talks import ACTIONS, Talks, talks

SEARCH = Reply(tool_calls=[ToolCalled(name="find_passages", arguments={"query": "holidays"}, id="c1")])


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words") as running:
        yield running


@pytest.fixture
async def talk(database: Database, tmp_path: Path, server: ModelServer) -> AsyncIterator[Talks]:
    async with serving(database, tmp_path / "server") as running, talks(running, server) as made:
        yield made


async def ask(talk: Talks, tmp_path: Path, *arguments: str) -> Done:
    (tmp_path / "cli").mkdir(exist_ok=True)
    await talk.magnet.get("/v1/agents")  # the newest agent is looked for where it is read, which follows
    command = Magnet(home=tmp_path / "cli" / "home", more={"MAGNET_URL": talk.magnet.url})
    return await asyncio.to_thread(command, "ask", *arguments)


async def test_an_agent_answers_with_citations_and_goes_on_in_the_same_conversation(
    talk: Talks, server: ModelServer, tmp_path: Path
):
    server.script_for("chat-model", SEARCH, Reply(text="Thirty days [1]."), Reply(text="At noon."))
    first = await ask(talk, tmp_path, "How many holidays?")
    assert first.status == 0, first.err
    assert first.out.startswith("Thirty days [1].\n")
    assert re.search(r"^  \[1\] Leave \(version 1, characters 0-\d+\)$", first.out, re.MULTILINE)
    found = re.search(r"/v1/conversations/([0-9a-f-]{36})", first.err)
    assert found is not None
    second = await ask(talk, tmp_path, "When is lunch?", "--conversation", found[1], "--json")
    assert second.status == 0, second.err
    assert second.json["message"]["content"] == "At noon."
    assert [message["content"] for message in server.last.body["messages"] if message["role"] == "user"] == [
        "How many holidays?",
        "When is lunch?",
    ]
    assert len((await talk.see(found[0]))["turns"]) == 2


async def test_a_rag_tool_answers_with_citations(talk: Talks, server: ModelServer, tmp_path: Path):
    server.script_for("chat-model", Reply(text="Thirty days [1]."))
    answer = await ask(talk, tmp_path, "How many holidays?", "--rag-tool", "ask")
    assert answer.status == 0, answer.err
    assert answer.out.startswith("Thirty days [1].\n") and "[1] Leave (version 1" in answer.out


async def test_what_an_agent_looks_into_is_told_beside_the_answer(talk: Talks, server: ModelServer, tmp_path: Path):
    body = {"name": "scholar", "instructions": "You know.", "actions": [ACTIONS[1]], "research": {"questions": 1}}
    await talk.magnet.do("POST", "/v1/agents", body)
    plan = Reply(text='{"questions": ["How many days?"]}')
    server.script_for("chat-model", plan, SEARCH, Reply(text="Thirty [1]."), Reply(text="Thirty days [1]."))
    answer = await ask(talk, tmp_path, "Holidays?", "--agent", "scholar")
    assert answer.out.startswith("Thirty days [1].\n"), answer.err
    assert "Looking into: How many days?\n" in answer.err


async def test_what_goes_wrong_is_told_and_is_a_failure(talk: Talks, server: ModelServer, tmp_path: Path):
    server.script_for("chat-model", server_error())
    for arguments, told in (
        (("Hello?",), "There is no answer"),
        (("Hello?", "--agent", "nobody"), "no agent"),
        (("Hello?", "--rag-tool", "nobody"), "no such rag tool"),
        (("Hello?", "--conversation", "nothing"), "no such conversation"),
    ):
        answer = await ask(talk, tmp_path, *arguments)
        assert answer.status == 1 and told in answer.err and "Traceback" not in answer.err, answer.err


async def test_a_person_at_the_terminal_is_asked_before_something_is_done(
    talk: Talks, server: ModelServer, tmp_path: Path
):
    actions = [{**action, "requires_confirmation": True} for action in ACTIONS]
    await talk.magnet.do("PATCH", "/v1/agents/helper?publish=true", {"actions": actions})
    server.script_for("chat-model", SEARCH, Reply(text="Thirty days [1]."), SEARCH)
    assert "Thirty days [1]." in await asyncio.to_thread(at_a_terminal, talk.magnet.url, tmp_path, "y\n")
    unattended = await ask(talk, tmp_path, "How many holidays?")
    assert unattended.status == 0 and "/confirmations" in unattended.err and server.left == 0


def at_a_terminal(url: str, home: Path, typed: str) -> str:
    """Ask at a terminal, type something once it asks back, and return what stood there."""
    outer, inner = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "MAGNET_HOME": str(home / "tty"), "MAGNET_URL": url,
    }  # fmt: skip
    files = {"stdin": inner, "stdout": inner, "stderr": inner}
    process = start("ask", "How many holidays?", environment=environment, directory=home, **files)
    os.close(inner)
    seen = b""
    try:
        while select.select([outer], [], [], LIMIT)[0]:
            try:
                seen += os.read(outer, 4096)
            except OSError:  # it has ended, and closed the terminal
                break
            if typed and b"[y/N]" in seen:
                os.write(outer, typed.encode())
                typed = ""
        assert process.wait(LIMIT) == 0, seen
    finally:
        process.kill()
        process.wait()
        os.close(outer)
    return seen.decode()
