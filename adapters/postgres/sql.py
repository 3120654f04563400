"""Named queries, kept in a .sql file beside the code that runs them."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import LiteralString, cast

SECTION = re.compile(r"^-- name: (\w+).*\n", re.MULTILINE)


def load(package: str, file: str) -> Mapping[str, LiteralString]:
    """Return name -> query of a file; a section begins with `-- name: x  -- what it is`."""
    text = (files(package) / file).read_text("utf-8")
    _, *parts = SECTION.split(text)
    # The files ship with the code, so they are as trustworthy as literals in it.
    return dict(zip(parts[::2], cast(list[LiteralString], parts[1::2]), strict=True))


def load_text(path: Path) -> LiteralString:
    """Return a whole file of SQL."""
    return path.read_text("utf-8")
