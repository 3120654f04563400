"""Row 7: how fast read models catch up with a log, a plain one and ours, and how fast a log is replayed through aggregates."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from adapters.event_store.log import EventLog
from adapters.postgres.configurations import PostgresConfigurationsWriter
from adapters.postgres.listener import Listener
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.runner import Positions, ProjectionRunner
from benchmarks.applications import Running, stock
from benchmarks.database import Databases
from benchmarks.growth import fill
from benchmarks.measure import Scale, interleaved
from benchmarks.plain_projection import THINGS
from benchmarks.recording import new_prompt
from benchmarks.stock_projection import runner
from benchmarks.table import Row
from projections.configurations import ConfigurationsProjection

EVENTS = 200_000
STOCK_EVENTS = 4_000
SECTION = 1000
CONFIGURATIONS = ReadModel(projection=ConfigurationsProjection(), writer=PostgresConfigurationsWriter)


def catching_up(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Rebuild a plain read model and that of configuration things, and replay the same log."""
    events, fewer = scale.count(EVENTS), scale.count(STOCK_EVENTS)
    dsn, library_dsn = databases.magnet(), databases.empty()
    library = stock(library_dsn)
    for _ in range(fewer):
        library.save(new_prompt())
    with Running(dsn) as running:
        running.run(fill(running, events))
        caught_up, rebuilt, by_library = interleaved(
            scale,
            lambda: events / running.run(rebuild(running, dsn, THINGS)),
            lambda: events / running.run(rebuild(running, dsn, CONFIGURATIONS)),
            lambda: fewer / stock_catch_up(library_dsn, databases.empty(), fewer),
        )
        replayed, replayed_by_library = interleaved(
            scale,
            lambda: events / running.run(replay(running)),
            lambda: fewer / stock_replay(library),
        )
    library.close()
    yield Row(
        what=f"catch-up of a plain read model, {events:,} events", ours=caught_up, unit="events/s", floor=40_000,
        compared="stock ProjectionRunner, the same", theirs=by_library,
    )  # fmt: skip
    yield Row(
        what=f"rebuild of configurations_v1 (whole documents), {events:,} events", ours=rebuilt, unit="events/s",
        compared="stock ProjectionRunner, plain", theirs=by_library,
    )  # fmt: skip
    yield Row(
        what=f"replay through aggregates, {events:,} events", ours=replayed, unit="events/s", floor=100_000,
        compared="library's recorder and mapper", theirs=replayed_by_library,
    )  # fmt: skip


async def rebuild(running: Running, dsn: str, model: ReadModel) -> float:
    """Return the seconds from the request for a read model's rebuild to its end."""
    pool = running.parts.pool
    log = EventLog(pool, running.parts.store.mapper)
    listener, positions = Listener(dsn), Positions()
    follower = ProjectionRunner(
        dsn=dsn, pool=pool, log_reader=log, listener=listener, positions=positions, models=[model]
    )
    administration = ProjectionAdministration(pool, log, [model])
    await listener.open()
    await follower.open()
    assert await positions.wait(model.name, await log.head(), 600)
    began = time.perf_counter()
    await administration.rebuild(model.name)
    while (await administration.status(checksums=False))[0].state == "rebuilding":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    await follower.close()
    await listener.close()
    return seconds


def stock_catch_up(events_dsn: str, view_dsn: str, events: int) -> float:
    """Return the seconds that the library's runner takes from its start."""
    began = time.perf_counter()
    with runner(events_dsn, view_dsn) as running:
        running.wait(events, timeout=600)
        return time.perf_counter() - began


async def replay(running: Running) -> float:
    """Return the seconds that it takes to read the log in sections and to have every aggregate."""
    log = EventLog(running.parts.pool, running.parts.store.mapper)
    aggregates: dict[UUID, Any] = {}
    position = 0
    began = time.perf_counter()
    while section := await log.section(position, SECTION):
        for entry in section:
            aggregates[entry.stream] = entry.event.mutate(aggregates.get(entry.stream))
        position = section[-1].position
    return time.perf_counter() - began


def stock_replay(library: Any) -> float:
    """Return the same for the library's own log."""
    aggregates: dict[UUID, Any] = {}
    position = 0
    began = time.perf_counter()
    while section := library.recorder.select_notifications(start=position + 1, limit=SECTION):
        for notification in section:
            event = library.mapper.to_domain_event(notification)
            aggregates[event.originator_id] = event.mutate(aggregates.get(event.originator_id))
        position = section[-1].id
    return time.perf_counter() - began
