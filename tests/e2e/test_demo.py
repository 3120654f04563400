"""The demo does the main job on a fresh home without a key, and a second time; what it made is served after it."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from tests.api.cli.conftest import Magnet
from tests.support.homes import short_lived

TOLD = ("POST /v1/prompts", "/diff?from=1&to=2", "/publish", "/rollback", "as_of=", "/history", "/docs")
EVENTS = {"run.started", "conversation.turn_started", "run.finished", "conversation.turn_completed"}


def assert_is_answered(conversation: Any) -> None:
    """Five questions, five answers, each with what it cites."""
    assert [turn["state"] for turn in conversation["turns"]] == ["completed"] * 5
    answers = [each for each in conversation["messages"] if each["role"] == "assistant" and each["citations"]]
    assert len(answers) == 5


def assert_is_past(conversation: Any) -> None:
    """As it was when its last turn began."""
    assert len(conversation["turns"]) == 4 or conversation["turns"][-1]["state"] != "completed"


def assert_can_be_traced(http: httpx2.Client, conversation: Any) -> None:
    """As the demo itself looks for it, of its first turn and of the time when its last one began."""

    def got(path: str, **parameters: Any) -> Any:
        return http.get(path, params=parameters).raise_for_status().json()

    turns = conversation["turns"]
    first = got("/v1/events", aggregate=turns[0]["run_id"], limit=1)["items"][0]
    events = got("/v1/events", correlation=first["correlation_id"], limit=50)["items"]
    assert {event["type"] for event in events} >= EVENTS
    assert_is_past(got(f"/v1/conversations/{conversation['id']}", as_of=turns[-1]["started_at"]))


def assert_points_at_what_it_made(http: httpx2.Client, told: str) -> None:
    """Each address that it ends with answers; the conversation's says what was said last, as the demo did."""
    addresses = re.findall(r"^ +curl -s .*'http://[^/]+(/[^']+)'$", told, re.MULTILINE)
    collections = [address.split("/")[2].partition("?")[0] for address in addresses]
    assert collections == ["conversations", "runs", "agents", "prompts", "prompts", "prompts", "events"]
    for address in addresses:
        assert http.get(address).status_code == 200, address
    [time] = re.findall(r"=> as of (\S+) the conversation had", told)
    [last] = http.get(f"{addresses[0]}?as_of={time}").json()["messages"][-1:]
    said_then = told.partition(f"as of {time}")[2].partition("Go on with")[0]
    assert last["role"] in said_then
    assert set(last["content"].split()[:5]) <= set(said_then.split())


def test_the_demo_ingests_answers_with_citations_traces_and_reads_the_past_and_can_be_run_again():
    with TemporaryDirectory(prefix="magnet-demo-", dir=short_lived()) as directory:
        magnet = Magnet(home=Path(directory) / "home", more={"LOG_LEVEL": "ERROR"})
        first = magnet.ok("demo")
        assert all(told in first.out for told in TOLD)
        assert "Traceback" not in first.err
        statuses = re.findall(r"^   (\d+) in \d+ ms$", first.out, re.MULTILINE)
        assert len(statuses) > 20 and set(statuses) <= {"200", "201"}

        steps = magnet.ok("demo", "--json").json["steps"]
        assert [step for step in steps if step["status"] >= 400] == []
        [conversation] = [
            step["answer"]
            for step in steps
            if step["path"].startswith("/v1/conversations/") and step["method"] == "GET" and "as_of" not in step["path"]
        ]
        assert_is_answered(conversation)
        events = next(step["answer"]["items"] for step in steps if "correlation=" in step["path"])
        assert {event["type"] for event in events} >= EVENTS
        assert_is_past(next(step["answer"] for step in steps if "as_of" in step["path"]))

        with magnet.running("serve") as server, httpx2.Client(base_url=server.url, trust_env=False) as http:
            assert_points_at_what_it_made(http, first.out)
            listed = [each["id"] for each in http.get("/v1/conversations").json()["items"]]
            assert len(listed) == 2 and conversation["id"] in listed
            for each in listed:
                made = http.get(f"/v1/conversations/{each}").json()
                assert_is_answered(made)
                assert_can_be_traced(http, made)
            names = {each["name"] for each in http.get("/v1/prompts").json()["items"]}
            assert names == {"python-answer", "support-reply", "support-reply-2"}
            said = magnet.ok("ask", "Which function copies an entire directory tree?", "--json").json
            assert said["message"]["citations"]
            assert server.end() == 0
