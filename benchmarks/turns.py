"""Turns of an agent that uses a tool once: what they take beyond the two calls of its model."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.database import Databases
from benchmarks.http_load import request
from benchmarks.measure import Scale
from benchmarks.models import Magnet, magnet, provider
from benchmarks.runs import Client, in_turn
from benchmarks.table import Row

TURNS = 200
EARLIER = 100
"""Turns that a conversation has had before, in the second measurement."""

QUESTION = "How many days of holidays do I get in a year?"
DOCUMENTS = 100


def agent_turns(databases: Databases, scale: Scale) -> Iterator[Row]:
    """One after the other: a turn, and its two calls made directly, in turn."""
    with provider() as theirs, magnet(databases, theirs) as ours:
        an_agent(ours)
        new = (begun(ours) for _ in itertools.count())
        old = begun(ours)
        talker = Client(ours.port)
        for _ in range(scale.count(EARLIER)):
            talker.plain(message(old))
        calls = the_calls(ours, begun(ours))
        before = scale.count(EARLIER) + scale.count(TURNS) // 2  # that the old conversation has had on average
        for what, paths, turns in (
            ("the first of a conversation", new, 0),
            (f"after {before} others", itertools.repeat(old), before),
        ):
            took, direct = measured(scale, talker, Client(theirs.port), paths, calls.after(turns))
            yield Row(
                what=f"agent turn with a tool call, {what}, beyond its two calls, p50", ours=(took - direct) * 1000,
                unit="ms", compared="the two calls with as much history, ms", theirs=direct * 1000, most=15,
            )  # fmt: skip


def measured(
    scale: Scale, talker: Client, caller: Client, paths: Iterator[str], calls: tuple[bytes, bytes]
) -> tuple[float, float]:
    """Return the medians of a turn, and of the two calls."""
    prepared: list[bytes] = []

    def turn() -> float:
        return talker.plain(prepared.pop() if prepared else message(next(paths)))

    def direct() -> float:
        prepared.append(message(next(paths)))  # a conversation is begun beside what is measured
        return sum(caller.plain(each) for each in calls)

    took, directly = in_turn(scale.count(TURNS), turn, direct)
    return took, directly


def an_agent(ours: Magnet) -> None:
    """Make an agent that looks things up by their words in some documents."""
    ours.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
    documents = [
        {"external_id": f"d{number}", "title": f"Chapter {number}", "text": f"Chapter {number} is about days. " * 5}
        for number in range(DOCUMENTS)
    ]
    ours.do("POST", "/v1/knowledge-sources/handbook/documents", {"documents": documents})
    deadline = time.monotonic() + 60
    while any(item["status"] != "indexed" for item in listed(ours)):
        if time.monotonic() > deadline:
            raise RuntimeError("the documents were not indexed in time")
        time.sleep(0.1)
    ours.do("POST", "/v1/retrieval-tools", {"name": "find", "sources": ["handbook"], "mode": "lexical", "limit": 5})
    action = {"type": "retrieval_tool", "tool": "find", "function": "find_passages"}
    ours.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help.", "actions": [action]})


def listed(ours: Magnet) -> list[dict[str, Any]]:
    """Return the documents."""
    items: list[dict[str, Any]] = ours.do("GET", f"/v1/knowledge-sources/handbook/documents?limit={DOCUMENTS}")["items"]
    return items if len(items) == DOCUMENTS else [{"status": "pending"}]


def begun(ours: Magnet) -> str:
    """Begin a conversation, and return its path."""
    return f"/v1/conversations/{ours.do('POST', '/v1/conversations', {'agent': 'helper'})['id']}"


def message(path: str) -> bytes:
    """Return the bytes of a request that says something."""
    return request("POST", f"{path}/messages", json.dumps({"content": QUESTION}).encode())


@dataclass(frozen=True)
class Calls:
    """The messages of the two calls of a conversation's first turn, and its answer."""

    first: list[Any]
    second: list[Any]
    answer: str

    def after(self, turns: int) -> tuple[bytes, bytes]:
        """Return the bytes of the requests that the two calls are after so many turns."""
        system, *said = self.second
        history = [*said, {"role": "assistant", "content": self.answer}] * turns
        return called([system, *history, *self.first[1:]]), called([system, *history, *said])


def the_calls(ours: Magnet, path: str) -> Calls:
    """Have a turn, and return the calls that it was."""
    answer = ours.do("POST", f"{path}/messages", {"content": QUESTION})["message"]["content"]
    [turn] = ours.do("GET", path)["turns"]
    steps = until_recorded(ours, f"/v1/runs/{turn['run_id']}")["steps"]
    first, second = (step["input"]["messages"] for step in steps if step["kind"] == "model_call")
    return Calls(first, second, answer)


def until_recorded(ours: Magnet, path: str) -> Any:
    """Return a run, once it is there to be read with its end."""
    deadline = time.monotonic() + 60
    while True:
        runs = [each for each in ours.do("GET", "/v1/runs?outcome=completed")["items"] if path.endswith(each["id"])]
        if runs:
            return ours.do("GET", path)
        if time.monotonic() > deadline:
            raise RuntimeError("a run was not recorded in time")


TOOL = {
    "type": "function",
    "function": {
        "name": "find_passages",
        "description": "Finds passages of documents.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


def called(messages: list[Any]) -> bytes:
    """Return the bytes of one call."""
    body = {"model": "m", "messages": messages, "tools": [TOOL], "stream": False}
    return request("POST", "/v1/chat/completions", json.dumps(body).encode())
