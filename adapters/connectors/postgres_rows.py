"""The rows of a query in PostgreSQL: read only, from an address that was checked, with nothing of this machine's own."""

import asyncio
import random
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
import psycopg
from psycopg import AsyncRawCursor, AsyncRawServerCursor
from psycopg.pq import ConnStatus
from psycopg.sql import SQL, Composed, Identifier

from adapters.connectors import web
from adapters.connectors.database_address import DatabaseAddress, checked
from adapters.connectors.query import NotSelected, Row, SqlConfig, refused, selectable
from adapters.egress import Egress
from commands.knowledge.connectors import SourceUnavailable

ROWS_AT_ONCE = 1000
CONNECT_SECONDS = 10
GRACE_SECONDS = 15
"""What is waited for longer than the server is given: then the connection is dead."""

NOWHERE = "/nonexistent/magnet"
NOTHING_OF_OURS = {
    "passfile": NOWHERE,
    "sslcert": NOWHERE,
    "sslkey": NOWHERE,
    "sslcertmode": "disable",
    "gssencmode": "disable",
    "require_auth": "password,md5,scram-sha-256,none",
    "options": "",
}
"""libpq would else show the server what the process's environment and home directory hold for other databases."""

BUSY = re.compile(
    r"too many (clients|connections)|remaining connection slots|is (starting up|shutting down)"
    r"|[Cc]onnection refused|closed the connection unexpectedly"
)
"""What a server says, or what is said of it, that may let somebody in a moment later; libpq tells no code there."""

WRONG = ("42", "25", "0A000", "3F000")
REFUSED = ("28",)
OF_VALUES = ("22",)
OF_A_ROW = ("22", "21", "54")


