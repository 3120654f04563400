"""From texts to passages that are found, beside LlamaIndex's pipeline and what the embedding server alone can give."""

import asyncio
import base64
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import httpx2
from psycopg import AsyncConnection

from adapters.postgres.sql import load
from api.bootstrap import open_container
from api.container import Container
from api.settings import Settings
from benchmarks.corpus import LENGTH, corpus
from benchmarks.database import Databases
from benchmarks.measure import Scale, interleaved
from benchmarks.models import Provider as ModelServer
from benchmarks.models import provider
from benchmarks.peer_store import PYTHON, address, there
from benchmarks.table import Row
from commands.configuration import CreateThing
from commands.knowledge.connectors import GivenDocument
from commands.ports import SYSTEM, Context
from domain.configuration import Configuration
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.provider import Provider

QUERIES = load("benchmarks", "ingest.sql")
PROCESS = Path(__file__).with_name("peer_ingest_process.py")
DOCUMENTS, SENTENCES, DIMENSIONS = 1000, 60, 1536
CHUNK = 256
"""Tokens."""

AT_ONCE = 100
"""Documents of one upload."""

TEXTS, REQUESTS = 256, 4
"""What the server alone is asked: texts of a request, and requests at once; ours asks so too."""

ASKED = Context(actor=SYSTEM)
LONGEST = 1800.0


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is to be found in the end."""

    texts: Sequence[str]
    name: str = "text"

    def documents(self, first: int) -> list[GivenDocument]:
        """Return the next documents from one on."""
        return [
            GivenDocument(
                external_id=f"{self.name} {number}.txt",
                title=f"Document {number}",
                url=None,
                media_type="text/plain",
                content=self.texts[number].encode(),
                metadata={"number": number},
                acl=None,
            )
            for number in range(first, min(first + AT_ONCE, len(self.texts)))
        ]


FIRST = Given(name="first", texts=["Here is one sentence more. " * 200])


def ingesting(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Have the same texts ingested by both, each time into an empty database; then ask the server alone."""
    if find_spec("adapters.reading") is None:
        sys.stderr.write("  not run: this Magnet has no reader of documents built in\n")
        return
    given = Given(texts=written(scale.count(DOCUMENTS)))
    few = Scale(rounds=min(scale.rounds, 3), seconds=scale.seconds, size=scale.size)
    chunks: list[str] = []
    filled: list[float] = []
    with provider(dimensions=DIMENSIONS) as server, tempfile.TemporaryDirectory(prefix="magnet-bench-ingest-") as place:
        numbers = itertools.count()

        def ours() -> float:
            home = Path(place) / f"home-{next(numbers)}"
            taken, made, requests = asyncio.run(ingested(databases, given, server, home))
            chunks[:] = made
            filled.append(len(made) / requests)
            return len(given.texts) / taken

        def alone() -> float:
            """Return for how many documents a second the server alone gives vectors."""
            return len(given.texts) / asyncio.run(embedded(server, chunks))

        def theirs() -> float:
            return len(given.texts) / pipeline(databases, given, server, Path(place))

        ways = [ours, alone, theirs] if there() else [ours, alone]
        rate, server_rate, *other = interleaved(few, *ways)
    what = f"texts ingested until they are found, {len(chunks) / len(given.texts):.1f} passages each"
    for figure in other:
        compared = "LlamaIndex IngestionPipeline, PGVectorStore"
        yield Row(what=what, ours=rate, unit="/s", compared=compared, theirs=figure, least=5)
    yield Row(
        what=what, ours=rate, unit="/s", compared="the embedding server alone", theirs=server_rate, least=0.8
    )  # fmt: skip
    yield Row(
        what="texts of an embedding request, mean", ours=median(filled), unit="texts",
        compared="as many as one holds", theirs=TEXTS, least=0.9,
    )  # fmt: skip


