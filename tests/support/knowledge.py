"""Knowledge for tests of searches: sources and documents as the log has them, their texts and vectors as stored."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from math import sqrt
from struct import pack
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.passages.stored import StoredPassages
from adapters.postgres.passages.upkeep import keep_passages
from adapters.postgres.passages.writer import PostgresPassagesWriter
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import ReadModel
from adapters.retrieval.searcher import PostgresSearcher, search_session
from commands.models.model_calls import Embedded, ModelUsed
from commands.retrieval.vector_store import VectorStore
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.pricing import Cost, Usage
from domain.references import identify
from domain.retrieval import Found, Search, space_name
from projections.passages import PassagesProjection
from tests.support.log import ReadSide, read_side, running
from tests.support.postgres import Database
from tests.support.rebuilding import build_anew

PASSAGES = ReadModel(projection=PassagesProjection(), writer=PostgresPassagesWriter, upkeep=keep_passages)
MODEL = identify("model", "tiny")
DIMENSIONS = 32
SPACE = space_name(MODEL, "tiny-32")


def vector(text: str, dimensions: int = DIMENSIONS, space: str = SPACE) -> list[float]:
    """Return a vector of a text: those of texts that share words are near each other in a space, and in no other."""
    sums = [0.0] * dimensions
    for word in text.lower().split():
        digest = sha256(word.strip(".,?!").encode()).digest()
        for place in range(dimensions):
            sums[place] += digest[place % 32] - 127.5 + place // 32
    length = sqrt(sum(number * number for number in sums)) or 1.0
    turns = sha256(space.encode()).digest()
    return [(-number if turns[place % 32] & 1 else number) / length for place, number in enumerate(sums)]


class TinyEmbeddings:
    """Embedding models behind the port, without a provider; counts their calls, and may fail.

    `names` are those that models have now at their provider, where it is not the one of the first space.
    """

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        self.dimensions = dimensions
        self.calls: list[Sequence[str]] = []
        self.asked: set[tuple[UUID | None, str | None]] = set()
        self.names: dict[UUID | None, str] = {}
        self.failure: Exception | None = None

    async def embed(self, model: UUID | None, texts: Sequence[str], space: str | None = None, **_: Any) -> Embedded:
        self.calls.append(texts)
        self.asked.add((model, space))
        if self.failure is not None:
            raise self.failure
        id, name = model or MODEL, self.names.get(model, "tiny-32")
        space = space or space_name(id, name)
        return Embedded(
            vectors=[pack(f"<{self.dimensions}f", *vector(text, self.dimensions, space)) for text in texts],
            dimensions=self.dimensions,
            model=ModelUsed(id=id, name="tiny", version=1, model=name, provider="none"),
            usage=Usage(),
            cost=Cost(amount=Decimal(0), currency=None, unknown=False),
        )


async def store_chunks(
    owner: psycopg.AsyncConnection[Any],
    space: str | None,
    chunks: Sequence[str],
    vectors: Mapping[str, Sequence[float]] | None,
    language: str | None = None,
) -> bytes:
    """Store texts and their vectors as ingestion does; return the chunking's id."""
    content = sha256("\0".join(chunks).encode()).digest()
    chunking = sha256(content + (language or "").encode()).digest()
    at = 0
    async with owner.cursor() as cursor:
        await cursor.execute(
            "INSERT INTO magnet.chunkings (id, content_sha256, parser, settings, chunks, language)"
            " VALUES (%s, %s, 'plain/1', '{}', %s, %s) ON CONFLICT DO NOTHING",
            [chunking, content, len(chunks), language],
        )
        for ordinal, text in enumerate(chunks):
            hashed = sha256(text.encode()).digest()
            await cursor.execute(
                "INSERT INTO magnet.chunks (chunking, ordinal, text, text_sha256, start_at, end_at, page, heading)"
                " VALUES (%s, %s, %s, %s, %s, %s, NULL, NULL) ON CONFLICT DO NOTHING",
                [chunking, ordinal, text, hashed, at, at + len(text)],
            )
            at += len(text) + 1
            if vectors is not None:
                await cursor.execute(
                    "INSERT INTO magnet.embeddings (space, text_sha256, embedding) VALUES (%s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    [space, hashed, str(list(vectors[text]))],
                )
    return chunking


