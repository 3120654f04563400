"""A sync of a source in which nothing has changed: it is quick, embeds nothing, and records nothing of any document."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from adapters.postgres.sql import load
from api.bootstrap import open_container
from api.settings import Settings
from benchmarks.corpus import corpus
from benchmarks.database import Databases
from benchmarks.ingest import LONGEST, until_found
from benchmarks.measure import Scale
from benchmarks.models import provider
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.knowledge.sync import BeginSync
from commands.ports import SYSTEM, Context
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.provider import Provider

QUERIES = load("benchmarks", "syncing.sql")
DOCUMENTS = 10_000
ASKED = Context(actor=SYSTEM)


def syncing(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Sync a folder, then sync it again."""
    count = scale.count(DOCUMENTS)
    with tempfile.TemporaryDirectory(prefix="magnet-bench-sync-") as place, provider() as server:
        folder = Path(place) / "folder"
        folder.mkdir()
        for number, text in enumerate(corpus(count, 8).texts[:count]):
            (folder / f"{number}.txt").write_text(text, "utf-8")
        seconds, events, calls = asyncio.run(synced_again(databases, folder, server.url, Path(place) / "home", count))
    what = f"sync of {count:,} unchanged documents"
    yield Row(what=what, ours=seconds, unit="s", most=5)
    yield Row(what=f"{what}: events of documents", ours=events, unit="events", most=1)
    yield Row(what=f"{what}: calls of models", ours=calls, unit="calls", most=1)


async def synced_again(databases: Databases, folder: Path, url: str, home: Path, count: int) -> tuple[float, int, int]:
    """Return what a second sync takes: seconds, events of documents, calls of models."""
    settings = Settings(_env_file=None, MAGNET_HOME=home, MAGNET_FOLDERS=str(folder))  # type: ignore[call-arg]
    container = await open_container(settings, dsn=databases.magnet())
    try:
        house = {"type": "openai_compatible", "base_url": url}
        model = {"provider": "house", "model": "embedding-model", "kind": "embedding", "default": True}
        docs = {"type": "folder", "config": {"path": str(folder)}}
        for kind, name, body in (
            (Provider, "house", house),
            (Model, "embedding", model),
            (KnowledgeSource, "docs", docs),
        ):
            source = (await container.bus.dispatch(CreateThing(kind=kind, name=name, body=body), ASKED)).id
        async with container.pool.connection() as connection, asyncio.timeout(LONGEST):
            await container.bus.dispatch(BeginSync(source=source), ASKED)
            await until_ended(connection, 1)
            await until_found(connection, count)
            before = await settled(connection)
            began = time.perf_counter()
            await container.bus.dispatch(BeginSync(source=source), ASKED)
            await until_ended(connection, 2)
            seconds = time.perf_counter() - began
            after = await recorded(connection)
        return seconds, after[0] - before[0], after[1] - before[1]
    finally:
        await container.close()


async def until_ended(connection: AsyncConnection[Any], syncs: int) -> None:
    """Wait until so many syncs have completed."""
    while True:
        if await (await connection.execute(QUERIES["completed"])).fetchone() == (syncs,):
            return
        await asyncio.sleep(0.01)


async def settled(connection: AsyncConnection[Any]) -> tuple[int, int]:
    """Return how much is recorded, once nothing more is for a second."""
    before = (-1, -1)
    while (now := await recorded(connection)) != before:
        before = now
        await asyncio.sleep(1)
    return now


async def recorded(connection: AsyncConnection[Any]) -> tuple[int, int]:
    """Return how many events of documents and calls of models there are."""
    row = await (await connection.execute(QUERIES["recorded"])).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
