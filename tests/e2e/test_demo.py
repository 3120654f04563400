"""The demo does the main job on a fresh home without a key, and a second time; what it made is served after it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def magnet(home: Path, *arguments: str) -> Any:
    """Run a command that prints JSON, and return that."""
    left_out = {"OPENAI_API_KEY", "DATABASE_URL", "MIGRATION_DATABASE_URL", "MAGNET_URL", "MAGNET_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments, "--json"],
        env={**environment, "MAGNET_HOME": str(home), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_demo_ingests_answers_with_citations_traces_and_reads_the_past_and_can_be_run_again(tmp_path: Path):
    for _ in range(2):
        steps = magnet(tmp_path, "demo")["steps"]
        assert [step for step in steps if step["status"] >= 400] == []
        [conversation] = [
            step["answer"]
            for step in steps
            if step["path"].startswith("/v1/conversations/") and step["method"] == "GET" and "as_of" not in step["path"]
        ]
        assert [turn["state"] for turn in conversation["turns"]] == ["completed"] * 5
        answers = [each for each in conversation["messages"] if each["role"] == "assistant" and each["citations"]]
        assert len(answers) == 5
        events = next(step["answer"]["items"] for step in steps if "correlation=" in step["path"])
        types = [event["type"] for event in events]
        assert {"run.started", "conversation.turn_started", "run.finished", "conversation.turn_completed"} <= set(types)
        past = next(step["answer"] for step in steps if "as_of" in step["path"])
        assert len(past["turns"]) == 4 or past["turns"][-1]["state"] != "completed"
    said = magnet(tmp_path, "ask", "Which function copies an entire directory tree?")
    assert said["message"]["citations"]
