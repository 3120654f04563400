"""What repeats of requests are answered, as far as it is to be removed before its time."""

from psycopg import Error
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.postgres import sql
from adapters.postgres.errors import translated

SQL = sql.load("adapters.event_store", "stored_answers.sql")


class PostgresStoredAnswers:
    """The answers that are kept beside the log for a week."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def remove(self, subject: str) -> int:
        """Remove the answers of a subject's runs; return how many there were."""
        try:
            async with self._pool.connection() as connection:
                return (await connection.execute(SQL["remove"], {"subject": subject})).rowcount
        except (Error, PoolTimeout) as error:
            raise translated(error) from error
