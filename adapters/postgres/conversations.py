"""The read model of conversations in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from adapters.postgres.runs import as_json
from projections.conversations import ConversationBegin, ConversationChange, ConversationsQuery
from projections.documents import rfc3339

SQL = sql.load("adapters.postgres", "conversations.sql")


class PostgresConversationsWriter:
    """The rows inside one transaction, whose search path names the schema."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    @staticmethod
    async def create(connection: AsyncConnection[Any]) -> None:
        """Make the empty table."""
        await connection.execute(SQL["create"])

    async def checksum(self) -> str:
        """Return a checksum over all rows."""
        row = await (await self._connection.execute(SQL["checksum"])).fetchone()
        assert row is not None
        return str(row[0])

    async def begin(self, rows: Sequence[ConversationBegin]) -> None:
        """Insert conversations."""
        await self._connection.execute(SQL["begin"], {"rows": as_json(rows)})

    async def change(self, rows: Sequence[ConversationChange]) -> None:
        """Change conversations, each once."""
        await self._connection.execute(SQL["change"], {"rows": as_json(rows)})


class PostgresConversationsView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def page(self, query: ConversationsQuery) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Return (position, row) of at most `limit` conversations after a position, in the order asked for."""
        principal_type, principal = query.principal or (None, None)
        values = {
            "after": query.after,
            "agent": query.agent,
            "subject": query.subject,
            "closed": None if query.status is None else query.status == "closed",
            "state": query.state,
            "principal": principal,
            "principal_type": principal_type,
            "limit": query.limit,
        }
        name = "list_newest_first" if query.newest_first else "list"
        rows = await rows_of(self._pool, SQL[name], values, row_factory=dict_row)
        return [(row["position"], conversation_row(row)) for row in rows]


def conversation_row(row: DictRow) -> dict[str, Any]:
    """Return a row in its public form; the agent without its name."""
    return {
        "id": str(row["id"]),
        "version": row["version"],
        "agent": {"id": str(row["agent"])},
        "subject": row["subject"],
        "principal": {"type": row["principal_type"], "id": row["principal"], "name": row["principal_name"]},
        "status": "closed" if row["closed"] else "open",
        "state": row["state"],
        "turns": row["turns"],
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
    }
