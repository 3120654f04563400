"""Documents from a folder on this machine; nothing outside of it is read, wherever links point."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.connectors.roots import Roots
from adapters.connectors.selection import Selection, wanted
from commands.knowledge.connectors import GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from commands.knowledge.document_checks import MOST_BYTES
from domain.definition import parse

EMPTY = "empty"
"""The version of a file in which nothing is."""


class FolderConfig(Selection):
    """A folder on the server's machine, with what lies in it."""

    path: str = Field(
        min_length=1, max_length=4000, pattern=r"^[^\x00]+$", description="Below a directory of MAGNET_FOLDERS."
    )


class FolderConnector:
    """Lists and reads folders under some roots, and none that holds what is this installation's own."""

    config = FolderConfig
    secrets: Mapping[str, str] = {}

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where a folder may not be read."""
        self._folder(parse(FolderConfig, dict(config), "/config"))

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all files that are to be read, or raise SourceUnavailable: never a part of them."""
        settings = parse(FolderConfig, dict(place.config), "/config")
        for each in await asyncio.to_thread(self._list, self._folder(settings), settings):
            yield each

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a file as a document, or raise NotFetched."""
        settings = parse(FolderConfig, dict(place.config), "/config")
        return await asyncio.to_thread(self._read, self._folder(settings), external_id)

    def end(self, place: Place) -> None:
        """Keep nothing: there is nothing."""

    def _folder(self, settings: FolderConfig) -> Path:
        return self._roots.allowed(settings.path, "/config/path")

    def _list(self, folder: Path, settings: FolderConfig) -> Sequence[Listed | None]:
        listed: list[Listed | None] = []
        try:
            if not folder.is_dir():
                raise SourceUnavailable(f"There is no folder {settings.path} on this machine.")
            for path in self._walk(folder):
                name = path.relative_to(folder).as_posix()
                version = self._version(folder, path) if wanted(name, settings) else None
                full = version != EMPTY  # an empty one may be about to be written
                listed.append(None if version is None else Listed(external_id=name, version=version, wanted=full))
        except OSError as error:
            where = Path(error.filename or folder)
            where = where.relative_to(folder) if where.is_relative_to(folder) else where
            raise SourceUnavailable(f"{where}: {error.strerror or type(error).__name__}.") from None
        return listed

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Yield everything that is no folder, in a stable order; what can't be listed is an OSError."""
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                if not self._roots.is_own(path.resolve()):
                    yield from self._walk(path)
            else:
                yield path

    def _version(self, folder: Path, path: Path) -> str | None:
        """Return what changes with a file's content; None: it is none that is read."""
        inside = path.resolve()
        if not inside.is_relative_to(folder) or self._roots.is_own(inside):
            return None
        try:
            status = path.stat()
        except FileNotFoundError:
            return None  # a link to nothing, or gone since the folder was read
        if not stat.S_ISREG(status.st_mode):
            return None
        return EMPTY if not status.st_size else f"{status.st_size}-{status.st_mtime_ns}"

    def _read(self, folder: Path, external_id: str) -> GivenDocument:
        path = (folder / external_id).resolve()
        if not path.is_relative_to(folder) or self._roots.is_own(path):
            raise NotFetched("It lies outside of the folder.")
        if not folder.is_dir():
            raise SourceUnavailable("The folder is gone.")
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise NotFetched(f"{error.strerror or type(error).__name__}.") from None
        if not content:
            raise NotFetched("It is empty.", code="empty")
        if len(content) > MOST_BYTES:
            raise NotFetched(f"It has more than {MOST_BYTES:,} bytes.", code="too_large")
        return GivenDocument(
            external_id=external_id,
            title=external_id,
            url=None,
            media_type="",
            content=content,
            metadata={"path": external_id},
            acl=None,
        )
