"""The benchmarks stand on the same parts as the product, and are begun by hand: here it is seen that they still can be."""

from benchmarks.__main__ import BENCHMARKS
from benchmarks.applications import parts
from benchmarks.results import page
from benchmarks.results import parts as parts_of
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from domain.prompt import Prompt
from tests.support.model_server.__main__ import called
from tests.support.model_server.records import Received
from tests.support.postgres import Database


async def test_the_command_path_of_the_benchmarks_records(database: Database):
    async with parts(database.app_dsn) as made:
        command = CreateThing(kind=Prompt, name="p", body={"text": "Hello"})
        receipt = await made.bus.dispatch(command, Context(actor=SYSTEM))
    assert (receipt.version, receipt.position) == (1, 1)
    assert all(callable(each) for each in BENCHMARKS.values())


def test_a_benchmark_that_is_measured_alone_replaces_its_own_figures_and_keeps_all_others():
    first = page({"save": "then\n\n| 1 |", "http": "then\n\n| 2 |"}, ["save", "http", "search"])
    again = page(parts_of(first) | {"http": "now\n\n| 3 |"}, ["save", "http", "search"])
    assert parts_of(again) == {"save": "then\n\n| 1 |", "http": "now\n\n| 3 |"}
    assert page(parts_of(again), ["save", "http"]) == again


def test_a_bound_that_is_to_be_exceeded_is_not_met_by_a_tie():
    rows = [Row(what="", ours=ours, unit="", theirs=0.5, above=1) for ours in (0.4, 0.5, 0.6)]
    assert [row.met for row in rows] == [False, False, True]
    assert rows[1].cells()[-2:] == ["> 1 x", "NO"]


def test_the_model_server_calls_tools_that_take_something_and_tools_that_take_nothing():
    item = {"type": "object", "properties": {"item": {"type": "string"}}}
    functions = [
        {"name": "find", "parameters": item},
        {"name": "now"},
        {"name": "noop", "parameters": {"type": "object"}},
    ]
    body = {
        "tools": [{"type": "function", "function": each} for each in functions],
        "messages": [{"role": "user", "content": "pens"}],
    }
    request = Received(method="POST", path="", query="", headers={}, body=body, connection=1)
    reply = called(request, together=True)
    assert reply is not None
    assert [(each.name, each.arguments) for each in reply.tool_calls] == [
        ("find", {"item": "pens"}), ("now", {}), ("noop", {})
    ]  # fmt: skip
