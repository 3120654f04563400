"""A source whose documents are a corpus, put where ingestion puts it: texts and vectors in bulk, then the events."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from struct import Struct
from uuid import UUID

import psycopg
from psycopg import sql as statements

from adapters.event_store.appender import Appender
from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Request
from adapters.postgres.passages.spaces import tables
from adapters.postgres.passages.upkeep import MOST_FRESH, SMALL
from adapters.postgres.sql import load
from adapters.postgres.vectors import encoded
from api.bootstrap import open_container
from api.container import Container
from api.settings import Settings
from benchmarks.corpus import SHARES, Corpus
from benchmarks.database import Databases
from commands.models.model_calls import Embedded, ModelUsed
from domain import AGGREGATES
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.pricing import Cost, Usage
from domain.references import identify
from domain.retrieval import passage_id, space_name

QUERIES = load("benchmarks", "knowledge.sql")
MODEL = identify("model", "bench")
SPACE = space_name(MODEL, "bench")
SOURCE = "bench"
AT_ONCE = 200
"""Documents recorded together."""

VECTORS_AT_ONCE = 10_000
COPY_BEGINS, COPY_ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
VECTOR_ROW = Struct(">hi16si32si")
"""A row of three fields: a space's name, a hash, and the length of what follows."""

LONGEST_WAIT = 3600.0
LARGEST_ROW = 8192


@dataclass
class KnownVectors:
    """An embedding model that has every text's vector at hand: what is left is our own time."""

    vectors: Mapping[str, bytes]
    dimensions: int
    asked: int = field(default=0)

    async def embed(self, model: UUID | None, texts: Sequence[str], space: str | None = None, **_: object) -> Embedded:
        """Return the texts' vectors."""
        self.asked += len(texts)
        return Embedded(
            vectors=[self.vectors[text] for text in texts],
            dimensions=self.dimensions,
            model=ModelUsed(id=MODEL, name="bench", version=1, model="bench", provider="none"),
            usage=Usage(),
            cost=Cost(amount=Decimal(0), currency=None, unknown=False),
        )


@asynccontextmanager
async def knowing(
    databases: Databases,
    corpus: Corpus,
    home: Path,
    *,
    language: str | None = None,
    took: dict[str, float] | None = None,
) -> AsyncIterator[tuple[Container, UUID]]:
    """Give a container whose read model has the corpus, its vectors indexed; and the source's id.

    `took` is given how many seconds each step took.
    """
    dsn = databases.magnet()
    asked = {text: row.tobytes() for text, row in zip(corpus.questions, corpus.question_vectors, strict=True)}
    models = KnownVectors(vectors=asked, dimensions=corpus.vectors.shape[1])
    settings = Settings(_env_file=None, MAGNET_HOME=home)  # type: ignore[call-arg]
    steps = {} if took is None else took
    with clocked(steps, "texts and vectors stored"):
        await asyncio.to_thread(store, databases.owner_of(dsn), corpus)
    container = await open_container(settings, dsn=dsn, embedding_models=models)
    try:
        with clocked(steps, "told as events"):
            source = await record(container, corpus, language)
        with clocked(steps, "then in the read model and indexed"):
            await indexed(container, len(corpus.texts))
        yield container, source
    finally:
        await container.close()


@contextmanager
def clocked(steps: dict[str, float], step: str) -> Iterator[None]:
    """Note how many seconds the block takes."""
    began = time.perf_counter()
    yield
    steps[step] = time.perf_counter() - began


def chunking_of(number: int) -> bytes:
    """Return the id of a document's chunking."""
    return sha256(f"document {number}".encode()).digest()


