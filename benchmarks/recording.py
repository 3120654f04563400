"""Rows 1 and 2: events recorded through the library's `save()`, and through the asynchronous door."""

import itertools
from collections.abc import Iterator
from uuid import uuid4

from psycopg_pool import ConnectionPool

from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Request
from benchmarks.applications import Running, ours, stock
from benchmarks.database import QUERIES, Databases
from benchmarks.measure import Scale, interleaved, task_rate, thread_rate
from benchmarks.table import Row
from domain import AGGREGATES
from domain.prompt import Prompt

THREADS = 16
IN_FLIGHT = 128
DEFINITION = {"text": "Answer in one sentence."}

_numbers = itertools.count()


def new_prompt() -> Prompt:
    """Return a new aggregate with one pending event."""
    return Prompt(name=f"p{next(_numbers)}", definition=DEFINITION)


def saving(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Row 1: `Application.save()` from 16 threads."""
    mapper = EventMapper(AGGREGATES)
    [event] = new_prompt().collect_events()
    payload = mapper.to_stored_event(event)
    magnet, library = ours(databases.magnet()), stock(databases.empty())
    with ConnectionPool(databases.empty(), min_size=THREADS, max_size=THREADS, kwargs={"autocommit": True}) as pool:
        with pool.connection() as connection:
            connection.execute(QUERIES["make_plain"])

        def insert(_: int) -> None:
            values = {"id": uuid4(), "topic": payload.topic, "state": payload.state}
            with pool.connection() as connection:
                connection.execute(QUERIES["insert_plain"], values)

        rates = interleaved(
            scale,
            lambda: thread_rate(THREADS, scale.seconds, lambda _: magnet.save(new_prompt())),
            lambda: thread_rate(THREADS, scale.seconds, lambda _: library.save(new_prompt())),
            lambda: thread_rate(THREADS, scale.seconds, insert),
        )
    magnet.close()
    library.close()
    what = "events recorded by save(), 16 threads"
    yield Row(what=what, ours=rates[0], unit="/s", compared="stock recorder", theirs=rates[1], least=5)
    yield Row(what=what, ours=rates[0], unit="/s", compared="raw pooled inserts", theirs=rates[2], least=0.8)


def appending(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Row 2: new aggregates through the asynchronous append, mapping included, 128 in flight."""
    library = stock(databases.empty())
    tried = {
        threads: thread_rate(threads, scale.seconds, lambda _: library.save(new_prompt()))
        for threads in (1, 2, 4, 8, 16)
    }
    best = max(tried, key=lambda threads: tried[threads])
    with Running(databases.magnet()) as running:
        append, mapper = running.parts.appender.append, running.parts.store.mapper

        async def record(_: int) -> None:
            events = new_prompt().collect_events()
            await append(Request(events=[mapper.to_stored_event(event) for event in events]))

        rates = interleaved(
            scale,
            lambda: running.run(task_rate(IN_FLIGHT, scale.seconds, record)),
            lambda: thread_rate(best, scale.seconds, lambda _: library.save(new_prompt())),
        )
    library.close()
    yield Row(
        what="new aggregates appended, 128 in flight", ours=rates[0], unit="/s",
        compared=f"stock save(), {best} threads", theirs=rates[1], least=15,
    )  # fmt: skip
