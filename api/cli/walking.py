"""Which files a command is given: named ones, and what lies in folders; nothing is left out silently."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.reading.kinds import kind_of
from commands.knowledge.document_checks import CONTROL, MOST_BYTES
from commands.knowledge.reading import Unreadable

LONGEST_NAME = 1000


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to be given; `name` is what it is called in its source: with the folder that was named, if any."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What is not given, and why; `wrong` where somebody would expect it to be."""

    path: Path
    reason: str
    wrong: bool = False


def walk(paths: Sequence[Path]) -> Iterator[File | LeftOut]:
    """Yield the files of paths and folders in a stable order, and what is left out."""
    seen: dict[str, Path] = {}
    for path in paths:
        for found in _walk(path, path.resolve().name, named=True):
            if isinstance(found, File):
                if found.name in seen:
                    before = seen[found.name]
                    reason = f"{before} is called {found.name} as well: give them from the folder above both"
                    yield LeftOut(path=found.path, reason=reason, wrong=before.resolve() != found.path.resolve())
                    continue
                seen[found.name] = found.path
            yield found


def _walk(path: Path, name: str, *, named: bool) -> Iterator[File | LeftOut]:
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            yield _file(path, name, status, named=named)
        elif path.is_symlink() and not named:
            yield LeftOut(path=path, reason="a link to a folder")
        else:
            for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    yield LeftOut(path=path / entry.name, reason="hidden")
                else:
                    yield from _walk(path / entry.name, f"{name}/{entry.name}", named=False)
    except OSError as error:
        yield LeftOut(path=path, reason=(error.strerror or type(error).__name__).lower(), wrong=True)


def _file(path: Path, name: str, status: os.stat_result, *, named: bool) -> File | LeftOut:
    """Return a file, or why it is left out; of one that was named itself, its source decides what it is."""
    if not stat.S_ISREG(status.st_mode):
        return LeftOut(path=path, reason="no regular file", wrong=named)
    if status.st_size > MOST_BYTES:
        return LeftOut(path=path, reason=f"too large: more than {MOST_BYTES:,} bytes", wrong=named)
    if not status.st_size:
        return LeftOut(path=path, reason="empty", wrong=named)
    if CONTROL.search(name) or len(name) > LONGEST_NAME or not _is_text(name):
        return LeftOut(path=path, reason="its name is too long, or no printable UTF-8", wrong=True)
    if not named:
        try:
            kind_of("", name)
        except Unreadable:
            return LeftOut(path=path, reason="unsupported: nothing reads such files")
    return File(path=path, name=name, size=status.st_size)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