def passage_ids(source: UUID, corpus: Corpus) -> dict[UUID, int]:
    """Return passage id -> its number in the corpus."""
    documents = [Document.create_id(str(source), f"{number}") for number in range(corpus.documents)]
    return {
        passage_id(documents[number // corpus.per_document], 1, 1, number % corpus.per_document): number
        for number in range(len(corpus.texts))
    }


def store(dsn: str, corpus: Corpus) -> None:
    """Copy chunks and vectors into their tables."""
    hashes = [sha256(text.encode()).digest() for text in corpus.texts]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(QUERIES["copy_chunkings"]) as copy:
            for number in range(corpus.documents):
                copy.write_row([chunking_of(number), chunking_of(number), "plain/1", "{}", corpus.per_document])
        with cursor.copy(QUERIES["copy_chunks"]) as copy:
            for number, text in enumerate(corpus.texts):
                document, ordinal = divmod(number, corpus.per_document)
                copy.write_row([chunking_of(document), ordinal, text, hashes[number], 0, len(text)])
        with cursor.copy(QUERIES["copy_vectors"]) as copy:
            copy.write(COPY_BEGINS)
            for space, hashed, vector in _different(hashes, corpus):
                copy.write(VECTOR_ROW.pack(3, len(space), space, len(hashed), hashed, len(vector)) + vector)
            copy.write(COPY_ENDS)


def _different(hashes: Sequence[bytes], corpus: Corpus) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Give the space, the text's hash and the vector as PostgreSQL receives them, of each text once."""
    seen: set[bytes] = set()
    for first in range(0, len(hashes), VECTORS_AT_ONCE):
        some = hashes[first : first + VECTORS_AT_ONCE]
        vectors = encoded(corpus.vectors[first : first + VECTORS_AT_ONCE])
        for hashed, vector in zip(some, vectors, strict=True):
            if hashed not in seen:
                seen.add(hashed)
                yield SPACE.encode(), hashed, vector


async def record(container: Container, corpus: Corpus, language: str | None) -> UUID:
    """Record the source and its documents as indexed; return the source's id."""
    source = KnowledgeSource.create(name=SOURCE, definition={"type": "files", "language": language})
    source.build_index(embedding_model=str(MODEL), space=SPACE)
    mapper, appender = EventMapper(AGGREGATES), Appender(container.pool)

    async def append(aggregates: Sequence[KnowledgeSource | Document]) -> None:
        events = [mapper.to_stored_event(event) for each in aggregates for event in each.collect_events()]
        outcome = await appender.append(Request(events=events))
        assert outcome.outcome == "recorded", outcome

    await append([source])
    for first in range(0, corpus.documents, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, corpus.documents))
        await append([document(source.id, number, corpus) for number in numbers])
    return source.id


def document(source: UUID, number: int, corpus: Corpus) -> Document:
    """Return a document of the corpus."""
    made = Document.create(source=source, external_id=f"{number}")
    made.add(
        sha256=chunking_of(number).hex(),
        size=1,
        media_type="text/plain",
        title="",
        url=None,
        metadata={name: number % values for name, values in SHARES.items()},
        acl=corpus.acl(number),
    )
    made.finish_indexing(
        number=1,
        index=1,
        chunking=chunking_of(number).hex(),
        chunks=corpus.per_document,
        space=SPACE,
        dimensions=corpus.vectors.shape[1],
    )
    return made


async def indexed(container: Container, passages: int) -> None:
    """Wait until the read model has everything, and its upkeep is done."""
    assert await container.reached("passages_v1", await container.log.head(), LONGEST_WAIT)
    until = time.monotonic() + LONGEST_WAIT
    async with container.pool.connection() as connection:
        while True:
            row = await (await connection.execute(query("state"))).fetchone()
            assert row is not None
            if at_rest(row, passages):
                return
            assert time.monotonic() < until, "the vectors are still not indexed"
            await asyncio.sleep(0.5)


def at_rest(state: Sequence[int], passages: int) -> bool:
    """Return whether the upkeep of a space with so many passages is done, by what the query of that name tells."""
    waiting, moved, size, whole = state
    assert waiting + moved == passages, state
    return passages <= SMALL or bool(whole and waiting <= MOST_FRESH and size <= MOST_FRESH * LARGEST_ROW)


def query(name: str, space: str = SPACE) -> statements.Composed:
    """Return a query over a space's tables."""
    names = {"index": f"passages_v1.nearest_{space}", "waiting": f"passages_v1.fresh_{space}"}
    return statements.SQL(QUERIES[name]).format(
        **tables(space), **{part: statements.Literal(full) for part, full in names.items()}
    )
