"""Servers are killed and ended while agents answer: what was said is kept, no turn goes on for ever, retry works."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.api.test_prompt_runs import events_in
from tests.e2e.test_crashes import Installation, installation, ready
from tests.e2e.test_killed_runs import all_ended, configure, exact, leases_run_out
from tests.support.model_server import ModelServer, Received, Reply, ToolCalled
from tests.support.patience import PATIENCE

TALKERS = 4
FAILPOINTS = ("", "append.before=exit@40", "append.after=exit@40", "append.after=exit@41", "append.before=exit@42")
"""How the server dies in each round: by a signal, or at either side of a commit."""


def answering(request: Received) -> Reply:
    """Shout once, then answer; some answers never end."""
    if "hang" in request.question:
        return Reply(text="one two three", stop_after=1, ending="hang")
    if request.question.startswith("Shout"):
        return Reply(text="HEY")
    if request.body["messages"][-1]["role"] == "user":
        return Reply(text="Let me.", tool_calls=[ToolCalled(name="shout", arguments={"words": "hey"})])
    return Reply(text="It was shouted.")


async def an_agent(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        prompt = {"name": "shout", "text": "Shout: {{ words }}", "variables": {"words": {}}}
        action = {"type": "prompt", "tool": "shout", "function": "shout"}
        agent = {"name": "helper", "instructions": "You help.", "actions": [action]}
        for path, body in (("prompts", prompt), ("agents", agent)):
            assert (await client.post(f"/v1/{path}", json=body)).status_code == 201


async def begin(client: httpx.AsyncClient) -> str:
    begun = await client.post("/v1/conversations", json={"agent": "helper"})
    assert begun.status_code == 201, begun.text
    return f"/v1/conversations/{begun.json()['id']}"


async def until(client: httpx.AsyncClient, path: str, condition: Callable[[Any], object]) -> Any:
    """Wait until a conversation is as a condition says, and return it."""
    async with asyncio.timeout(PATIENCE):
        while not condition(seen := (await client.get(path)).json()):
            await asyncio.sleep(0.05)
    return seen


@dataclass
class Talker:
    """Talks in one conversation after the other, plain and streamed in turn, and keeps what it was told."""

    url: str
    told: list[Mapping[str, Any]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    async def talk(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client:
            while not stop.is_set():
                try:
                    path = await begin(client)
                    self.begun.append(path)
                    for number in range(3):
                        await self.say(client, path, number)
                except httpx.HTTPError:
                    return  # it died

    async def say(self, client: httpx.AsyncClient, path: str, number: int) -> None:
        body = {"content": f"Message {number}", "stream": number % 2 == 1}
        answer = await client.post(f"{path}/messages", json=body)
        assert answer.status_code == 200, answer.text
        if body["stream"]:
            type, data = events_in(answer.text)[-1]
            assert type == "turn.completed"
        else:
            data = answer.json()
        self.told.append({**data, "path": path, "said": body["content"]})


async def a_round(made: Installation, failpoints: str) -> list[Talker]:
    """Talk until the server dies; return what was told."""
    url = f"http://127.0.0.1:{made.port}"
    process = made.start("serve", failpoints=failpoints)
    await ready(url)
    stop = asyncio.Event()
    talkers = [Talker(url) for _ in range(TALKERS)]
    running = [asyncio.create_task(talker.talk(stop)) for talker in talkers]
    if failpoints:
        await asyncio.to_thread(process.wait, 60)
        made.processes.remove(process)
    else:
        async with asyncio.timeout(PATIENCE):
            while sum(len(talker.told) for talker in talkers) < 4 * TALKERS:
                await asyncio.sleep(0.01)
        made.kill(process)
    stop.set()
    await asyncio.gather(*running)
    return talkers


async def test_a_killed_process_leaves_the_turn_interrupted_and_retry_works(request: pytest.FixtureRequest):
    with ModelServer(default=answering) as server, installation() as made:
        url = f"http://127.0.0.1:{made.port}"
        process = made.start("serve")
        await ready(url)
        await configure(url, server)
        await an_agent(url)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            path = await begin(client)
            await client.post(f"{path}/messages", json={"content": "hang", "background": True})
            await server.until(lambda: any(each.pieces for each in server.requests))
            made.kill(process)
        if not request.config.getoption("--long"):  # else it is waited for
            leases_run_out(made)
        made.start("serve")
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            seen = await until(client, path, lambda it: it["state"] != "running")
            [turn] = seen["turns"]
            assert (turn["state"], seen["messages"][0]["content"]) == ("interrupted", "hang")
            events = events_in((await client.get(f"{path}/turns/{turn['id']}/stream")).text)
            assert (events[-1][0], events[-1][1]["error"]["code"]) == ("turn.failed", "turn_interrupted")
            assert [type for type, _ in events if type != "message.delta"] == ["turn.started", "turn.failed"]
            server.script(Reply(text="Here again."))
            retried = await client.post(f"{path}/turns/{turn['id']}/retry")
            assert (retried.status_code, retried.json()["message"]["content"]) == (200, "Here again.")


async def test_what_was_told_is_on_record_and_every_turn_ends_after_kills_at_every_commit(
    request: pytest.FixtureRequest,
):
    with ModelServer(default=answering) as server, installation() as made:
        url = f"http://127.0.0.1:{made.port}"
        first = made.start("serve")
        await ready(url)
        await configure(url, server)
        await an_agent(url)
        made.kill(first)
        talkers: list[Talker] = []
        for failpoints in FAILPOINTS:
            talkers += await a_round(made, failpoints)
            await server.until(lambda: not server.open_connections)
        if not request.config.getoption("--long"):
            leases_run_out(made)
        made.start("serve")
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            runs = {run["id"]: run for run in await all_ended(client)}
            for talker in talkers:
                for told in talker.told:
                    seen = (await client.get(told["path"])).json()
                    contents = [message["content"] for message in seen["messages"]]
                    assert told["said"] in contents
                    [message] = [each for each in seen["messages"] if each["id"] == told["message"]["id"]]
                    assert message["content"] == told["message"]["content"] == "Let me.\n\nIt was shouted."
                    run = runs[told["run_id"]]
                    assert (run["usage"], run["cost"]) == (told["usage"], told["cost"])
                for path in talker.begun:
                    seen = await until(client, path, lambda it: it["state"] != "running")
                    assert {turn["state"] for turn in seen["turns"]} <= {"completed", "interrupted"}
                    for turn in seen["turns"]:
                        assert runs[turn["run_id"]]["outcome"] == turn["state"]
                    if seen["state"] == "interrupted":
                        answer = await client.post(f"{path}/turns/{seen['turns'][-1]['id']}/retry")
                        assert answer.status_code == 200, answer.text
            interrupted = [run for run in runs.values() if run["outcome"] == "interrupted"]
            assert interrupted, "some were under way"
            runs = {run["id"]: run for run in await all_ended(client)}
            rows = (await client.get("/v1/usage", params={"by": "outcome"})).json()["items"]
            assert exact(rows) == exact(list(runs.values()))


async def test_sigterm_gives_running_turns_their_time_then_marks_them_as_interrupted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAGNET_DRAIN_SECONDS", "1")
    with ModelServer(default=answering) as server, installation() as made:
        url = f"http://127.0.0.1:{made.port}"
        process = made.start("serve")
        await ready(url)
        await configure(url, server)
        await an_agent(url)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            listened, alone = await begin(client), await begin(client)
            await client.post(f"{alone}/messages", json={"content": "hang", "background": True})
            posting = asyncio.create_task(client.post(f"{listened}/messages", json={"content": "hang", "stream": True}))
            await server.until(lambda: len([each for each in server.requests if each.pieces]) == 2)
            process.send_signal(signal.SIGTERM)
            events = events_in((await posting).text)
            assert (events[-1][0], events[-1][1]["turn"]["state"]) == ("turn.failed", "interrupted")
        assert await asyncio.to_thread(process.wait, 60) == 0
        made.processes.remove(process)
        made.start("serve")
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            for path in (listened, alone):
                assert (await client.get(path)).json()["state"] == "interrupted"