class PostgresRows:
    """Selects from the query as a table; the server itself keeps it from writing and from being two statements."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def list(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str | None, str | None], None]:
        """Yield id and version of every row, a thousand at a time."""
        row = SQL("encode(sha256(convert_to(magnet_row::text, 'UTF8')), 'hex')")
        version = SQL("{}::text").format(column(settings.version)) if settings.version else row
        named = filter(None, (settings.text, settings.title, settings.link, settings.acl))
        all_there = SQL("num_nulls({})").format(SQL(", ").join(map(column, named)))
        statement = selecting(SQL("{}::text, {}, {}").format(column(settings.id), version, all_there), settings)
        with told(address, of_rows=False):
            async with (
                self._connected(address, settings, secrets) as connection,
                AsyncRawServerCursor(connection, "magnet") as cursor,
            ):
                await within(settings, cursor.execute(statement))
                while rows := await within(settings, cursor.fetchmany(ROWS_AT_ONCE)):
                    for id, each, _ in rows:
                        yield id, each

    async def of(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str], ids: Sequence[str]
    ) -> Sequence[Row]:
        """Return the rows with these ids; they are compared as what the column is, so that its index is used."""
        columns = SQL("{}::text, {}, to_json(magnet_row)::text").format(column(settings.id), column(settings.text))
        statement = selecting(columns, settings) + SQL(" WHERE {} = ANY ($1)").format(column(settings.id))
        with told(address, of_rows=True):
            async with self._connected(address, settings, secrets) as connection:
                cursor = AsyncRawCursor(connection)
                await within(settings, cursor.execute(statement, [array(ids)], prepare=False))
                return [row_of(id, text, whole, settings) for id, text, whole in await cursor.fetchall()]

    @asynccontextmanager
    async def _connected(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str]
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Yield a connection within a transaction that can't write; nothing of it is kept."""
        connection = await self._connect(address, secrets)
        try:
            await connection.set_read_only(True)
            limits = connection.execute(
                "SELECT set_config('statement_timeout', %s, true), set_config('timezone', 'UTC', true), "
                "set_config('datestyle', 'ISO', true)",
                [str(settings.seconds * 1000)],
            )
            await within(settings, limits)
            yield connection
        finally:
            await connection.close()

    async def _connect(self, address: DatabaseAddress, secrets: Mapping[str, str]) -> psycopg.AsyncConnection[Any]:
        """Connect; to a server that is busy or just begins, with growing pauses as to all other sources."""
        for attempt in range(web.ATTEMPTS - 1):
            try:
                return await self._connect_once(address, secrets)
            except psycopg.OperationalError as error:
                if not BUSY.search(str(error)):
                    raise
            await asyncio.sleep(web.FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
        return await self._connect_once(address, secrets)

    async def _connect_once(self, address: DatabaseAddress, secrets: Mapping[str, str]) -> psycopg.AsyncConnection[Any]:
        failure: psycopg.OperationalError | None = None
        options: dict[str, Any] = {**NOTHING_OF_OURS, **tls(address)}
        for found in await checked(self._egress, address):
            try:
                return await psycopg.AsyncConnection.connect(
                    host=address.host,
                    hostaddr=found,
                    port=address.port,
                    dbname=address.database,
                    user=address.user or "postgres",
                    password=secrets.get("password", ""),
                    application_name="Magnet",
                    client_encoding="utf8",
                    connect_timeout=CONNECT_SECONDS,
                    prepare_threshold=None,
                    **options,
                )
            except psycopg.OperationalError as error:
                failure = error
        if failure is None:
            raise SourceUnavailable(f"{address.shown}: the host has no address.")
        raise failure


def tls(address: DatabaseAddress) -> dict[str, str]:
    """Return how the connection is sealed; certificates are compared with those that the system trusts."""
    said = dict(address.parameters)
    trusted = ssl.get_default_verify_paths().cafile or "system"
    return {"sslmode": "prefer", **said, "sslrootcert": trusted if said.get("sslmode") == "verify-full" else NOWHERE}


def column(name: str) -> Composed:
    """Return a column of the query."""
    return SQL("magnet_row.{}").format(Identifier(name))


def selecting(columns: Composed, settings: SqlConfig) -> Composed:
    """Return a statement that selects from the query; its end of line ends a comment that the query may end with."""
    query = SQL(selectable(settings.query))
    return SQL("SELECT {} FROM (\n{}\n) magnet_row").format(columns, query)


def array(ids: Sequence[str]) -> str:
    """Return ids as an array whose type is told by what it is compared with."""
    quoted = (each.replace("\\", "\\\\").replace('"', '\\"') for each in ids)
    return "{" + ",".join(f'"{each}"' for each in quoted) + "}"


def row_of(id: str, text: Any, whole: str, settings: SqlConfig) -> Row:
    """Return a row; a text that is no text is what it is as JSON."""
    values = orjson.loads(whole)
    if text is not None and not isinstance(text, str | bytes):
        value = values[settings.text]
        text = value if isinstance(value, str) else orjson.dumps(value)
    return Row(id=id, text=text, values=values)


async def within(settings: SqlConfig, work: Any) -> Any:
    """Return what is waited for; a server that keeps no limit of its own is away."""
    async with asyncio.timeout(settings.seconds + GRACE_SECONDS):
        return await work


@contextmanager
def told(address: DatabaseAddress, *, of_rows: bool) -> Iterator[None]:
    """Raise what went wrong as what it means for the source."""
    try:
        yield
    except TimeoutError:
        raise SourceUnavailable(f"{address.shown} does not answer.", code="source_timed_out") from None
    except UnicodeDecodeError:
        raise (NotSelected if of_rows else SourceUnavailable)("It holds what is no text in UTF-8.") from None
    except psycopg.Error as error:
        reason = " ".join((error.diag.message_primary or str(error)).split())[:300]
        state = error.sqlstate or ""
        if state.startswith(OF_VALUES):
            reason = f"{type(error).__name__} ({state})"  # what PostgreSQL says repeats the value
        if state.startswith(REFUSED) or not_let_in(error):
            raise SourceUnavailable(
                f"{address.shown} does not let this user in: {reason}. Set the secret `password` anew.",
                code="credentials_refused",
            ) from None
        if state.startswith(WRONG):
            raise refused(reason) from None
        if of_rows and (state.startswith(OF_A_ROW) or isinstance(error, psycopg.DataError)):
            raise NotSelected(reason) from None
        raise SourceUnavailable(f"{address.shown}: {reason}.") from None


def not_let_in(error: psycopg.Error) -> bool:
    """Return whether a connection failed because of who it is for: libpq tells no code there."""
    failed = error.pgconn
    if failed is None or failed.status != ConnStatus.BAD:
        return False
    return failed.needs_password or (failed.used_password and "authentication" in str(error))
