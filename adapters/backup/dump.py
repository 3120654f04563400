"""Making a backup: one consistent view of the database, with the key, while writing goes on."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from adapters.backup.file import KEY, BackupWriter, Manifest, Table, Write, opened, written
from adapters.keyring import Keyring, parsed
from adapters.postgres import sql
from adapters.postgres.migrations import require_current

QUERIES = sql.load("adapters.backup", "backup.sql")


class BackupRefused(Exception):
    """No backup can be made; the message says why and what to do."""


def back_up(dsn: str, key_text: str, path: Path) -> Manifest:
    """Write a backup and return its manifest; the file is read again and checked before it gets its name.

    `key_text` is the installation's key as text. Nobody who writes to the log is kept waiting.
    """
    fingerprint = Keyring(parsed(key_text)).fingerprint
    with psycopg.connect(dsn, row_factory=tuple_row, client_encoding="utf8") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        require_current(connection)
        installed = connection.execute(QUERIES["fingerprint"]).fetchone()
        if installed is not None and installed[0] != fingerprint:
            raise BackupRefused(
                "The key at hand is not this installation's: give the right one as SECRET_ENCRYPTION_KEY."
            )
        with written(path) as (writer, file):
            writer.add(KEY, partial(_write_key, key_text), zipped=False)
            manifest = _dump(connection, writer, fingerprint)
            writer.finish(file, manifest)
            file.flush()
            file.seek(0)
            with opened(file):
                pass  # opening checks all of it
    return manifest


def _dump(connection: psycopg.Connection[Any], writer: BackupWriter, fingerprint: str) -> Manifest:
    tables = []
    for name, columns in connection.execute(QUERIES["tables"]).fetchall():
        where = Identifier("magnet", name)
        row = connection.execute(SQL(QUERIES["count"]).format(table=where)).fetchone()
        table = Table(name=name, columns=columns, rows=row[0] if row else 0)
        writer.add(table.member, partial(_copy_out, connection, table), zipped=True)
        tables.append(table)
    version = connection.execute(QUERIES["schema_version"]).fetchone()
    head = connection.execute(QUERIES["head"]).fetchone()
    return Manifest(
        created_at=datetime.now(UTC).isoformat(),
        schema_version=version[0] if version else 0,
        head=head[0] if head else 0,
        last_hash=head[1] if head else None,
        key_fingerprint=fingerprint,
        tables=tables,
        sha256=writer.sha256,
    )


def _copy_out(connection: psycopg.Connection[Any], table: Table, write: Write) -> None:
    statement = SQL(QUERIES["copy_out"]).format(
        table=Identifier("magnet", table.name), columns=SQL(", ").join(map(Identifier, table.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            write(piece)


def _write_key(key_text: str, write: Write) -> None:
    write(f"{key_text.strip()}\n".encode())