def written(count: int) -> list[str]:
    """Return texts of SENTENCES sentences, in paragraphs."""
    sentences = [f"{line.capitalize()}." for line in corpus(count * SENTENCES // 4 + 4, 8).texts]
    # A sentence here is a quarter of a passage there: about ten words.
    words = LENGTH // 4
    short = [
        " ".join(parts[place : place + words]).capitalize() + "."
        for parts in (sentence.rstrip(".").split() for sentence in sentences)
        for place in range(0, LENGTH, words)
    ]
    return [
        "\n\n".join(" ".join(short[first + at : first + at + 6]) for at in range(0, SENTENCES, 6))
        for first in range(0, count * SENTENCES, SENTENCES)
    ]


async def ingested(databases: Databases, given: Given, server: ModelServer, home: Path) -> tuple[float, list[str], int]:
    """Return the seconds from the documents' arrival until all are found, the passages, and the requests for them.

    One document goes before them and starts the process that reads: the other's library is loaded and its table
    made before its time begins, too.
    """
    settings = Settings(_env_file=None, MAGNET_HOME=home)  # type: ignore[call-arg]
    container = await open_container(settings, dsn=databases.magnet())
    try:
        source = await prepared(container, server)
        async with container.pool.connection() as connection, asyncio.timeout(LONGEST):
            await container.documents.add(source, FIRST.documents(0), ASKED)
            await until_found(connection, 1)
            earlier = await counted(connection)
            began = time.perf_counter()
            for first in range(0, len(given.texts), AT_ONCE):
                await container.documents.add(source, given.documents(first), ASKED)
            await until_found(connection, 1 + len(given.texts))
            taken = time.perf_counter() - began
            rows = await (await connection.execute(QUERIES["passages"])).fetchall()
            requests = await counted(connection) - earlier
        return taken, [row[0] for row in rows], requests
    finally:
        await container.close()


async def counted(connection: AsyncConnection[Any]) -> int:
    """Return how many requests are on record: the last run ends a moment after its documents are found."""
    before = -1
    while True:
        row = await (await connection.execute(QUERIES["requests"])).fetchone()
        assert row is not None
        if row[0] == before:
            return before
        before = int(row[0])
        await asyncio.sleep(1)


async def until_found(connection: AsyncConnection[Any], documents: int) -> None:
    """Wait until a search may find so many documents."""
    while True:
        if await (await connection.execute(QUERIES["found"])).fetchone() == (documents,):
            return
        await asyncio.sleep(0.01)


async def prepared(container: Container, server: ModelServer) -> UUID:
    """Make a source that is embedded by the server; return its id."""

    async def make(made: type[Configuration], name: str, **body: object) -> UUID:
        return (await container.bus.dispatch(CreateThing(kind=made, name=name, body=body), ASKED)).id

    await make(Provider, "house", type="openai_compatible", base_url=server.url)
    await make(Model, "embedding", provider="house", model="embedding-model", kind="embedding", default=True)
    chunking = {"strategy": "sentence", "size": CHUNK, "overlap": 0}
    return await make(KnowledgeSource, "texts", type="files", chunking=chunking)


async def embedded(server: ModelServer, texts: Sequence[str]) -> float:
    """Return the seconds in which the server gives all texts' vectors, asked as it likes it best."""
    parts = [list(texts[first : first + TEXTS]) for first in range(0, len(texts), TEXTS)]
    room = asyncio.Semaphore(REQUESTS)
    async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:

        async def ask(part: list[str]) -> None:
            async with room:
                body = {"model": "embedding-model", "input": part, "encoding_format": "base64"}
                answer = await client.post("/embeddings", content=json.dumps(body))
                vectors = [base64.b64decode(each["embedding"]) for each in answer.json()["data"]]
                assert len(vectors) == len(part)

        began = time.perf_counter()
        await asyncio.gather(*map(ask, parts))
        return time.perf_counter() - began


def pipeline(databases: Databases, given: Given, server: ModelServer, place: Path) -> float:
    """Return the seconds that LlamaIndex takes."""
    texts = place / "texts.json"
    texts.write_text(json.dumps(given.texts), "utf-8")
    command = [str(PYTHON), "-I", str(PROCESS), address(databases), str(texts), server.url, str(CHUNK), str(DIMENSIONS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return float(told["seconds"])
