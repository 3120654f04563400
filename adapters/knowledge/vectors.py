"""Vectors by the space they live in and the text they stand for, kept as pgvector's halfvec."""

import asyncio
from collections.abc import Mapping, Sequence

from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import byte_strings
from adapters.postgres.reading import rows_of
from adapters.postgres.vectors import Unusable, halfvecs
from commands.knowledge.embedding_texts import BATCH, Lacking, VectorsDiffer, VectorsUnusable

SQL = sql.load("adapters.knowledge", "vectors.sql")


class PostgresVectors:
    """Keeps each vector once."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._types: tuple[int, int] | None = None
        self._dimensions: dict[str, int] = {}

    async def lacking(self, space: str, chunkings: Sequence[bytes], after: tuple[bytes, int]) -> Sequence[Lacking]:
        """Return the next chunks without a vector, at most BATCH, in order of chunking and ordinal."""
        chunking, ordinal = after
        values = {
            "space": space,
            "chunkings": byte_strings(chunkings),
            "after": chunking,
            "ordinal": ordinal,
            "limit": BATCH,
        }
        rows = await rows_of(self._pool, SQL["lacking"], values, binary=True)
        return [Lacking(chunking=bytes(row[0]), ordinal=row[1], sha256=bytes(row[2]), text=row[3]) for row in rows]

    async def keep(self, space: str, vectors: Mapping[bytes, bytes], dimensions: int) -> None:
        """Keep vectors by their text's SHA-256; raise VectorsDiffer or VectorsUnusable."""
        if not vectors:
            return
        if self._types is None:
            self._types = (await rows_of(self._pool, SQL["halfvec"], {}))[0]
        try:
            encoded = await asyncio.to_thread(halfvecs, self._types, list(vectors.values()))
        except Unusable as error:
            raise VectorsUnusable(f"The model gave {error}: nothing can be compared with that.") from None
        known = await self.dimensions(space)
        if known is None:
            await execute(self._pool, SQL["begin_space"], {"space": space, "dimensions": dimensions})
            known = await self.dimensions(space)
        if known != dimensions:
            raise VectorsDiffer(
                f"The model gave vectors of {dimensions} numbers; those of its space have {known}. "
                "Make a new model for another length."
            )
        values = {"space": space, "hashes": byte_strings(list(vectors)), "vectors": encoded}
        await execute(self._pool, SQL["keep"], values)

    async def dimensions(self, space: str) -> int | None:
        """Return how long the vectors of a space are; None: there are none yet."""
        if space not in self._dimensions:
            rows = await rows_of(self._pool, SQL["dimensions"], {"space": space})
            if not rows:
                return None
            self._dimensions[space] = rows[0][0]
        return self._dimensions[space]
