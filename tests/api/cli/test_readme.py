"""The README's five minutes, carried out as they are written: from a folder to a cited answer, by shell and by client."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.api.cli.conftest import ROOT, Magnet

README = (ROOT / "README.md").read_text("utf-8")
SECTION = README.split("\n## Five minutes: from a folder to a cited answer\n", 1)[1].split("\n## ", 1)[0]
SERVED = "http://127.0.0.1:8080"


def blocks(kind: str) -> list[str]:
    """Return the section's blocks of code of one kind ('' = shell)."""
    found: list[str] = re.findall(rf"^```{kind}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
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
    (folder / "log.md").write_text(
        "# The log\n\nWho verifies the log reads each event's hash. A checkpoint is signed.\n"
    )
    [shell], [client] = blocks(""), blocks("python")
    with magnet.running("serve") as server:
        commands = shell.replace(".venv/bin/magnet", shlex.join([sys.executable, "-m", "api.cli"]))
        told = carried_out(["bash", "-euc", commands.replace(SERVED, server.url)], magnet, tmp_path)
        asked = carried_out([sys.executable, "-c", client.replace(SERVED, server.url)], magnet, tmp_path)
    assert told.returncode == 0, (told.stdout, told.stderr)
    assert "1 indexed, 0 failed" in told.stdout
    assert '"type":"/problems/' not in told.stdout
    assert '"resolution":"answered"' in told.stdout and '"citations":[{"marker":"[1]"' in told.stdout
    assert told.stdout.count("event: turn.completed") == 1 and "event: citation" in told.stdout
    assert "[1] docs/log.md (version 1" in told.stdout
    assert asked.returncode == 0, asked.stderr
    assert "verifies the log" in asked.stdout and asked.stdout.endswith("docs/log.md\n")
