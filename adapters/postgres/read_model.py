"""What the writers of read models share."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, LiteralString

import orjson
from psycopg import AsyncConnection


class ReadModelWriter:
    """The rows of a read model inside one transaction, whose search path names the schema."""

    QUERIES: ClassVar[Mapping[str, LiteralString]]
    """The queries of the read model; `create` and `checksum` are among them."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def create(cls, connection: AsyncConnection[Any]) -> None:
        """Make the empty tables."""
        await connection.execute(cls.QUERIES["create"])

    async def checksum(self) -> str:
        """Return a checksum over all rows."""
        row = await (await self._connection.execute(self.QUERIES["checksum"])).fetchone()
        assert row is not None
        return str(row[0])


def as_json(rows: Sequence[Any]) -> str:
    """Return rows, each a dataclass, as a JSON array."""
    return orjson.dumps(list(rows), default=str).decode()
