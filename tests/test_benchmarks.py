"""The benchmarks stand on the same parts as the product, and are begun by hand: here it is seen that they still can be."""

from benchmarks.__main__ import BENCHMARKS
from benchmarks.applications import parts
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
