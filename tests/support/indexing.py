"""An installation that indexes: a worker, a source, and a model server that embeds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from api.bootstrap import open_container
from api.container import Container
from api.settings import Settings
from commands.configuration import ChangeThing, CreateThing
from commands.knowledge.connectors import GivenDocument
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.knowledge_source import FILL_INDEX, FOLLOW_MODELS
from commands.ports import SYSTEM, Context
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.provider import Provider
from domain.retrieval import Search
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader

ASKED = Context(actor=SYSTEM)
GIVEN = {"a": "Holidays are thirty days.\nThey are paid.", "b": "Lunch is at noon."}


def given(texts: Mapping[str, str], **more: Any) -> list[GivenDocument]:
    fields: dict[str, Any] = {"title": "", "url": None, "media_type": "text/plain", "metadata": {}, "acl": None} | more
    return [GivenDocument(external_id=name, content=text.encode(), **fields) for name, text in texts.items()]


@dataclass
class Indexing:
    """An installation with a worker, a source and perhaps an embedding model."""

    container: Container
    database: Database
    reader: PlainReader
    server: ModelServer
    source: UUID = field(default_factory=lambda: UUID(int=0))

    async def models(self, name: str = "embedding", **more: Any) -> UUID:
        """Make an embedding model at the model server, the default one."""
        if await self.container.store.load(Provider.create_id("house")) is None:
            await self.make(Provider, "house", type="openai_compatible", base_url=self.server.url)
        return await self.make(
            Model, name, **({"provider": "house", "model": f"{name}-1", "kind": "embedding", "default": True} | more)
        )

    async def make(self, made: Any, name: str, **body: Any) -> UUID:
        return (await self.container.bus.dispatch(CreateThing(kind=made, name=name, body=body), ASKED)).id

    async def change(self, **patch: Any) -> None:
        await self.container.bus.dispatch(ChangeThing(kind=KnowledgeSource, id=self.source, patch=patch), ASKED)

    async def add(self, texts: Mapping[str, str], **more: Any) -> list[UUID]:
        added = await self.container.documents.add(self.source, given(texts, **more), ASKED)
        return [UUID(each["id"]) for each in added.documents]

    async def settled(self) -> None:
        """Wait until no job is left, and searches know of all that was done."""
        async with asyncio.timeout(PATIENCE):
            while {INDEX_DOCUMENT, FILL_INDEX, FOLLOW_MODELS} & set(await self.container.jobs.depth()):
                await asyncio.sleep(0.01)
        assert await self.container.reached("passages_v1", await self.container.log.head(), PATIENCE)

    async def document(self, id: UUID) -> Document:
        return await self.container.store.newest(Document, id)

    async def thing(self) -> KnowledgeSource:
        return await self.container.store.newest(KnowledgeSource, self.source)

    async def found(self, query: str, **more: Any) -> list[str]:
        search = Search(query=query, sources=[self.source], groups=None, **more)
        return [each.text for each in (await self.container.searcher.search(search)).passages]

    async def job(self, kind: str) -> Mapping[str, Any] | None:
        """Return the payload of the one job of a kind; None where there is none."""
        rows = await asyncio.to_thread(self.rows, f"SELECT payload FROM magnet.jobs WHERE kind = '{kind}'")
        return rows[0][0] if rows else None

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.database.owner_dsn) as owner:
            return owner.execute(query.encode()).fetchall()


@asynccontextmanager
async def worker(database: Database, home: Path, reader: PlainReader) -> AsyncIterator[Container]:
    made = Settings(_env_file=None, MAGNET_HOME=home)  # type: ignore[call-arg]
    container = await open_container(made, dsn=database.app_dsn, reader=reader)
    try:
        yield container
    finally:
        await container.close()


@asynccontextmanager
async def installed(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    """Open one with a source `handbook`."""
    reader = PlainReader()
    with ModelServer(vectors="words") as server:
        async with worker(database, tmp_path, reader) as container:
            made = Indexing(container=container, database=database, reader=reader, server=server)
            made.source = await made.make(KnowledgeSource, "handbook", type="files")
            yield made


def embedded(server: ModelServer) -> list[str]:
    """Return all texts that the model server was asked to embed."""
    return [
        text for request in server.requests if request.path.endswith("/embeddings") for text in request.body["input"]
    ]
