"""Workers are killed while they index and while they build an index: every document is indexed, none of them twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from api.bootstrap import open_container
from api.container import Container
from api.database import APP_ROLE
from api.settings import Settings
from commands.configuration import ChangeThing, CreateThing
from commands.knowledge.connectors import GivenDocument
from commands.ports import SYSTEM, Context
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.provider import Provider
from tests.e2e.test_crashes import Installation, installation
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE

ASKED = Context(actor=SYSTEM)
DOCUMENTS = 400
GIVEN = [
    GivenDocument(
        external_id=f"d{number}",
        title="",
        url=None,
        media_type="text/plain",
        content=f"Document {number} has a text of its own.".encode(),
        metadata={},
        acl=None,
    )
    for number in range(DOCUMENTS)
]
INDEXED = (
    """SELECT count(*), count(DISTINCT originator_id) FROM magnet.magnet_events WHERE topic = 'document.indexed'"""
)


@asynccontextmanager
async def asking(site: Installation) -> AsyncIterator[Container]:
    """A process that gives documents and carries out no jobs."""
    made = Settings(_env_file=None, MAGNET_HOME=site.home)  # type: ignore[call-arg]
    container = await open_container(made, dsn=site.postgres.dsn(user=APP_ROLE), worker=False)
    try:
        yield container
    finally:
        await container.close()


async def make(container: Container, made: Any, name: str, **body: Any) -> UUID:
    return (await container.bus.dispatch(CreateThing(kind=made, name=name, body=body), ASKED)).id


def count(site: Installation, query: str) -> Any:
    with psycopg.connect(site.postgres.dsn()) as owner:
        return owner.execute(query.encode()).fetchone()


async def until(site: Installation, query: str, enough: Any) -> None:
    """Wait until a query's first number is enough."""
    async with asyncio.timeout(120):
        while not enough(await asyncio.to_thread(count, site, query)):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("failpoint", ["", "append.before=exit@4", "append.after=exit@4"])
async def test_documents_whose_worker_is_killed_are_indexed_by_another_each_once(failpoint: str):
    with ModelServer(vectors="words") as server, installation() as site:
        async with asking(site) as container:
            await make(container, Provider, "house", type="openai_compatible", base_url=server.url)
            await make(container, Model, "m", provider="house", model="m-1", kind="embedding", default=True)
            source = await make(container, KnowledgeSource, "handbook", type="files")
            await container.documents.add(source, GIVEN, ASKED)
            doomed = site.start("worker", failpoints=failpoint)
            if failpoint:
                await asyncio.to_thread(doomed.wait, 60)
                site.processes.remove(doomed)
            else:
                await until(site, "SELECT count(*) FROM magnet.jobs WHERE owner IS NOT NULL", lambda row: row[0] > 0)
                site.kill(doomed)
            site.start("worker")
            await until(site, "SELECT count(*) FROM magnet.jobs", lambda row: row[0] == 0)
            assert count(site, INDEXED) == (DOCUMENTS, DOCUMENTS)
            assert await container.reached("passages_v1", await container.log.head(), PATIENCE)
            assert count(site, "SELECT count(*) FROM passages_v1.passages") == (DOCUMENTS,)
            assert count(site, "SELECT count(*) FROM magnet.embeddings") == (DOCUMENTS,)


async def test_an_index_whose_builder_is_killed_is_completed_by_another_and_then_answers():
    with ModelServer(vectors="words") as server, installation() as site:
        async with asking(site) as container:
            await make(container, Provider, "house", type="openai_compatible", base_url=server.url)
            source = await make(container, KnowledgeSource, "handbook", type="files")
            await container.documents.add(source, GIVEN, ASKED)
            doomed = site.start("worker")
            await until(site, "SELECT count(*) FROM magnet.jobs", lambda row: row[0] == 0)
            model = await make(container, Model, "m", provider="house", model="m-1", kind="embedding")
            change = ChangeThing(kind=KnowledgeSource, id=source, patch={"embedding_model": str(model)})
            await container.bus.dispatch(change, ASKED)
            await until(site, "SELECT count(*) FROM magnet.jobs WHERE owner IS NOT NULL", lambda row: row[0] > 0)
            site.kill(doomed)
            thing = await container.store.newest(KnowledgeSource, source)
            assert thing.newest_index == 2
            site.start("worker")
            switched = "SELECT count(*) FROM magnet.magnet_events WHERE topic = 'knowledge_source.index_switched'"
            await until(site, switched, lambda row: row[0] == 1)
            thing = await container.store.newest(KnowledgeSource, source)
            assert (thing.index, thing.newest_index) == (2, 2)
            assert count(site, INDEXED) == (2 * DOCUMENTS, DOCUMENTS)
