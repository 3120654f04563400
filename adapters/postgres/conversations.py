"""The read model of conversations in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.read_model import ReadModelWriter, as_json
from adapters.postgres.reading import rows_of
from projections.conversations import ConversationBegin, ConversationChange, ConversationsQuery
from projections.documents import rfc3339

SQL = sql.load("adapters.postgres", "conversations.sql")


class PostgresConversationsWriter(ReadModelWriter):
    """The rows inside one transaction."""

    QUERIES = SQL

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
            "since": query.since,
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


class PostgresOpenConversations:
    """Which conversations of an agent are open."""

    def __init__(self, view: PostgresConversationsView) -> None:
        self._view = view

    async def after(self, agent: UUID, position: int | None, limit: int) -> Sequence[tuple[int, UUID]]:
        """Return (position, id) of those that began after a position, in that order, as far as they are known."""
        query = ConversationsQuery(limit=limit, after=position, newest_first=False, agent=agent, status="open")
        return [(position, UUID(row["id"])) for position, row in await self._view.page(query)]
