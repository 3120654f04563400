"""Row 3: the whole cycle of a command, with its idempotency record, on existing aggregates."""

import itertools
from collections.abc import Iterator

from benchmarks.applications import Running, stock
from benchmarks.database import Databases
from benchmarks.measure import Scale, interleaved, task_rate, thread_rate
from benchmarks.recording import DEFINITION, THREADS
from benchmarks.table import Row
from commands.configuration import ChangeThing, CreateThing
from commands.ports import SYSTEM, Context, IdempotencyKey
from domain.prompt import Prompt

THINGS = 1000
IN_FLIGHT = 64


def cycles(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Load, decide, record: ours from 64 tasks, the library's own from 16 threads."""
    library = stock(databases.empty())
    for number in range(THINGS):
        library.save(Prompt.create(name=f"p{number}", definition=DEFINITION))
    asked = itertools.count(1)

    def change(_: int) -> None:
        number = next(asked)
        prompt: Prompt = library.repository.get(Prompt.create_id(f"p{number % THINGS}"))
        prompt.change(prompt.definition | {"text": f"Answer in {number} words."})
        library.save(prompt)

    with Running(databases.magnet()) as running:
        dispatch = running.parts.bus.dispatch

        async def create(number: int) -> None:
            await dispatch(CreateThing(kind=Prompt, name=f"p{number}", body=DEFINITION), Context(actor=SYSTEM))

        async def create_all() -> None:
            for number in range(THINGS):
                await create(number)

        async def command(_: int) -> None:
            number = next(asked)
            key = IdempotencyKey(key=f"k{number}", scope=b"scope %d" % number, body=b"body")
            await dispatch(
                ChangeThing(
                    kind=Prompt,
                    id=Prompt.create_id(f"p{number % THINGS}"),
                    patch={"text": f"Answer in {number} words."},
                ),
                Context(actor=SYSTEM, idempotency=key),
            )

        running.run(create_all())
        rates = interleaved(
            scale,
            lambda: running.run(task_rate(IN_FLIGHT, scale.seconds, command)),
            lambda: thread_rate(THREADS, scale.seconds, change),
        )
    library.close()
    yield Row(
        what="command cycle with its key, 64 in flight", ours=rates[0], unit="/s",
        compared="library's get, change, save, 16 threads", theirs=rates[1], least=4,
    )  # fmt: skip
