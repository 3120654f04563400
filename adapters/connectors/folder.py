"""Documents from a folder on this machine; nothing outside of it is read, wherever links point."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from adapters.reading.kinds import kind_of
from commands.connectors import GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from commands.document_checks import MOST_BYTES
from commands.reading import Unreadable
from domain.definition import Strict, parse
from domain.errors import Invalid

Glob = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""A pattern of names; `*` stands for anything, also across folders."""


class FolderConfig(Strict):
    """A folder on the server's machine, with what lies in it."""

    path: str = Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")
    include: list[Glob] = Field(default_factory=list, max_length=100)
    exclude: list[Glob] = Field(default_factory=list, max_length=100)


class FolderConnector:
    """Lists and reads folders under some roots, and none that holds what is this installation's own."""

    config = FolderConfig
    secrets: Mapping[str, str] = {}

    def __init__(self, roots: Sequence[Path], *, forbidden: Sequence[Path]) -> None:
        self._roots = [root.resolve() for root in roots]
        self._forbidden = [each.resolve() for each in forbidden]

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
        folder = Path(settings.path).resolve()
        if not any(folder.is_relative_to(root) for root in self._roots):
            raise Invalid(
                "Folders are read below the directories in MAGNET_FOLDERS; without it below where the server runs, not in /.",
                code="folder_not_allowed",
                pointer="/config/path",
            )
        if self._is_own(folder):
            raise Invalid("This folder holds what is Magnet's own.", code="folder_not_allowed", pointer="/config/path")
        return folder

    def _is_own(self, path: Path) -> bool:
        return any(path.is_relative_to(own) for own in self._forbidden)

    def _list(self, folder: Path, settings: FolderConfig) -> Sequence[Listed | None]:
        listed: list[Listed | None] = []
        try:
            if not folder.is_dir():
                raise SourceUnavailable(f"There is no folder {settings.path} on this machine.")
            for path in self._walk(folder):
                name = path.relative_to(folder).as_posix()
                version = self._version(folder, path) if wanted(name, settings) else None
                listed.append(None if version is None else Listed(external_id=name, version=version))
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
                if not self._is_own(path.resolve()):
                    yield from self._walk(path)
            else:
                yield path

    def _version(self, folder: Path, path: Path) -> str | None:
        """Return what changes with a file's content; None: it is none that is read."""
        inside = path.resolve()
        if not inside.is_relative_to(folder) or self._is_own(inside):
            return None
        try:
            status = path.stat()
        except FileNotFoundError:
            return None  # a link to nothing, or gone since the folder was read
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        return f"{status.st_size}-{status.st_mtime_ns}"

    def _read(self, folder: Path, external_id: str) -> GivenDocument:
        path = (folder / external_id).resolve()
        if not path.is_relative_to(folder) or self._is_own(path):
            raise NotFetched("It lies outside of the folder.")
        if not folder.is_dir():
            raise SourceUnavailable("The folder is gone.")
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise NotFetched(f"{error.strerror or type(error).__name__}.") from None
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


def wanted(name: str, settings: FolderConfig) -> bool:
    """Return whether a file is to be read: by its name, which is text, and not hidden."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    if not name.isprintable() or any(part.startswith(".") for part in name.split("/")):
        return False
    if any(fnmatchcase(name, glob) for glob in settings.exclude):
        return False
    if settings.include:
        return any(fnmatchcase(name, glob) for glob in settings.include)
    try:
        kind_of("", name)
    except Unreadable:
        return False
    return True