@dataclass(repr=False)
class Knowledge:
    """A log with sources and documents, the read model that follows it, and searches over that."""

    side: ReadSide
    owner: psycopg.AsyncConnection[Any]
    models: TinyEmbeddings
    searcher: PostgresSearcher
    sources: dict[str, KnowledgeSource] = field(default_factory=dict)
    documents: dict[tuple[str, str], Document] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return who it is, not all it holds: a generator of cases that prints what failed would give up."""
        return f"Knowledge({', '.join(self.sources)})"

    async def source(self, name: str = "handbook", *, space: str | None = SPACE, **definition: Any) -> KnowledgeSource:
        """Make a source with an index."""
        made = KnowledgeSource.create(name=name, definition={"type": "files", **definition})
        made.build_index(embedding_model=None if space is None else str(MODEL), space=space)
        self.sources[name] = made
        await self.side.record(made)
        return made

    async def add(
        self,
        source: str,
        external_id: str,
        *chunks: str,
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
        acl: Sequence[str] | None = None,
        indexed: bool = True,
    ) -> Document:
        """Add a document, or a version of it, and index it in every index of its source."""
        thing = self.sources[source]
        document = self.documents.get((source, external_id)) or Document.create(
            source=thing.id, external_id=external_id
        )
        self.documents[source, external_id] = document
        content = "\n".join(chunks).encode()
        document.add(
            sha256=sha256(content).hexdigest(),
            size=len(content),
            media_type="text/plain",
            title=title,
            url=None,
            metadata=metadata or {},
            acl=acl,
        )
        await self.side.record(document)
        if indexed:
            for index in sorted(thing.indexes, key=int):
                await self.index(source, external_id, int(index), *chunks)
        return document

    async def index(self, source: str, external_id: str, index: int, *chunks: str, stored: bool = True) -> None:
        """Store a document's chunks and vectors, and note that it is indexed."""
        space = self.sources[source].indexes[str(index)]["space"]
        document = self.documents[source, external_id]
        chunking = await self.store(space, chunks) if stored else bytes(32)
        document.finish_indexing(
            number=document.number,
            index=index,
            chunking=chunking.hex(),
            chunks=len(chunks),
            space=space,
            dimensions=None if space is None else self.models.dimensions,
        )
        await self.side.record(document)

    async def store(self, space: str | None, chunks: Sequence[str], language: str | None = None) -> bytes:
        """Store texts and their vectors as ingestion does; return the chunking's id."""
        vectors = None if space is None else {text: vector(text, self.models.dimensions, space) for text in chunks}
        return await store_chunks(self.owner, space, chunks, vectors, language)

    async def record(self, *names: str) -> None:
        """Record what was done to sources of these names."""
        await self.side.record(*(self.sources[name] for name in names))

    async def search(
        self, query: str, *sources: str, groups: frozenset[str] | None = None, settled: bool = True, **asked: Any
    ) -> Found:
        """Search; where `settled`, once the read model has everything."""
        if settled:
            await self.side.caught_up("passages_v1")
        ids = [self.sources[name].id for name in sources or self.sources]
        return await self.searcher.search(Search(query=query, sources=ids, groups=groups, **asked))

    async def texts(self, query: str, *sources: str, **asked: Any) -> list[str]:
        """Return the texts that a search finds, in its order."""
        return [passage.text for passage in (await self.search(query, *sources, **asked)).passages]

    async def rebuild(self) -> int:
        """Have the read model built anew; return the position that it has reached."""
        administration = ProjectionAdministration(self.side.pool, self.side.log, [PASSAGES])
        await build_anew(administration, "passages_v1")
        await self.side.caught_up("passages_v1")
        return await administration.position("passages_v1")

    async def checksum(self) -> str:
        """Return the read model's checksum."""
        await self.side.caught_up("passages_v1")
        async with self.side.pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT set_config('search_path', 'passages_v1', true)")
            return await PostgresPassagesWriter(connection).checksum()


@asynccontextmanager
async def knowledge(database: Database, store: VectorStore | None = None) -> AsyncIterator[Knowledge]:
    """Put everything together on a test's database; `store`: what says which vectors are near."""
    model = PASSAGES if store is None else replace(PASSAGES, upkeep=StoredPassages(store).keep)
    connecting = psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True)
    async with await connecting as owner, read_side(database) as side:
        pool = AsyncConnectionPool(
            database.app_dsn,
            min_size=1,
            max_size=4,
            open=False,
            configure=search_session,
            kwargs={"autocommit": True},
        )
        models = TinyEmbeddings()
        async with pool, running(side.runner([model])):
            yield Knowledge(side=side, owner=owner, models=models, searcher=PostgresSearcher(pool, models, store))
