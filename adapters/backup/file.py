"""The file of a backup: a tar of a manifest and its members, each with its SHA-256."""

import gzip
import hashlib
import io
import os
import secrets
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import orjson

FORMAT = 1
MANIFEST = "manifest.json"
KEY = "secret.key"
LARGEST_MANIFEST = 1_000_000
PIECE = 1 << 20

Write = Callable[[bytes | bytearray | memoryview], object]


class BackupDamaged(Exception):
    """The file is no backup, is cut off, or was changed; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in a backup: its columns in their order, and how many rows it had."""

    name: str
    columns: list[str]
    rows: int

    @property
    def member(self) -> str:
        """The member that holds its rows, as PostgreSQL's COPY text, compressed."""
        return f"tables/{self.name}.copy.gz"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds. `head` and `last_hash` are the last event's position and hash (hex)."""

    created_at: str
    schema_version: int
    head: int
    last_hash: str | None
    key_fingerprint: str
    tables: list[Table]
    sha256: Mapping[str, str]
    """Member -> SHA-256 of its bytes, in hex."""

    format: int = FORMAT


class BackupWriter:
    """Collects members beside the file, and puts them into it when all are there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._members: dict[str, Path] = {}
        self.sha256: dict[str, str] = {}

    def add(self, name: str, write: Callable[[Write], None], *, zipped: bool) -> None:
        """Have a member written by what is given the function to write with."""
        path = self._directory / str(len(self._members))
        with path.open("xb") as file:
            if zipped:
                with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                    write(packed.write)
            else:
                write(file.write)
        with path.open("rb") as file:
            self.sha256[name] = hashlib.file_digest(file, "sha256").hexdigest()
        self._members[name] = path

    def finish(self, target: BinaryIO, manifest: Manifest) -> None:
        """Write the tar, manifest first."""
        body = orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(_entry(MANIFEST, len(body)), io.BytesIO(body))
            for name, path in self._members.items():
                with path.open("rb") as file:
                    tar.addfile(_entry(name, path.stat().st_size), file)


@contextmanager
def written(path: Path) -> Iterator[tuple[BackupWriter, BinaryIO]]:
    """Give a writer and the unfinished file; in the end it takes its name, whole or not at all.

    Only its owner may read it, from the first byte on.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".magnet-backup-", dir=path.parent) as directory,
            os.fdopen(descriptor, "w+b") as file,
        ):
            yield BackupWriter(Path(directory)), cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    directory_of = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory_of)
    finally:
        os.close(directory_of)


class BackupReader:
    """An open backup whose checksums were found right."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar = tar
        self.manifest = manifest

    def read(self, name: str) -> bytes:
        """Return a small member."""
        with _member(self._tar, name) as file:
            return file.read()

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the unpacked content of a packed member."""
        try:
            with _member(self._tar, name) as file, gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                while piece := unpacked.read(PIECE):
                    yield piece
        except (EOFError, OSError) as error:
            raise BackupDamaged(f"'{name}' can't be unpacked: the backup is damaged.") from error


@contextmanager
def opened(file: BinaryIO) -> Iterator[BackupReader]:
    """Give a reader of a backup after checking all of it, or raise BackupDamaged."""
    try:
        tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  (closed below)
    except tarfile.TarError:
        raise BackupDamaged("This is no backup, or its beginning is damaged.") from None
    with tar:
        manifest = _manifest(tar)
        for name, expected in manifest.sha256.items():
            with _member(tar, name) as member:
                digest = hashlib.file_digest(cast(io.BufferedReader, member), "sha256").hexdigest()
            if digest != expected:
                raise BackupDamaged(f"'{name}' is not what was backed up: the file is damaged or was changed.")
        yield BackupReader(tar, manifest)


def _manifest(tar: tarfile.TarFile) -> Manifest:
    with _member(tar, MANIFEST) as file:
        body = file.read(LARGEST_MANIFEST)
    try:
        fields = orjson.loads(body)
        if fields.get("format") != FORMAT:
            raise BackupDamaged("This backup has a format that this Magnet does not know: use a newer one.")
        manifest = Manifest(**{**fields, "tables": [Table(**table) for table in fields["tables"]]})
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise BackupDamaged("The backup's manifest is damaged.") from None
    missing = {KEY, *(table.member for table in manifest.tables)} - manifest.sha256.keys()
    if missing:
        raise BackupDamaged(f"The backup's manifest tells nothing of '{min(missing)}'.")
    return manifest


@contextmanager
def _member(tar: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    """Give the content of a member; links and the like are no members."""
    try:
        info = tar.getmember(name)
        file = tar.extractfile(info) if info.isreg() else None
    except (KeyError, tarfile.TarError, OSError):
        file = None
    if file is None:
        raise BackupDamaged(f"'{name}' is missing: the backup is cut off or damaged.")
    with file:
        try:
            yield file
        except (tarfile.ReadError, EOFError):
            raise BackupDamaged(f"'{name}' is cut off.") from None


def _entry(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info
