"""An archive: events as JSON lines that carry what proves them, in files that a manifest names."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import tuple_row

from adapters.archive.records import Record, RecordBroken, parsed
from adapters.postgres import sql
from adapters.postgres.migrations import require_current

QUERIES = sql.load("adapters.archive", "archive.sql")
FORMAT = 1
MANIFEST = "manifest.json"
AT_ONCE = 1000
LONGEST = 100_000
"""Events of one file."""


class ArchiveRefused(Exception):
    """No archive can be made there; the message says why."""


class ArchiveDamaged(Exception):
    """The archive is not what was written; the message names the file and line."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One file: the positions of its first and last event, how many it has, and its hash."""

    file: str
    first: int
    last: int
    events: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an archive holds, and by which choice."""

    created_at: str
    choice: Mapping[str, Any]
    events: int
    pieces: list[Piece] = field(default_factory=list)
    format: int = FORMAT


def write(
    dsn: str, directory: Path, *, kind: str | None, aggregate: UUID | None, until: datetime | None, after: int
) -> Manifest:
    """Copy the events that are chosen into an empty directory; the manifest comes last. Nothing leaves the log."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ArchiveRefused(f"{directory} is not empty: take another one.")
    choice = {"kind": kind, "aggregate": aggregate, "until": until, "after": after}
    pieces: list[Piece] = []
    with psycopg.connect(dsn, row_factory=tuple_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        require_current(connection)
        with connection.cursor("records", binary=True) as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(QUERIES["records"], choice)
            while rows := cursor.fetchmany(AT_ONCE):
                pieces.append(_piece(directory, len(pieces) + 1, rows, cursor))
    shown = {name: str(value) for name, value in choice.items() if value is not None}
    manifest = Manifest(
        created_at=datetime.now(UTC).isoformat(),
        choice=shown,
        events=sum(piece.events for piece in pieces),
        pieces=pieces,
    )
    unfinished = directory / f".{MANIFEST}"
    unfinished.write_bytes(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
    unfinished.rename(directory / MANIFEST)
    return manifest


def _piece(directory: Path, number: int, rows: list[Any], cursor: Any) -> Piece:
    """Write a file, from these rows and as many more as it takes."""
    name, digest = f"events-{number:04}.jsonl", hashlib.sha256()
    first, count = rows[0][0], 0
    with (directory / name).open("xb") as file:
        while rows:
            for position, hash, record in rows:
                written = line(position, bytes(hash), bytes(record))
                digest.update(written)
                file.write(written)
            last, count = rows[-1][0], count + len(rows)
            rows = [] if count >= LONGEST else cursor.fetchmany(AT_ONCE)
    return Piece(file=name, first=first, last=last, events=count, sha256=digest.hexdigest())


def line(position: int, hash: bytes, record: bytes) -> bytes:
    """Return an event's line: what it is, for people, and the bytes that its hash is made of."""
    event = parsed(record)
    shown = {
        "position": position,
        "recorded_at": event.recorded_at.isoformat(),
        "type": event.topic,
        "aggregate_id": str(event.stream),
        "version": event.version,
        "hash": hash.hex(),
        "record": base64.b64encode(record).decode(),
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def read(directory: Path) -> Iterator[Record]:
    """Yield the events of an archive, each checked against its hash and its file; or raise ArchiveDamaged."""
    for piece in opened(directory).pieces:
        digest, count = hashlib.sha256(), 0
        try:
            with (directory / piece.file).open("rb") as file:
                for number, text in enumerate(file, 1):
                    digest.update(text)
                    count += 1
                    yield _checked(text, f"{piece.file}:{number}")
        except OSError as error:
            raise ArchiveDamaged(f"{piece.file} can't be read: {error.strerror}.") from None
        if (digest.hexdigest(), count) != (piece.sha256, piece.events):
            raise ArchiveDamaged(f"{piece.file} is not what was written: lines are missing or were changed.")


def opened(directory: Path) -> Manifest:
    """Return an archive's manifest, or raise ArchiveDamaged."""
    try:
        fields = orjson.loads((directory / MANIFEST).read_bytes())
        if fields["format"] != FORMAT:
            raise ArchiveDamaged("This archive has a format that this Magnet does not know: use a newer one.")
        pieces = [Piece(**piece) for piece in fields["pieces"]]
        if any(Path(piece.file).name != piece.file for piece in pieces):
            raise ArchiveDamaged("The manifest names a file elsewhere.")
        return Manifest(**{**fields, "pieces": pieces})
    except FileNotFoundError:
        raise ArchiveDamaged(f"{directory} has no {MANIFEST}: it is no archive, or was not finished.") from None
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise ArchiveDamaged(f"{MANIFEST} is damaged.") from None


def _checked(text: bytes, place: str) -> Record:
    try:
        fields = orjson.loads(text)
        record = parsed(base64.b64decode(fields["record"], validate=True))
        shown = (fields["position"], fields["type"], fields["aggregate_id"], fields["version"], fields["hash"])
    except (orjson.JSONDecodeError, RecordBroken, ValueError, TypeError, KeyError):
        raise ArchiveDamaged(f"{place}: this is no event of an archive.") from None
    if shown != (record.position, record.topic, str(record.stream), record.version, record.hash.hex()):
        raise ArchiveDamaged(f"{place}: position {record.position} is not what was recorded.")
    return record
