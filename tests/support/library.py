"""Documents of a running server as ingestion leaves them: stored, cut, embedded and indexed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import psycopg

from adapters.event_store.appender import Appender
from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Request
from domain import AGGREGATES
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.references import identify
from tests.support.knowledge import store_chunks
from tests.support.model_server import ModelServer
from tests.support.model_server.vectors import by_words
from tests.support.server import Running

DIMENSIONS = 64


@dataclass
class Library:
    """Sources, documents and tools of a server, and requests that wait until searches find them."""

    magnet: Running
    owner: psycopg.AsyncConnection[Any]

    async def models(self, server: ModelServer, *, chat: bool = True) -> None:
        """Configure the models of a model server, made with `vectors="words"`, as the default ones."""
        provider = {"name": "house", "type": "openai_compatible", "base_url": server.url}
        await self.magnet.do("POST", "/v1/providers", provider)
        for kind in ("chat", "embedding") if chat else ("embedding",):
            model = {"name": kind, "provider": "house", "model": f"{kind}-model", "kind": kind, "default": True}
            prices = [{"input": "2", "output": "8"}]
            await self.magnet.do("POST", "/v1/models", {**model, "prices": prices, "routing": {"retries": 0}})

    async def tools(self, *, source: str = "handbook", **retrieval: Any) -> None:
        """Make a source, a retrieval tool `find` and a RAG tool `ask` over it."""
        await self.magnet.do("POST", "/v1/knowledge-sources", {"name": source, "type": "files"})
        await self.magnet.do("POST", "/v1/retrieval-tools", {"name": "find", "sources": [source], **retrieval})
        await self.magnet.do("POST", "/v1/rag-tools", {"name": "ask", "retrieval_tool": "find"})

    async def add(
        self,
        external_id: str,
        *chunks: str,
        source: str = "handbook",
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
        acl: Sequence[str] | None = None,
    ) -> Document:
        """Have a document indexed in every index of its source."""
        thing = await self.magnet.container.store.newest(KnowledgeSource, identify("knowledge_source", source))
        document = Document.create(source=thing.id, external_id=external_id)
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
        for index, settings in thing.indexes.items():
            space = settings["space"]
            vectors = None if space is None else {text: by_words(text, DIMENSIONS).tolist() for text in chunks}
            chunking = await store_chunks(self.owner, space, chunks, vectors)
            document.finish_indexing(
                number=1,
                index=int(index),
                chunking=chunking.hex(),
                chunks=len(chunks),
                space=space,
                dimensions=None if space is None else DIMENSIONS,
            )
        mapper = EventMapper(AGGREGATES)
        events = [mapper.to_stored_event(event) for event in document.collect_events()]
        outcome = await Appender(self.magnet.container.pool).append(Request(events=events))
        assert outcome.first_position is not None, outcome
        self.magnet.position = outcome.first_position + len(events) - 1
        return document

    async def call(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send a search or a question, once what was added is there to be found."""
        return await self.magnet.call("POST", path, body, Magnet_Min_Position=str(self.magnet.position), **headers)

    async def search(self, query: str, **more: Any) -> Any:
        """Return what the retrieval tool finds."""
        answer = await self.call("/v1/retrieval-tools/find/search", {"query": query, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, question: str, **more: Any) -> Any:
        """Return what the RAG tool answers."""
        answer = await self.call("/v1/rag-tools/ask/answer", {"question": question, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def last_run(self) -> Any:
        """Return the newest run, once it is there to be read."""
        self.magnet.position = await self.magnet.container.log.head()
        [newest] = (await self.magnet.get("/v1/runs?limit=1"))["items"]
        return await self.magnet.get(f"/v1/runs/{newest['id']}")


@asynccontextmanager
async def library(magnet: Running) -> AsyncIterator[Library]:
    """Give the library of a server; what its database already holds is waited for, too."""
    magnet.position = max(magnet.position, await magnet.container.log.head())
    connecting = psycopg.AsyncConnection.connect(magnet.database.owner_dsn, autocommit=True)
    async with await connecting as owner:
        yield Library(magnet=magnet, owner=owner)
