"""Which sources are synced by a schedule, from the read model of configuration things."""

from collections.abc import Sequence
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from domain.errors import DomainError

SQL = sql.load("adapters.knowledge", "scheduled_sources.sql")

log = structlog.get_logger(__name__)


class PostgresScheduledSources:
    """Reads them."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def ids(self) -> Sequence[UUID]:
        """Return their ids, as far as they are known."""
        return [id for (id,) in await rows_of(self._pool, SQL["ids"], {})]

    async def reach(self) -> tuple[int, int]:
        """Return up to which position of the log they are known, and the position of its last event."""
        [(known, head)] = await rows_of(self._pool, SQL["reach"], {})
        return known, head


def tell_refused(source: UUID, error: DomainError) -> None:
    """Tell in the log that a sync did not begin by its schedule."""
    log.warning("scheduled_sync_refused", source=str(source), code=error.error_code, reason=str(error))


def tell_failed(key: str, error: Exception) -> None:
    """Tell in the log that a schedule could not be looked at."""
    told = not isinstance(error, psycopg.Error)  # PostgreSQL's texts may hold what persons wrote
    log.error("schedule_failed", key=key, error=type(error).__name__, exc_info=told)
