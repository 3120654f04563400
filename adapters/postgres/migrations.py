"""Migrations: numbered SQL files that run once each, forward only, under a lock."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from adapters.postgres import sql

QUERIES = sql.load("adapters.postgres", "migrations.sql")
DIRECTORY = Path(__file__).parent / "migrations"
FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")


class MigrationRefused(RuntimeError):
    """The database can't be migrated; the message says why and what to do."""


class SchemaTooNew(MigrationRefused):
    """The database was migrated by a newer Magnet than this one."""


class SchemaOutdated(MigrationRefused):
    """The database's schema is older than this Magnet needs."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file: its number, name and text."""

    number: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """Return the migrations of a directory in order; numbers start at 1 and leave none out."""
    found = [
        Migration(number=int(match[1]), name=match[2], text=path.read_text("utf-8"))
        for path in sorted(directory.glob("*.sql"))
        if (match := FILE.match(path.name))
    ]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"The migrations in {directory.name} aren't numbered 1, 2, 3, ... without a gap.")
    return found


def migrate(
    owner_dsn: str,
    app_role: str | None = None,
    *,
    create_role: bool = False,
    directory: Path = DIRECTORY,
    upto: int | None = None,
) -> None:
    """Bring the schema up to date (or up to a number), and grant the application's role what it may do.

    Safe to call from several processes at once. Raises SchemaTooNew where a newer Magnet was here,
    and MigrationRefused where an applied file was edited.
    """
    known = migrations(directory)
    with psycopg.connect(owner_dsn, autocommit=True, row_factory=tuple_row) as connection:
        connection.execute(QUERIES["lock"])
        connection.execute(QUERIES["prepare"])
        applied = _applied(connection)
        _check(applied, known)
        for migration in known[len(applied) : upto]:
            with connection.transaction():
                connection.execute(migration.text.encode())
                connection.execute(
                    QUERIES["record"],
                    {"number": migration.number, "name": migration.name, "sha256": migration.digest},
                )
        owner = connection.info.user
        if app_role is not None and app_role != owner:
            _grant(connection, app_role, create_role=create_role, directory=directory)


def require_current(connection: psycopg.Connection[Any], directory: Path = DIRECTORY) -> None:
    """Raise SchemaTooNew or SchemaOutdated unless the schema is exactly what this Magnet knows."""
    known = migrations(directory)
    row = connection.execute(QUERIES["exists"]).fetchone()
    applied = _applied(connection) if row and row[0] else {}
    _check(applied, known)
    if len(applied) < len(known):
        raise SchemaOutdated(
            "The database's schema is older than this Magnet needs: run 'magnet serve' or a migration."
        )


def _applied(connection: psycopg.Connection[Any]) -> Mapping[int, str]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(QUERIES["applied"]).fetchall())


def _check(applied: Mapping[int, str], known: list[Migration]) -> None:
    if applied and max(applied) > len(known):
        raise SchemaTooNew(
            f"The database has schema {max(applied)} and this Magnet knows {len(known)}: use the newer Magnet that "
            "migrated it. A schema never goes back."
        )
    for migration in known:
        if applied.get(migration.number, migration.digest) != migration.digest:
            raise MigrationRefused(
                f"Migration {migration.number:04} ({migration.name}) was applied with another text: "
                "put the file back as it was, and write a new migration."
            )


def _grant(connection: psycopg.Connection[Any], role: str, *, create_role: bool, directory: Path) -> None:
    grants = directory / "grants.sql"
    names = {"app": Identifier(role), "database": Identifier(connection.info.dbname)}
    with connection.transaction():
        if create_role and connection.execute(QUERIES["role_exists"], {"role": role}).fetchone() is None:
            connection.execute(SQL(QUERIES["create_role"]).format(**names))
        if grants.exists():
            text: LiteralString = sql.load_text(grants)
            connection.execute(SQL(text).format(**names))


def role_of(dsn: str) -> str:
    """Return the role that a connection string names, or raise MigrationRefused."""
    user = conninfo_to_dict(dsn).get("user")
    if not user:
        raise MigrationRefused("DATABASE_URL names no user: write postgresql://USER@HOST/DATABASE.")
    return str(user)
