"""The benchmarks stand on the same parts as the product, and are begun by hand: here it is seen that they still can be."""

from benchmarks.__main__ import BENCHMARKS
from benchmarks.applications import parts
from benchmarks.results import page
from benchmarks.results import parts as parts_of
from commands.configuration import CreateThing
from commands.ports import SYSTEM, Context
from domain.prompt import Prompt
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
