"""Which of many files are read: by their names."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from adapters.reading.kinds import kind_of
from commands.knowledge.connectors import FINDS
from commands.knowledge.reading import Unreadable
from domain.definition import Strict

Glob = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""A pattern of names; `*` stands for anything, also across folders."""


class Selection(Strict):
    """Patterns that names have to fit."""

    include: Annotated[list[Glob], FINDS] = Field(
        default_factory=list,
        max_length=100,
        description="Patterns of names; `*` also spans folders. None: whatever is of a kind that can be read.",
    )
    exclude: Annotated[list[Glob], FINDS] = Field(
        default_factory=list, max_length=100, description="Patterns; they go before `include`."
    )


def wanted(name: str, selection: Selection) -> bool:
    """Return whether a file is to be read: by its name, which is text, and not hidden."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    if not name.isprintable() or any(part.startswith(".") for part in name.split("/")):
        return False
    if any(fnmatchcase(name, glob) for glob in selection.exclude):
        return False
    if selection.include:
        return any(fnmatchcase(name, glob) for glob in selection.include)
    try:
        kind_of("", name)
    except Unreadable:
        return False
    return True
