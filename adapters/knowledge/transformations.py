"""What chat models made of chunks, each under the hash of what it was asked with."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import byte_strings
from adapters.postgres.reading import rows_of
from domain.pricing import Cost

SQL = sql.load("adapters.knowledge", "transformations.sql")


class PostgresTransformations:
    """Keeps each once, with what it cost."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def kept(self, ids: Collection[bytes]) -> Mapping[bytes, str]:
        """Return those that are kept."""
        rows = await rows_of(self._pool, SQL["kept"], {"ids": byte_strings(list(ids))})
        return {bytes(id): text for id, text in rows}

    async def keep(self, id: bytes, source: UUID, text: str, cost: Cost) -> None:
        """Keep one."""
        values = {"id": id, "source": source, "text": text, "amount": cost.amount, "currency": cost.currency}
        await execute(self._pool, SQL["keep"], values)

    async def spent(self, source: UUID, currency: str) -> Decimal:
        """Return what a source's chunks have cost today, by UTC."""
        rows = await rows_of(self._pool, SQL["spent"], {"source": source, "currency": currency})
        return Decimal(rows[0][0])
