"""Events that a webhook did not take, tried once more when somebody asks for it."""

from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.postgres.errors import translating
from adapters.postgres.reading import rows_of
from adapters.webhooks.feed import SQL, Send


async def try_letters(pool: AsyncConnectionPool, reader: EventLog, webhook: UUID, send: Send) -> None:
    """Send each once; what is taken is no dead letter any more."""
    while rows := await rows_of(pool, SQL["asked_for"], {"webhook": webhook}):
        for id, position in rows:
            [entry] = await reader.read(position - 1, 1, LogFilter())
            sent = await send(entry)
            with translating():
                async with pool.connection() as connection:
                    if sent.error is None:
                        await connection.execute(SQL["settled"], {"id": id})
                    else:
                        await connection.execute(SQL["failed_again"], {"id": id, "error": sent.error})
