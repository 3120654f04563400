"""Which sources are synced by a schedule, from the read model of configuration things."""

from collections.abc import Sequence
from uuid import UUID

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
        """Return their ids."""
        return [id for (id,) in await rows_of(self._pool, SQL["ids"], {})]


def tell_refused(source: UUID, error: DomainError) -> None:
    """Tell in the log that a sync did not begin by its schedule."""
    log.warning("scheduled_sync_refused", source=str(source), code=error.error_code, reason=str(error))
