"""Values of what a source answers, of which nothing is known before it is looked at."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from adapters.connectors.web import must_be_address
from commands.knowledge.connectors import SourceUnavailable
from domain.errors import Invalid

CONTROL = re.compile(r"[\x00-\x1f\x7f\s]+")
LONGEST_TITLE = 1000


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, an empty one where it is something else."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list, an empty one where it is something else."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return text, empty where it is something else."""
    return value if isinstance(value, str) else ""


def title(value: Any, otherwise: str) -> str:
    """Return one line that people read as a title."""
    return CONTROL.sub(" ", text(value)).strip()[:LONGEST_TITLE] or otherwise


def id_of(item: Any, name: str = "id") -> str:
    """Return what tells an item from others, or raise SourceUnavailable: without it nothing can be compared."""
    id = mapping(item).get(name)
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        raise SourceUnavailable(f"A listed item has no `{name}`: this is no answer of such an API.")
    return str(id)


def address(value: Any) -> str | None:
    """Return an address that people may open, None where it is none."""
    try:
        found = urlsplit(text(value))
    except ValueError:
        return None
    return text(value) if found.scheme in ("http", "https") and found.hostname else None


def must_be_root(url: str, pointer: str) -> None:
    """Raise Invalid unless this is where an API stands: an address without a query."""
    must_be_address(url, pointer)
    if "?" in url or "#" in url:
        raise Invalid("This is where the API stands: it has no query.", code="invalid_url", pointer=pointer)
