"""A second system from the log: its events as they are, and what lies beside them that no event can make again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier, Literal

from adapters.postgres import sql
from adapters.postgres.log_check import check_log
from adapters.postgres.migrations import migrate, require_current

QUERIES = sql.load("adapters.replay", "replay.sql")
BESIDE = (
    "data_keys",
    "secrets",
    "credentials",
    "contents",
    "parsings",
    "chunkings",
    "chunks",
    "spaces",
    "embeddings",
    "transformations",
    "source_documents",
)
"""What is copied as it is now; what follows from the events is made from them, and what is under way stays behind."""

SECTION = 20_000
"""Events copied by one transaction: what a run that is killed has to do again at most."""

Told = Callable[[int, int], None]
"""Is told how many events are there, of how many."""


class ReplayRefused(Exception):
    """The log can't be replayed there; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What was copied: the position of the last event, and whether it is the last one of the source."""

    head: int
    copied: int
    is_whole: bool


def copy_log(source: str, target: str, app_role: str | None, until: int | datetime | None, told: Told) -> Replayed:
    """Copy the log up to a position or time (exclusive) into another database, and check every hash there.

    A run that was broken off is gone on with by the next. Raises ReplayRefused where the target holds anything else
    than the beginning of this log.
    """
    with (
        psycopg.connect(source, row_factory=tuple_row) as theirs,
        psycopg.connect(target, row_factory=tuple_row, autocommit=True) as ours,
    ):
        theirs.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        theirs.read_only = True
        require_current(theirs)
        head: int = _one(theirs, "head")
        upto = _upto(theirs, until, head)
        migrate(target, app_role)
        there = _beginning(theirs, ours, upto)
        _events(theirs, ours, there, upto, told)
        with ours.transaction():
            for table in BESIDE:
                ours.execute(SQL(QUERIES["clear"]).format(table=Identifier(table)))
                _rows(theirs, ours, table)
            for query in ("later_documents", "later_secrets", "later_credentials"):
                ours.execute(QUERIES[query])
        checked = check_log(ours)
        if not checked.ok:
            raise ReplayRefused(f"The copy is not the log: position {checked.first_bad}: {checked.reason}.")
    return Replayed(head=upto, copied=upto - there, is_whole=upto == head)


def _upto(source: psycopg.Connection[Any], until: int | datetime | None, head: int) -> int:
    if isinstance(until, datetime):
        return int(_one(source, "position_at", until=until) or 0)
    if until is not None and until > head:
        raise ReplayRefused(f"The log ends at position {head}: it has no position {until}.")
    return head if until is None else until


def _beginning(source: psycopg.Connection[Any], target: psycopg.Connection[Any], upto: int) -> int:
    """Return how much of the log is there already, or raise ReplayRefused."""
    installed: UUID | None = _one(target, "same_place")
    if installed is not None and installed == _one(source, "same_place"):
        raise ReplayRefused("That is the same database: give another one, an empty one.")
    fingerprint: str | None = _one(source, "key")
    if installed is None and fingerprint is not None:
        target.execute(QUERIES["claim"], {"fingerprint": fingerprint})
    there: int = _one(target, "head")
    same = there == 0 or _one(source, "hash_at", position=there) == _one(target, "hash_at", position=there)
    if there > upto or not same or _one(target, "key") != fingerprint:
        raise ReplayRefused("That database holds events of its own: give an empty one.")
    return there


def _events(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], there: int, upto: int, told: Told
) -> None:
    columns = _columns(source, "magnet_events")
    told(there, upto)
    for after in range(there, upto, SECTION):
        end = min(after + SECTION, upto)
        out = SQL(QUERIES["events_out"]).format(columns=columns, after=Literal(after), upto=Literal(end))
        _copy(source, target, out, "magnet_events", columns)
        told(end, upto)


def _rows(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str) -> None:
    columns = _columns(source, table)
    _copy(source, target, SQL(QUERIES["rows_out"]).format(columns=columns, table=Identifier(table)), table, columns)


def _copy(source: psycopg.Connection[Any], target: psycopg.Connection[Any], out: Any, table: str, columns: Any) -> None:
    into = SQL(QUERIES["rows_in"]).format(columns=columns, table=Identifier(table))
    with (
        source.cursor() as reader,
        target.cursor() as writer,
        reader.copy(out) as given,
        writer.copy(into) as taken,
    ):
        for piece in given:
            taken.write(piece)


def _columns(connection: psycopg.Connection[Any], table: str) -> Any:
    return SQL(", ").join(map(Identifier, _one(connection, "columns", table=table)))


def _one(connection: psycopg.Connection[Any], query: str, **values: Any) -> Any:
    row = connection.execute(QUERIES[query], values).fetchone()
    return None if row is None else row[0]
