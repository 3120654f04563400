"""What people ask of webhooks: how far they are, to be sent again, what could not be sent."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import EventLog
from adapters.postgres.reading import rows_of
from adapters.projection_runner.asking import Asked, Requests
from adapters.webhooks.feed import SQL
from commands.ports import IdempotencyKey
from domain.errors import NotFound
from projections.documents import rfc3339


class WebhookAdministration:
    """Answers from the tables, and leaves requests there for who sends."""

    def __init__(self, pool: AsyncConnectionPool, log: EventLog) -> None:
        self._pool = pool
        self._log = log
        self._requests = Requests(pool)

    async def status(self, webhook: UUID) -> dict[str, Any]:
        """Return where a webhook stands; one that nobody has seen yet stands nowhere."""
        rows = await rows_of(self._pool, SQL["status"], {"webhook": webhook})
        head = await self._log.head()
        row: Any = rows[0] if rows else (None, 0, None, 0, None, None, None, 0)
        position, attempts, retry_at, delivered, delivered_at, status, error, dead = row
        waiting = retry_at is not None and retry_at > datetime.now(UTC)
        return {
            "position": position,
            "lag": None if position is None else max(0, head - position),
            "delivered": delivered,
            "last_delivered_at": None if delivered_at is None else rfc3339(delivered_at),
            "attempts": attempts,
            "retry_at": rfc3339(retry_at) if waiting else None,
            "last_status": status,
            "last_error": error,
            "dead_letters": dead,
        }

    async def replay(self, webhook: UUID, begin: int, key: IdempotencyKey | None) -> Asked:
        """Have everything from a position on sent again."""
        values = {"webhook": webhook, "position": begin - 1}
        asked = await self._requests.leave(SQL["replay"], values, key, wake=SQL["wake"])
        assert asked is not None
        return asked

    async def dead_letters(self, after: tuple[datetime, UUID] | None = None, limit: int = 500) -> list[dict[str, Any]]:
        """Return what could not be sent, the oldest first, in the form of a projection's dead letters."""
        since, last = after or (None, None)
        values = {"since": since, "last": last, "limit": limit}
        return [
            {
                "id": row[0],
                "projection": None,
                "webhook": row[1],
                "stream": row[2],
                "position": row[3],
                "error": row[4],
                "attempts": row[5],
                "parked_at": rfc3339(row[6]),
                "requeue_requested": row[7],
            }
            for row in await rows_of(self._pool, SQL["dead_letters"], values)
        ]

    async def requeue(self, id: UUID, key: IdempotencyKey | None) -> Asked:
        """Ask for an event that could not be sent to be tried once more; raise NotFound."""
        asked = await self._requests.leave(SQL["request_requeue"], {"id": id}, key, wake=SQL["wake"])
        if asked is None:
            raise NotFound("There is no such dead letter.")
        return asked
