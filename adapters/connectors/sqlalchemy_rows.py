"""The rows of a query in other databases, by SQLAlchemy and a driver that is installed: read only, from checked addresses."""

import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Select, String, cast, column, create_engine, select, text
from sqlalchemy.exc import DatabaseError, DataError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from adapters.connectors.database_address import SQLITE, DatabaseAddress, checked
from adapters.connectors.query import NotSelected, Row, SqlConfig, refused, selectable
from adapters.egress import Egress
from adapters.own_thread import OwnThread, TookTooLong
from commands.knowledge.connectors import SourceUnavailable
from domain.errors import Invalid

ROWS_AT_ONCE = 1000
LONGEST_ID = 1000
READ_ONLY = {
    "mysql+pymysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb+pymysql": "SET SESSION TRANSACTION READ ONLY",
    "oracle+oracledb": "SET TRANSACTION READ ONLY",
}
"""Elsewhere it is that the query stands in brackets, and that nothing is ever committed."""

SECONDS = {
    "mysql+pymysql": ("connect_timeout", "read_timeout"),
    "mariadb+pymysql": ("connect_timeout", "read_timeout"),
    "mssql+pymssql": ("login_timeout", "timeout"),
    "oracle+oracledb": ("tcp_connect_timeout",),
}
"""What a driver calls the seconds to connect, and to wait for an answer."""

CONNECT_SECONDS = 10
GRACE_SECONDS = 15
"""What is waited for longer than a statement may take: not every driver keeps a limit."""

MOST_LEFT = 4
"""Threads that were given up and have not returned; more of them are not begun."""

LOOK_EVERY = 10_000
"""Steps of SQLite's machine between looks at the clock."""


