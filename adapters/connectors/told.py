"""What an answer of a source's API tells: read with care, since nobody promises that it has the expected shape."""

from collections.abc import Mapping, Sequence
from typing import Any

from commands.knowledge.connectors import SourceUnavailable
from domain.paths import at


def objects(answer: Any, path: str, of: str) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a list in an answer, or raise SourceUnavailable: a part of them would be taken for all."""
    found = at(answer, path)
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise SourceUnavailable(f"The answer about {of} has no list of objects at `{path}`.")
    return found


def needed(answer: Any, path: str, of: str) -> str:
    """Return a text or whole number in an answer as text, or raise SourceUnavailable."""
    found = told(answer, path)
    if found is None:
        raise SourceUnavailable(f"The answer about {of} has no text at `{path}`.")
    return found


def told(answer: Any, path: str) -> str | None:
    """Return a text or whole number in an answer as text, None where there is none."""
    found = at(answer, path)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found) or None
