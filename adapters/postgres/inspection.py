"""What can be told of a database and the installation in it, by looking only."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from adapters.postgres import sql

QUERIES = sql.load("adapters.postgres", "inspection.sql")
GUARDS = 2
"""Triggers on the log that refuse changes."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The database server; `clock` is in seconds since 1970."""

    version: str
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    has_pgvector: bool
    clock: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a projection stands."""

    name: str
    position: int
    rebuilding: bool
    quarantined: int


class Inspection:
    """Looks at a database through one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def server(self) -> Server:
        """Return what the server is and how it is set."""
        version, fsync, full_pages, synchronous, vector, clock = self._rows("server")[0]
        return Server(
            version=version,
            fsync=fsync,
            full_page_writes=full_pages,
            synchronous_commit=synchronous,
            has_pgvector=vector,
            clock=clock,
        )

    def is_installed(self) -> bool:
        """Return whether there is a log."""
        return bool(self._rows("is_installed")[0][0])

    def log_rights(self) -> list[str]:
        """Return what the connection's role could do to the log's table besides reading it."""
        return list(self._rows("log_rights")[0][0])

    def is_guarded(self) -> bool:
        """Return whether the triggers that refuse changes of the log are there and switched on."""
        return bool(self._rows("guards")[0][0] == GUARDS)

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the installation's key; None before its first start."""
        rows = self._rows("fingerprint")
        return rows[0][0] if rows else None

    def head(self) -> int:
        """Return the position of the last event."""
        return int(self._rows("head")[0][0])

    def projections(self) -> list[Standing]:
        """Return where the projections stand."""
        return [
            Standing(name=name, position=position, rebuilding=rebuilding, quarantined=quarantined)
            for name, position, rebuilding, quarantined in self._rows("projections")
        ]

    def _rows(self, query: str) -> list[Any]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(QUERIES[query]).fetchall()
