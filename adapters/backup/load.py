"""Restoring a backup into an installation that has no event yet, checked before it counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from adapters.backup.dump import QUERIES
from adapters.backup.file import KEY, BackupDamaged, BackupReader, Manifest, opened
from adapters.keyring import FILE, Keyring, WrongKey, parsed, write
from adapters.postgres.log_check import check_log
from adapters.postgres.migrations import migrate, migrations

OWN_SCHEMAS = ("magnet", "magnet_read")
ASIDE = re.compile(r"_before_\d{8}_\d{6}\Z")
"""How names of what was kept beside end."""


class RestoreRefused(Exception):
    """The backup can't be restored here; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was restored, and where what was there before is now."""

    manifest: Manifest
    aside: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The installation to restore into; `read_models` are the names of the schemas that are made from the log."""

    owner_dsn: str
    app_dsn: str
    app_role: str | None
    create_role: bool
    home: Path
    configured_key: str | None
    read_models: Sequence[str]

    def replaced(self, there: Sequence[str]) -> list[tuple[str, str]]:
        """Return (connection string of its owner, schema) of what the restored one takes the place of, of all that is there.

        Beside a read model stand those that are built for it and those that groups of workers have from Kafka, as `NAME__OTHER`.
        """
        ours = [(self.owner_dsn, schema) for schema in there if schema in OWN_SCHEMAS]
        made = [
            (self.app_dsn, schema)
            for schema in there
            if schema.partition("__")[0] in self.read_models and not ASIDE.search(schema)
        ]
        return ours + made


def restore(file: BinaryIO, target: Target, *, replace: bool) -> Restored:
    """Restore a backup; or raise BackupDamaged or RestoreRefused, with everything as it was before.

    With `replace`, what is there is kept beside: its schemas under other names, its key in another
    file. Read models begin anew: they are made from the log.
    """
    with opened(file) as backup:
        manifest = backup.manifest
        key = backup.read(KEY).decode("ascii", "replace")
        _check_key(manifest, key, target.configured_key)
        if manifest.schema_version > len(migrations()):
            raise RestoreRefused(
                f"The backup has schema {manifest.schema_version} and this Magnet knows {len(migrations())}: "
                "use a newer Magnet."
            )
        was_empty = _is_free(target.owner_dsn, replace=replace)
        suffix = datetime.now(UTC).strftime("_before_%Y%m%d_%H%M%S")
        moved = _set_aside(target, suffix)
        try:
            migrate(target.owner_dsn, upto=manifest.schema_version)
            _load(target.owner_dsn, backup)
            migrate(target.owner_dsn, target.app_role, create_role=target.create_role)
            former_key = None if target.configured_key else _put_key(target.home, key, suffix)
        except BaseException:
            _put_back(moved, suffix)
            raise
    if was_empty:
        for dsn, schema in moved:
            _execute(dsn, "drop_schema", schema=schema + suffix)
        moved = []
    aside = [f"schema {schema}{suffix}" for _, schema in moved] + ([str(former_key)] if former_key else [])
    return Restored(manifest=manifest, aside=aside)


def _check_key(manifest: Manifest, key: str, configured: str | None) -> None:
    try:
        if Keyring(parsed(key)).fingerprint != manifest.key_fingerprint:
            raise BackupDamaged("The key in the backup does not fit its manifest.")
        if configured and Keyring(parsed(configured)).fingerprint != manifest.key_fingerprint:
            raise RestoreRefused(
                "SECRET_ENCRYPTION_KEY is another key than the backup's: set that one, or none to take the backup's."
            )
    except WrongKey as error:
        raise RestoreRefused(str(error) or (WrongKey.__doc__ or "")) from None


def _is_free(dsn: str, *, replace: bool) -> bool:
    """Return whether no event is there, or raise RestoreRefused."""
    with psycopg.connect(dsn, row_factory=tuple_row) as connection:
        if _one(connection, "others"):
            raise RestoreRefused("Another process uses this database: stop 'magnet serve' and workers first.")
        has_events = bool(_one(connection, "is_installed") and _one(connection, "has_events"))
    if has_events and not replace:
        raise RestoreRefused(
            "This installation holds events, and a restore would take their place: use an empty MAGNET_HOME or "
            "database, or --replace to keep what is here beside."
        )
    return not has_events


def _set_aside(target: Target, suffix: str) -> list[tuple[str, str]]:
    """Rename the schemas that are there; return them."""
    with psycopg.connect(target.owner_dsn, row_factory=tuple_row) as connection:
        there = [name for (name,) in connection.execute(QUERIES["schemas"]).fetchall()]
    moved: list[tuple[str, str]] = []
    try:
        for dsn, schema in target.replaced(there):
            _execute(dsn, "rename_schema", schema=schema, name=schema + suffix)
            moved.append((dsn, schema))
    except BaseException:
        _put_back(moved, suffix)
        raise
    return moved


def _put_back(moved: Sequence[tuple[str, str]], suffix: str) -> None:
    for dsn, schema in moved:
        _execute(dsn, "drop_schema", schema=schema)
        _execute(dsn, "rename_schema", schema=schema + suffix, name=schema)


def _execute(dsn: str, query: str, **names: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(SQL(QUERIES[query]).format(**{key: Identifier(name) for key, name in names.items()}))


def _load(dsn: str, backup: BackupReader) -> None:
    """Fill the tables and check the log, in one transaction."""
    manifest = backup.manifest
    with psycopg.connect(dsn, row_factory=tuple_row, client_encoding="utf8") as connection:
        there: dict[str, list[str]] = dict(connection.execute(QUERIES["tables"]).fetchall())
        for table in manifest.tables:
            if not set(table.columns) <= set(there.get(table.name, ())):
                raise BackupDamaged(
                    f"The backup holds a table '{table.name}' that schema {manifest.schema_version} has not."
                )
            where = Identifier("magnet", table.name)
            statement = SQL(QUERIES["copy_in"]).format(
                table=where, columns=SQL(", ").join(map(Identifier, table.columns))
            )
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                for piece in backup.pieces(table.member):
                    copy.write(piece)
            row = connection.execute(SQL(QUERIES["count"]).format(table=where)).fetchone()
            if row != (table.rows,):
                raise BackupDamaged(f"The table '{table.name}' has another number of rows than when it was backed up.")
        _number_on(connection)
        connection.execute(QUERIES["fill_anew"])
        _check_log(connection, manifest)


def _number_on(connection: psycopg.Connection[Any]) -> None:
    """Let numbers that PostgreSQL gives go on after those that were restored."""
    for name, column in connection.execute(QUERIES["numbered"]).fetchall():
        statement = SQL(QUERIES["go_on"]).format(table=Identifier("magnet", name), column=Identifier(column))
        connection.execute(statement, {"table": f"magnet.{name}", "column": column})


def _check_log(connection: psycopg.Connection[Any], manifest: Manifest) -> None:
    head = connection.execute(QUERIES["head"]).fetchone() or (0, None)
    if head != (manifest.head, manifest.last_hash):
        raise BackupDamaged("The log does not end with the event that the backup's manifest names.")
    checked = check_log(connection)
    if not checked.ok:
        raise BackupDamaged(f"The log is not what was recorded: position {checked.first_bad}: {checked.reason}.")
    fingerprint = connection.execute(QUERIES["fingerprint"]).fetchone()
    if fingerprint is not None and fingerprint[0] != manifest.key_fingerprint:
        raise BackupDamaged("The key in the backup is not that of its installation.")


def _put_key(home: Path, key: str, suffix: str) -> Path | None:
    """Write the key file; return where the former one is, if it was another."""
    path = home / FILE
    moved = None
    if path.exists():
        if path.read_text("utf-8", "replace").split() == key.split():
            return None
        moved = path.with_name(FILE + suffix)
        path.rename(moved)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(path, key.strip())
    return moved


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(QUERIES[query]).fetchone()
    return row[0] if row else None
