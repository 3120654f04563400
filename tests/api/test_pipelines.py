"""Pipelines over HTTP: prompts and tools in steps, each item on record, the sum of all of them the run's."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_prompt_runs import events_in
from tests.support.library import Library, library
from tests.support.model_server import Gate, Hang, ModelServer, Received, Reply, server_error
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.shop import Shop, shop

MODEL = {"type": "prompt", "tool": "say"}
COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning", "total")


def says(text: str, **more: Any) -> dict[str, Any]:
    """Return an item that says a text to a model; `{...}` is a path."""
    words = {"path": text[1:-1]} if text.startswith("{") else {"value": text}
    return {**MODEL, "inputs": {"words": words}, **more}


def step(name: str, **items: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "parallel": [{"name": item, **settings} for item, settings in items.items()]}


def answering(request: Received) -> Any:
    """Answer what is said in capitals; some is refused, some never answered."""
    if "bad words" in request.question:
        return server_error(400)
    return Hang() if "hang" in request.question else Reply(text=request.question.upper())


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words", default=answering) as running:
        yield running


@pytest.fixture
async def store() -> AsyncIterator[Shop]:
    async with shop() as opened:
        yield opened


@pytest.fixture
async def books(database: Database, tmp_path: Path, server: ModelServer, store: Shop) -> AsyncIterator[Library]:
    async with (
        serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8") as magnet,
        library(magnet) as opened,
    ):
        await opened.models(server)
        await opened.tools()
        await magnet.do("POST", "/v1/prompts", {"name": "say", "text": "{{ words }}", "variables": {"words": {}}})
        await magnet.do("POST", "/v1/tool-servers", store.settings())
        yield opened


async def make(magnet: Running, *steps: dict[str, Any], **more: Any) -> None:
    await magnet.do("POST", "/v1/pipelines", {"name": "line", "steps": list(steps), **more})


def items(shown: Any) -> dict[str, dict[str, Any]]:
    """Return the items of a run by their names."""
    return {item["name"]: item for step in shown["steps"] for item in step["items"]}


async def the_run(magnet: Running, id: str) -> Any:
    magnet.position = await magnet.container.log.head()
    return await magnet.get(f"/v1/runs/{id}")


async def until(magnet: Running, id: str, state: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while (seen := await magnet.get(f"/v1/pipelines/runs/{id}"))["state"] != state:
            await asyncio.sleep(0.01)
    return seen


async def test_what_earlier_steps_gave_is_given_to_later_ones_and_all_of_it_sums_up_to_the_run(
    books: Library, store: Shop
):
    magnet = books.magnet
    await books.add("a", "Holidays are thirty days a year.", title="Leave")
    answer = {"type": "rag_tool", "tool": "ask", "inputs": {"question": {"input": "question"}}}
    find = {"type": "retrieval_tool", "tool": "find", "inputs": {"query": {"input": "question"}, "limit": {"value": 1}}}
    order = {"type": "api_tool", "tool": "shop", "operation": "order"}
    order["inputs"] = {"body": {"value": {"item": "pen"}}}  # type: ignore[assignment]
    await make(
        magnet,
        step("look", answer=answer, found=find, ordered=order),
        step("say", loud=says("{steps.look.found.passages.0.text}"), skipped=says("x", when="inputs.never")),
        inputs={"question": {"schema": {"type": "string"}}, "never": {"default": False}},
        output={"loud": "steps.say.loud.text", "ordered": "steps.look.ordered.json.ordered"},
    )
    made = await magnet.do(
        "POST", "/v1/pipelines/line/run", {"inputs": {"question": "How many holidays?"}, "subject": "ada"}
    )
    assert made["state"] == "completed"
    assert made["output"] == {"loud": "HOLIDAYS ARE THIRTY DAYS A YEAR.", "ordered": "pen"}
    assert store.orders == [{"item": "pen"}]
    shown = items(made)
    assert [shown[name]["state"] for name in ("answer", "found", "ordered", "loud", "skipped")] == [
        *["completed"] * 4,
        "skipped",
    ]
    assert shown["answer"]["result"]["passages"][0]["document"]["title"] == "Leave"
    run = await the_run(magnet, made["run_id"])
    assert (run["kind"], run["outcome"], run["subject"], run["target"]["name"]) == (
        "pipeline",
        "completed",
        "ada",
        "line",
    )
    assert (run["usage"], run["cost"]) == (made["usage"], made["cost"])
    steps = {each["number"]: each for each in run["steps"]}
    assert sum(Decimal(each["cost"]["amount"]) for each in steps.values()) == Decimal(run["cost"]["amount"]) > 0
    assert all(sum(each["usage"][name] for each in steps.values()) == run["usage"][name] for name in COUNTERS)
    tree = [(each["kind"], each["name"]) for each in steps.values() if each["parent"] is None]
    assert tree == [("pipeline_step", "look"), ("pipeline_step", "say")]
    [loud] = [each for each in steps.values() if each["name"] == "loud"]
    assert steps[loud["parent"]]["name"] == "say"
    assert loud["output"]["text"] == made["output"]["loud"]
    assert [each["kind"] for each in steps.values() if each["parent"] == loud["number"]] == ["model_call"]
    assert run["versions"]["items"]["look.answer"]["rag_tool"]["name"] == "ask"
    by_kind = (await magnet.get("/v1/usage?by=kind"))["items"]
    assert [row["cost"] for row in by_kind if row["kind"] == "pipeline"] == [run["cost"]]


async def test_a_failed_item_ends_the_run_with_what_was_done_or_is_passed_on_as_an_error(books: Library, store: Shop):
    magnet = books.magnet
    await magnet.do("PATCH", "/v1/tool-servers/shop", {"tools": {"order": {"requires_confirmation": True}}})
    order = {"type": "api_tool", "tool": "shop", "operation": "order", "on_error": "continue"}
    await make(
        magnet,
        step("one", good=says("good"), bad=says("bad words", on_error="continue"), ordered=order),
        step("two", told=says("{steps.one.bad.error.code}"), worse=says("{steps.one.bad.text}")),
        step("three", never=says("never")),
    )
    answer = await magnet.call("POST", "/v1/pipelines/line/run")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["step"], problem["item"]) == (
        409,
        "missing_input",
        "two",
        "worse",
    )
    shown = await magnet.get(f"/v1/pipelines/runs/{problem['run_id']}")
    assert shown["state"] == "failed"
    assert items(shown)["told"]["result"]["text"] == items(shown)["bad"]["error"]["code"].upper()
    assert items(shown)["worse"]["error"]["message"] == (
        "Nothing stands at 'steps.one.bad.text', from where the input 'words' is taken."
    )
    assert "never" not in items(shown)
    assert (items(shown)["ordered"]["error"]["code"], store.orders) == ("confirmation_needed", [])
    run = await the_run(magnet, problem["run_id"])
    assert (run["outcome"], run["usage"]) == ("failed", shown["usage"])


async def test_progress_is_streamed_resumed_by_ids_and_ends_once(books: Library, server: ModelServer):
    magnet = books.magnet
    await make(magnet, step("one", a=says("a")), step("two", b=says("{steps.one.a.text}")))
    answer = await magnet.call("POST", "/v1/pipelines/line/run", {"stream": True})
    events = events_in(answer.text)
    assert [type for type, _ in events] == [
        "pipeline.started",
        *["item.started", "item.completed"] * 2,
        "pipeline.completed",
    ]
    assert events[2][1]["result"]["text"] == "A"
    assert events[-1][1]["output"] == {"b": {"text": "A", "parsed": None}}
    path = f"/v1/pipelines/runs/{events[-1][1]['id']}/stream"
    rest = events_in((await magnet.call("GET", path, Last_Event_ID="3")).text)
    assert rest == events[3:]
    assert (await magnet.call("GET", path, Last_Event_ID="6")).status_code == 204
    server.script_for("chat-model", server_error(400))
    failed = events_in((await magnet.call("POST", "/v1/pipelines/line/run", {"stream": True})).text)[-1]
    assert (failed[0], failed[1]["error"]["status"], failed[1]["error"]["item"]) == ("pipeline.failed", 502, "a")


async def test_a_run_is_cancelled_at_once_and_the_provider_left(books: Library, server: ModelServer):
    magnet = books.magnet
    slow = step("two", slow=says("hang"), slower=says("hang on"), waiting=says("b"))
    await make(magnet, step("one", a=says("a")), slow, step("three", b=says("b")), limits={"concurrency": 2})
    made = await magnet.call("POST", "/v1/pipelines/line/run", {"background": True})
    assert made.status_code == 202
    path = made.headers["Location"]
    await server.until(lambda: len(server.requests) == 3)
    assert (await magnet.call("POST", f"{path}/cancel")).status_code == 202
    seen = await until(magnet, made.json()["id"], "cancelled")
    states = {name: item["state"] for name, item in items(seen).items()}
    assert states == {"a": "completed", "slow": "cancelled", "slower": "cancelled"}, "no third was begun beside two"
    await server.until(lambda: [each.ended for each in server.requests if "hang" in each.question] == ["left"] * 2)
    run = await the_run(magnet, seen["run_id"])
    assert (run["outcome"], run["usage"]) == ("cancelled", seen["usage"])
    again = await magnet.call("POST", f"{path}/cancel")
    assert again.status_code == 202, "what is cancelled already is no refusal"


async def test_limits_of_time_and_money_end_a_run_and_keep_what_was_done(books: Library, server: ModelServer):
    magnet = books.magnet
    await make(magnet, step("one", slow=says("hang")), limits={"seconds": 4})
    answer = await magnet.call("POST", "/v1/pipelines/line/run")
    assert (answer.status_code, answer.json()["code"]) == (504, "pipeline_timed_out")
    seen = await magnet.get(f"/v1/pipelines/runs/{answer.json()['run_id']}")
    assert {name: item["state"] for name, item in items(seen).items()} == {"slow": "cancelled"}
    patch = {"limits": {"cost": {"amount": "0.000001"}, "concurrency": 1}}
    three = [step("one", a=says("a")), step("two", b=says("b"))]
    await magnet.do("PATCH", "/v1/pipelines/line?publish=true", {"steps": three, **patch})
    answer = await magnet.call("POST", "/v1/pipelines/line/run")
    assert (answer.status_code, answer.json()["code"]) == (429, "pipeline_cost_reached")
    seen = await magnet.get(f"/v1/pipelines/runs/{answer.json()['run_id']}")
    assert list(items(seen)) == ["a"]


async def test_a_repeated_request_is_given_the_same_run_and_bad_inputs_begin_none(books: Library, server: ModelServer):
    magnet = books.magnet
    await make(magnet, step("one", a=says("{inputs.text}")), inputs={"text": {"schema": {"type": "string"}}})
    for wrong, pointer in (({}, "/inputs/text"), ({"text": 5}, "/inputs/text"), ({"text": "a", "b": 1}, "/inputs/b")):
        refused = await magnet.call("POST", "/v1/pipelines/line/run", {"inputs": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    body = {"inputs": {"text": "hello"}}
    first = await magnet.call("POST", "/v1/pipelines/line/run", body, Idempotency_Key="k")
    asked = len(server.requests)
    again = await magnet.call("POST", "/v1/pipelines/line/run", body, Idempotency_Key="k")
    assert again.headers["Idempotent-Replay"] == "true"
    assert (again.content, len(server.requests)) == (first.content, asked)


async def test_a_run_whose_subject_is_erased_meanwhile_ends_without_a_word_of_it(books: Library, server: ModelServer):
    magnet, gate = books.magnet, Gate()
    await make(magnet, step("one", a=says("canary")), step("two", b=says("{steps.one.a.text}")))
    server.script_for("chat-model", Reply(text="canary"), Reply(text="canary late", gate=gate))
    made = await magnet.do("POST", "/v1/pipelines/line/run", {"background": True, "subject": "ada"})
    await server.until(lambda: len(server.requests) == 2)
    await magnet.do("POST", "/v1/subjects/ada/erase")
    gate.open()
    seen = await until(magnet, made["id"], "failed")
    assert seen["error"]["code"] == "subject_erased"
    run = await the_run(magnet, made["run_id"])
    assert (run["outcome"], run["cost"]["unknown"]) == ("failed", True)
    assert "canary" not in json.dumps([seen, run])


async def test_a_prompt_that_lets_nothing_be_recorded_of_its_runs_has_its_way(books: Library):
    magnet = books.magnet
    quiet = {"name": "quiet", "text": "{{ words }}", "variables": {"words": {}}, "observability": "none"}
    await magnet.do("POST", "/v1/prompts", quiet)
    await make(magnet, step("one", a=says("canary", tool="quiet")), step("two", b=says("loud")), output="steps.two")
    made = await magnet.do("POST", "/v1/pipelines/line/run")
    run = await the_run(magnet, made["run_id"])
    assert items(made)["a"]["result"]["text"] == "CANARY", "what it gave is there for the next step"
    assert "canary" not in json.dumps(run).lower() and "LOUD" in json.dumps(run)


async def test_results_are_sealed_for_their_subject_and_end_with_it(books: Library):
    magnet = books.magnet
    await make(magnet, step("one", a=says("{inputs.text}")), inputs={"text": {}})
    made = await magnet.do("POST", "/v1/pipelines/line/run", {"inputs": {"text": "canary-7f"}, "subject": "ada"})
    assert made["output"]["a"]["text"] == "CANARY-7F"
    log = (await magnet.get("/v1/events?kind=pipeline_run"))["items"]
    assert "canary" not in json.dumps(log).lower() and len(log) == 4
    [held] = (await magnet.do("POST", "/v1/subjects/ada/export"))["runs"]
    assert held["pipeline_run"]["output"]["a"]["text"] == "CANARY-7F"
    await magnet.do("POST", "/v1/subjects/ada/erase")
    seen = await magnet.get(f"/v1/pipelines/runs/{made['id']}")
    assert (seen["state"], seen["output"], seen["inputs"], items(seen)["a"]["result"]) == ("completed", None, {}, {})
