"""Conversations are replayed by another version of their agent: side by side, and nothing happens by it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.plugins.checking import SCORERS
from tests.api.test_prompt_runs import events_in
from tests.api.test_tool_actions import FIND, ORDER, TOOLS, says
from tests.commands.test_scorers import Polite
from tests.support.commands import run
from tests.support.model_server import ModelServer, Reply, ToolCalled, server_error
from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.shop import Shop, shop
from tests.support.talks import Talks, talks

FIRST = "The pen costs 12.50, and is ordered."


@pytest.fixture
def server(models_port: int) -> Any:
    with ModelServer(vectors="words", default=lambda _: Reply(text="It is ordered."), port=models_port) as running:
        yield running


@pytest.fixture
async def store() -> AsyncIterator[Shop]:
    async with shop() as opened:
        yield opened


@pytest.fixture
async def talk(
    handbook: None, database: Database, tmp_path: Path, store: Shop, server: ModelServer
) -> AsyncIterator[Talks]:
    """A conversation of two turns with an agent of which there is a draft."""
    settings = {"MAGNET_EGRESS_ALLOW": "127.0.0.0/8", "MAGNET_PLUGINS": "scorers_of_a_test"}
    with module_of("scorers_of_a_test", {SCORERS: [Polite]}):
        async with serving(database, tmp_path / "home", **settings) as magnet:
            await magnet.do("POST", "/v1/tool-servers", store.settings())
            async with talks(magnet, server, actions=TOOLS, untrusted="allow") as made:
                yield made


async def talked(talk: Talks, server: ModelServer, **more: Any) -> str:
    """Hold the conversation, and return its path."""
    server.script_for("chat-model", says(FIND), says(ORDER), says(text=FIRST), says(text="You are welcome."))
    path = await talk.begin(**more)
    await talk.say(path, "Order pen 7.")
    await talk.say(path, "Thanks!")
    await talk.magnet.do("PATCH", "/v1/agents/helper", {"instructions": "You help, in short."})
    return path


async def replayed(talk: Talks, path: str, **body: Any) -> Any:
    return await talk.magnet.do("POST", f"{path}/replay", {"concurrency": 1, **body})


async def test_a_candidate_answers_with_what_is_on_record_and_nothing_is_done(
    talk: Talks, server: ModelServer, store: Shop
):
    path = await talked(talk, server, subject="ada")
    before, asked = await talk.see(path), len(store.site.asked)
    server.script_for(
        "chat-model",
        says(ToolCalled(name="findItem", arguments='{ "item-id" : "7" }', id="a")),
        says(ToolCalled(name="order", arguments={"body": {"item": "yacht"}}, id="b")),
        says(ToolCalled(name="findItem", arguments={"item-id": "8"}, id="c")),
        says(text="The pen is ordered."),
        says(text="You are welcome."),
    )
    scorers: list[dict[str, Any]] = [
        {"type": "exact"},
        {"type": "tool_calls", "name": "calls"},
        {"type": "contains", "config": {"texts": ["pen"]}},
        {"type": "polite", "config": {"words": ["pen"]}},
    ]
    report = await replayed(talk, path, scorers=scorers)
    assert (len(store.site.asked), store.orders) == (asked, [{"item": "pen"}])
    assert await talk.see(path) == before
    first, second = report["turns"]
    assert [(call["function"], call["answered_by"]) for call in first["candidate"]["tool_calls"]] == [
        ("findItem", "exact"),
        ("order", "closest"),
        ("findItem", "unmatched"),
    ]
    assert [call["function"] for call in first["recorded"]["tool_calls"]] == ["findItem", "order"]
    assert (first["recorded"]["text"], first["candidate"]["text"]) == (FIRST, "The pen is ordered.")
    assert (first["same_calls"], second["same_calls"]) == (False, True)
    assert 0 < first["similarity"]["score"] < second["similarity"]["score"] == 1.0
    assert first["similarity"]["method"] == "embedding"
    scores = [{each["name"]: each["score"] for each in turn["scores"][:3]} for turn in (first, second)]
    assert scores == [{"exact": 0.0, "calls": 0.0, "contains": 1.0}, {"exact": 1.0, "calls": 1.0, "contains": 0.0}]
    assert report["summary"]["scores"]["exact"] == {"mean": 0.5, "scored": 2, "failed": 0}
    assert [each["name"] for each in report["scorers"]] == ["exact", "calls", "contains", "polite"]
    assert first["scores"][3] == {
        "name": "polite", "type": "polite", "score": 0.5, "reason": "The pen is ordered. ['pen']"
    }  # fmt: skip
    listed = [each for each in (await talk.magnet.get("/v1/plugins"))["items"] if each["group"] == SCORERS]
    assert {each["name"] for each in listed} == {"contains", "exact", "judge", "polite", "similarity", "tool_calls"}
    assert all(each["state"] == "ready" and each["schema"] for each in listed)
    assert report["candidate"]["version"] == 2 and first["recorded"]["agent"]["version"] == 1
    told = [each["content"] for each in server.requests[-2].body["messages"] if each["role"] in ("system", "assistant")]
    assert told[0] == "You help, in short." and FIRST in told, "what was said before is what was recorded"
    assert report["summary"]["calls"] == {"exact": 1, "closest": 1, "unmatched": 1, "live": 0}
    run = await talk.run(report["run_id"])
    assert (run["kind"], run["target"]["version"], run["subject"]) == ("evaluation", 2, "ada")
    assert (run["usage"], run["cost"]) == (report["usage"], report["cost"])
    assert [each["name"] for each in run["steps"] if each["kind"] == "turn"] == ["turn 1", "turn 2"]
    assert sum(each["usage"]["total"] for each in run["steps"]) == run["usage"]["total"]
    shown = report["summary"]["candidate"]["usage"]["total"]
    assert sum(turn["candidate"]["usage"]["total"] for turn in report["turns"]) == shown < run["usage"]["total"]


async def test_live_what_changes_nothing_is_called_and_what_changes_something_is_not(
    talk: Talks, server: ModelServer, store: Shop
):
    path = await talked(talk, server)
    asked = len(store.site.asked)
    server.script_for("chat-model", says(FIND, ORDER), says(text="Done."), says(text="Bye."))
    report = await replayed(talk, path, mode="live", label="live")
    calls = report["turns"][0]["candidate"]["tool_calls"]
    assert sorted((call["function"], call["answered_by"]) for call in calls) == [
        ("findItem", "live"),
        ("order", "exact"),
    ]
    assert (len(store.site.asked), store.orders) == (asked + 1, [{"item": "pen"}])
    assert report["candidate"]["version"] == 1


async def test_what_a_candidate_fails_with_is_its_answer_and_turns_without_one_are_named(
    talk: Talks, server: ModelServer
):
    path = await talked(talk, server)
    server.script_for("chat-model", server_error(400))
    await talk.post(path, "And now?")
    turns = (await talk.see(path))["turns"]
    server.script_for("chat-model", says(text="Again."), server_error(400))
    answer = await talk.call("POST", f"{path}/replay", {"concurrency": 1, "stream": True})
    events = events_in(answer.text)
    assert [type for type, _ in events] == ["replay.started", *["turn.replayed"] * 2, "replay.completed"]
    report = events[-1][1]
    assert report["skipped"] == [{"turn": turns[2]["id"], "reason": "failed"}]
    assert report["turns"][1]["candidate"]["error"]["code"] == "model_request_refused"
    assert report["turns"][1]["similarity"] is None
    assert (report["summary"]["turns"], report["summary"]["failed"]) == (2, 1)
    one = await replayed(talk, path, turns=[turns[1]["id"]])
    assert [turn["turn"] for turn in one["turns"]] == [turns[1]["id"]]
    before = len(server.requests)
    wrong = await talk.call("POST", f"{path}/replay", {"scorers": [{"type": "judge", "config": {"mood": "good"}}]})
    assert [each["pointer"] for each in wrong.json()["errors"]] == ["/scorers/0/config/mood"]
    assert (wrong.status_code, len(server.requests)) == (422, before), "it is refused before anything is answered"
    none = await talk.call("POST", f"{path}/replay", {"turns": [turns[2]["id"]]})
    assert (none.status_code, none.json()["code"]) == (404, "nothing_to_replay")


async def test_many_are_replayed_from_the_command_line(talk: Talks, server: ModelServer, tmp_path: Path):
    for _ in range(2):
        await talked(talk, server)
    await talk.begin()
    environment = {"MAGNET_URL": talk.magnet.url, "PATH": "", "MAGNET_HOME": str(tmp_path)}

    async def magnet(*arguments: str) -> Any:
        command = ("replay-conversations", "--agent", "helper", "--candidate", "2", *arguments)
        return await asyncio.to_thread(run, *command, environment=environment, directory=tmp_path)

    kept = tmp_path / "kept.jsonl"
    scored = ("--scorer", "exact", "--scorer", '{"type": "contains", "name": "thanks", "config": {"texts": ["thank"]}}')
    done = await magnet("--json", "--keep", str(kept), *scored)
    assert done.status == 0, done.err
    assert [len(each["turns"]) for each in done.json["conversations"]] == [2, 2]
    assert [each["code"] for each in done.json["refused"]] == ["nothing_to_replay"]
    assert (done.json["summary"]["turns"], done.json["summary"]["failed"]) == (4, 0)
    assert {name: each["scored"] for name, each in done.json["summary"]["scores"].items()} == {"exact": 4, "thanks": 4}
    kept.write_text(kept.read_text().splitlines()[0] + '\n{"conv')
    asked = len(server.requests)
    again = await magnet("--json", "--keep", str(kept), *scored)
    assert again.json["conversations"][0]["turns"] and "no report" in again.err
    assert len([each for each in server.requests[asked:] if each.model == "chat-model"]) == 2, (
        "one conversation's turns"
    )
    assert len(kept.read_text().splitlines()) == 3
    live = await magnet("--candidate", "live", "--limit", "2", "--json")
    assert [each["candidate"]["version"] for each in live.json["conversations"]] == [1]
    shown = await magnet("--limit", "2", "--scorer", "exact")
    assert "exact" in shown.out
    assert "similarity by embedding" in shown.out and "Only the newest 2" in shown.err, (shown.out, shown.err)
