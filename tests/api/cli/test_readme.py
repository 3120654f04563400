"""The README's minutes, carried out as they are written: a folder and a cited answer, an agent with an API, a prompt."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.api.cli.conftest import ROOT, Magnet
from tests.support.model_server import ModelServer, Received, Reply, ToolCalled

README = (ROOT / "README.md").read_text("utf-8")
FIVE = "Five minutes: from a folder to a cited answer"
ANOTHER_FIVE = "Another five: a prompt, changed and rolled back"
TWO = "Two minutes: an agent with an API, and a person who agrees"
SERVED = "http://127.0.0.1:8080"


def blocks(title: str, kind: str) -> list[str]:
    """Return a section's blocks of code of one kind ('' = shell)."""
    section = README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found: list[str] = re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return found


def carried_out(command: list[str], magnet: Magnet, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, env=magnet.environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_five_minutes_lead_from_a_folder_to_cited_answers_by_curl_and_by_the_openai_client(
    magnet: Magnet, tmp_path: Path
):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "turns.md").write_text(
        "# Conversations\n\nTo fork a conversation begins another one. A turn is interrupted when its process is killed.\n"
    )
    [shell], [client] = blocks(FIVE, ""), blocks(FIVE, "python")
    with magnet.running("serve") as server:
        commands = shell.replace(".venv/bin/magnet", shlex.join([sys.executable, "-m", "api.cli"]))
        told = carried_out(["bash", "-euc", commands.replace(SERVED, server.url)], magnet, tmp_path)
        asked = carried_out([sys.executable, "-c", client.replace(SERVED, server.url)], magnet, tmp_path)
    assert told.returncode == 0, (told.stdout, told.stderr)
    assert "1 indexed, 0 failed" in told.stdout
    assert '"type":"/problems/' not in told.stdout
    assert '"resolution":"answered"' in told.stdout and '"citations":[{"marker":"[1]"' in told.stdout
    assert told.stdout.count("event: turn.completed") == 1 and "event: citation" in told.stdout
    assert "[1] docs/turns.md (version 1" in told.stdout
    assert asked.returncode == 0, asked.stderr
    assert "begins another one" in asked.stdout and asked.stdout.endswith("docs/turns.md\n")


def orders(request: Received) -> Reply:
    """Order what a person asks for, then say what came of it."""
    last = request.body["messages"][-1]
    if last["role"] == "tool":
        return Reply(text=f"It is ordered: {last['content']}")
    return Reply(text="Gladly.", tool_calls=[ToolCalled(name="order", arguments={"item": "teapot"})])


def test_the_two_minutes_lead_to_an_order_that_a_person_agreed_to(magnet: Magnet, tmp_path: Path):
    [shell] = blocks(TWO, "")
    with (
        ModelServer(default=orders) as models,
        magnet.running("serve", OPENAI_API_KEY="anything", OPENAI_BASE_URL=models.url) as server,
    ):
        begins = f"M={server.url}/v1; J='Content-Type: application/json'\n"  # as in the section before
        told = carried_out(["bash", "-euc", begins + shell], magnet, tmp_path)
        assert told.returncode == 0, (told.stdout, told.stderr)
        assert [each.question for each in models.requests] == ["One teapot, please.", '{"number":7}']
    assert '"type":"/problems/' not in told.stdout
    answer = json.loads(told.stdout[told.stdout.rindex('{"turn":') :])
    assert (answer["turn"]["state"], answer["message"]["content"]) == (
        "completed",
        'Gladly.\n\nIt is ordered: {"number":7}',
    )
    [call] = answer["message"]["tool_calls"]
    assert (call["function"], call["arguments"], call["outcome"]) == ("order", '{"item": "teapot"}', "completed")


def test_the_other_five_minutes_lead_from_a_first_version_to_one_that_was_rolled_back(magnet: Magnet, tmp_path: Path):
    [shell] = blocks(ANOTHER_FIVE, "")
    waits = "curl -s -o /dev/null -H 'Magnet-Min-Position: 2' $M/prompts/welcome  #"  # a busy machine takes its time
    with magnet.running("serve") as server:
        commands = shell.replace(SERVED, server.url).replace("sleep 0.1 ", waits)
        told = carried_out(["bash", "-euc", commands], magnet, tmp_path)
    assert told.returncode == 0, (told.stdout, told.stderr)
    made, changed, draft, live, diff, preview, published, back, history, second, now = values_in(told.stdout)
    assert (made["version"], changed["version"], draft["draft"], draft["live_version"]) == (1, 2, True, 1)
    hello, hi = "Hello {{ name }}, how can I help?", "Hi {{ name }}!"
    assert (draft["text"], live["text"], second["text"], now["text"]) == (hi, hello, hi, hello)
    assert diff["changes"] == [{"path": "/text", "op": "replace", "before": hello, "after": hi}]
    assert "Hi Ada!" in json.dumps(preview)
    assert published["position"] < back["position"] and now["live_version"] == now["version"] == back["version"]
    assert [each["reason"] for each in history["items"] if each["reason"]] == ["too short", "shorter", "first version"]


def values_in(text: str) -> list[Any]:
    """Return the JSON values that stand one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found
