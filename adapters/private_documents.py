"""What is made of the files of conversations, in PostgreSQL: sealed with the key of what is said there."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Mapping
from uuid import UUID

import orjson
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.data_keys import ERASED, DataKeys
from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from commands.conversations.private_source import FilePassage, PrivateDocument
from domain.private_source import Standing

SQL = sql.load("adapters", "private_documents.sql")


class PostgresPrivateDocuments:
    """Keeps a row for each file; what is sealed in it is bound to the file and its conversation."""

    def __init__(self, pool: AsyncConnectionPool, keys: DataKeys) -> None:
        self._pool = pool
        self._keys = keys

    async def standing(self, conversation: UUID) -> Mapping[str, Standing]:
        """Return how a conversation's files stand, by their ids, without those of which nothing is made yet."""
        rows = await rows_of(self._pool, SQL["standing"], {"conversation": conversation})
        return {str(document): standing_of(*told) for document, *told in rows}

    async def read(self, conversation: UUID) -> Mapping[str, PrivateDocument]:
        """Return what is made of a conversation's files, by their ids; nothing of what was erased."""
        rows = await rows_of(self._pool, SQL["read"], {"conversation": conversation})
        boxes = [orjson.loads(sealed) for *_, sealed in rows]
        await self._keys.fetch({box["key"] for box in boxes})
        texts = [
            self._keys.unseal(box, bound_to(conversation, document))
            for (document, *_), box in zip(rows, boxes, strict=True)
        ]
        return await asyncio.to_thread(
            lambda: {
                str(document): document_of(text, standing_of(space, passages, failure))
                for (document, space, passages, failure, _), text in zip(rows, texts, strict=True)
                if text != ERASED
            }
        )

    async def keep(self, conversation: UUID, subject: str, documents: Mapping[str, PrivateDocument]) -> None:
        """Keep what was made of files in the place of what was kept before; raise SubjectErased."""
        if not documents:
            return
        await self._keys.ensure({subject})
        for id, made in documents.items():
            box = self._keys.seal(subject, await asyncio.to_thread(text_of, made), bound_to(conversation, UUID(id)))
            values = {
                "document": UUID(id),
                "conversation": conversation,
                "key": UUID(box["key"]),
                "space": made.standing.space,
                "passages": made.standing.passages,
                "failure": made.standing.failure,
                "sealed": orjson.dumps(box).decode(),
            }
            await execute(self._pool, SQL["keep"], values)

    async def remove(self, conversation: UUID) -> None:
        """Remove what was made of a conversation's files."""
        await execute(self._pool, SQL["remove"], {"conversation": conversation})

    async def remove_erased(self) -> None:
        """Remove all that no key opens any more."""
        await execute(self._pool, SQL["remove_erased"], {})


def standing_of(space: str | None, passages: int, failure: str | None) -> Standing:
    """Return how a file stands."""
    return Standing(space=space, passages=passages, failure=failure)


def bound_to(conversation: UUID, document: UUID) -> bytes:
    """Return what a sealed document is bound to."""
    return b"magnet private document" + conversation.bytes + document.bytes


def text_of(made: PrivateDocument) -> str:
    """Return what is sealed of a document."""
    places = [[each.start, each.end, each.page, each.heading] for each in made.passages]
    length = len(made.vectors[0]) if made.vectors else 0
    vectors = b64encode(b"".join(made.vectors)).decode("ascii")
    return orjson.dumps({"passages": places, "length": length, "vectors": vectors}).decode()


def document_of(text: str, standing: Standing) -> PrivateDocument:
    """Return a document of what was sealed."""
    told = orjson.loads(text)
    vectors, length = b64decode(told["vectors"]), told["length"]
    return PrivateDocument(
        standing=standing,
        passages=[
            FilePassage(start=start, end=end, page=page, heading=heading)
            for start, end, page, heading in told["passages"]
        ],
        vectors=[vectors[at : at + length] for at in range(0, len(vectors), length)] if length else [],
    )