class SqlalchemyRows:
    """Selects from the query as a table, in a thread."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._left: list[OwnThread] = []

    async def list(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str | None, str | None], None]:
        """Yield id and version of every row."""
        engine = await self._engine(address, settings, secrets)
        with told(address, of_rows=False):
            found: list[tuple[str | None, str | None]] = await self._run(listed, engine, address, settings)
        for each in found:
            yield each

    async def of(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str], ids: Sequence[str]
    ) -> Sequence[Row]:
        """Return the rows with these ids, compared as text."""
        engine = await self._engine(address, settings, secrets)
        with told(address, of_rows=True):
            found: list[Row] = await self._run(selected, engine, address, settings, ids)
            return found

    async def _run(
        self, work: Callable[..., Any], engine: Engine, address: DatabaseAddress, settings: SqlConfig, *more: Any
    ) -> Any:
        """Return what is done in a thread; one that a driver holds on to for longer than a statement may take is given up."""
        self._left = [each for each in self._left if not each.ended]
        if len(self._left) >= MOST_LEFT:
            raise SourceUnavailable(f"{address.shown}: {len(self._left)} earlier statements have not returned.")
        thread, returned = OwnThread(f"sql {address.shown}"), False
        try:
            found = await thread.call(work, engine, address, settings, *more, seconds=settings.seconds + GRACE_SECONDS)
            returned = True
            return found
        except TookTooLong:
            raise SourceUnavailable(f"{address.shown} does not answer.", code="source_timed_out") from None
        finally:
            thread.end()
            if not returned:
                self._left.append(thread)

    async def _engine(self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str]) -> Engine:
        if address.file is not None:
            place = f"file:{quote(address.file)}?mode=ro"

            def opened() -> sqlite3.Connection:
                connection = sqlite3.connect(place, uri=True, timeout=CONNECT_SECONDS, check_same_thread=False)
                until = time.monotonic() + settings.seconds
                connection.set_progress_handler(lambda: time.monotonic() > until, LOOK_EVERY)
                return connection

            return create_engine(f"{SQLITE}://", creator=opened, poolclass=NullPool)
        found = await checked(self._egress, address)
        if not found:
            raise SourceUnavailable(f"{address.shown}: the host has no address.")
        url = URL.create(
            address.driver,
            username=address.user,
            password=secrets.get("password"),
            host=found[0],
            port=address.port,
            database=address.database,
        )
        limits = dict(zip(SECONDS[address.driver], (CONNECT_SECONDS, settings.seconds), strict=False))
        try:
            return create_engine(url, poolclass=NullPool, connect_args=limits, hide_parameters=True)
        except (ImportError, NoSuchModuleError):
            raise Invalid(
                f"The driver of {address.driver}:// is not installed here: install {address.driver.partition('+')[2]}.",
                code="driver_missing",
                pointer="/config/url",
            ) from None


def statement(settings: SqlConfig, ids: Sequence[str] | None = None) -> Select[Any]:
    """Return what selects all columns of the query, of rows with these ids where some are given."""
    query = selectable(settings.query).replace(":", "\\:")
    row = text(f"(\n{query}\n) magnet_row")
    selecting = select(text("*")).select_from(row)
    if ids is None:
        return selecting
    return selecting.where(cast(column(settings.id), String(LONGEST_ID)).in_(list(ids)))


def listed(engine: Engine, address: DatabaseAddress, settings: SqlConfig) -> list[tuple[str | None, str | None]]:
    """Return id and version of every row."""
    found: list[tuple[str | None, str | None]] = []
    with reading(engine, address) as connection:
        rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement(settings))
        for row in rows.mappings():
            values = named(row, settings)
            id, version = values[settings.id], values[settings.version] if settings.version else None
            if settings.version is None or version is None:
                plain = {name: plain_of(value) for name, value in values.items()}
                version = sha256(json.dumps(plain, sort_keys=True).encode(errors="replace")).hexdigest()
            found.append((None if id is None else str(id), str(version)))
    return found


def selected(engine: Engine, address: DatabaseAddress, settings: SqlConfig, ids: Sequence[str]) -> list[Row]:
    """Return the rows with these ids."""
    with reading(engine, address) as connection:
        rows = connection.execute(statement(settings, ids)).mappings().all()
    return [row_of(named(row, settings), settings) for row in rows]


@contextmanager
def reading(engine: Engine, address: DatabaseAddress) -> Iterator[Connection]:
    """Yield a connection that is rolled back whatever happens."""
    try:
        with engine.connect() as connection:
            if address.driver in READ_ONLY:
                connection.exec_driver_sql(READ_ONLY[address.driver])
            if address.driver.startswith(("mysql", "mariadb")):
                connection.rollback()  # what was set holds from the next transaction on
            try:
                yield connection
            finally:
                connection.rollback()
    finally:
        engine.dispose()


def named(row: Mapping[Any, Any], settings: SqlConfig) -> dict[str, Any]:
    """Return a row by its columns, or raise Invalid where one that is needed is not there."""
    values = {str(name): value for name, value in row.items()}
    for name in (settings.id, settings.text, settings.version, settings.title, settings.link, settings.acl):
        if name is not None and name not in values:
            raise refused(f"it has no column `{name}`; it has {', '.join(sorted(values))}")
    return values


def row_of(values: dict[str, Any], settings: SqlConfig) -> Row:
    """Return a row; a text that is no text is what it is as JSON."""
    text = values[settings.text]
    if text is not None and not isinstance(text, str | bytes):
        text = str(plain_of(text))
    return Row(id=str(values[settings.id]), text=text, values={name: plain_of(value) for name, value in values.items()})


def plain_of(value: Any) -> Any:
    """Return a value as JSON has it: bytes in hexadecimal, numbers of any length as they are written."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


@contextmanager
def told(address: DatabaseAddress, *, of_rows: bool) -> Iterator[None]:
    """Raise what went wrong as what it means for the source; nothing of the statement or its values is repeated."""
    try:
        yield
    except DataError:
        # What a driver says of it repeats the value.
        raise (NotSelected if of_rows else SourceUnavailable)("A value is none of its type.") from None
    except ProgrammingError as error:
        raise refused(reason_of(error)) from None
    except DatabaseError as error:
        reason = reason_of(error)
        if address.driver == SQLITE and ("syntax" in reason or "no such" in reason or "one statement" in reason):
            raise refused(reason) from None
        raise SourceUnavailable(f"{address.shown}: {reason}.") from None
    except SQLAlchemyError as error:
        raise SourceUnavailable(f"{address.shown}: {type(error).__name__}.") from None


def reason_of(error: DatabaseError) -> str:
    """Return what a driver says."""
    return " ".join(str(error.orig).split())[:300]
