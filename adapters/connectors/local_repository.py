"""Repositories on this machine: those below the allowed directories, with all that they are made of."""

from pathlib import Path

from adapters.connectors.roots import Roots
from domain.errors import Invalid
from domain.provider import directory_of

PARTS = ("HEAD", "config", "objects", "refs", "refs/heads", "refs/tags", "packed-refs", "shallow")
OBJECTS = ("objects", "objects/pack")
LEADING_ELSEWHERE = ("commondir", "gitdir", "objects/info/alternates")


def local_repository(url: str, roots: Roots) -> Path:
    """Return the directory of a repository, or raise Invalid where it may not be read."""
    try:
        path = directory_of(url)
    except ValueError as error:
        raise Invalid(f"This is no address: {error}.", code="invalid_url", pointer="/config/url") from None
    directory = roots.allowed(path, "/config/url")
    within = directory / ".git" if (directory / ".git").exists() else directory
    objects = [each for part in OBJECTS if (within / part).is_dir() for each in (within / part).iterdir()]
    for part in (within, *(within / each for each in PARTS), *objects):
        roots.allowed(str(part), "/config/url")
    if within.is_file() or any((within / each).exists() for each in LEADING_ELSEWHERE):
        raise Invalid(
            "This repository keeps a part of itself elsewhere: give the one that it is part of.",
            code="folder_not_allowed",
            pointer="/config/url",
        )
    return directory
