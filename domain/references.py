"""References between things: how one is named, and where a definition holds them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from domain.errors import Invalid
from domain.named_ids import named_id

LONGEST_NAME = 63
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}\Z")
UUID_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)
NAMESPACE = UUID("7d1c0c3e-5b1a-5f0e-9a57-6d61676e6574")
"""Namespace of all ids that are made from a kind and a name (RFC 9562, version 5)."""


def identify(kind: str, reference: str) -> UUID:
    """Return the id that a reference (an id, or a name of that kind) stands for.

    A thing's id is made from its kind and name, so no look-up is needed and a name is unique
    because its stream is. Whether the thing exists is another question.
    """
    if UUID_FORM.match(reference):
        return UUID(reference)
    if max(len(kind), len(reference)) <= LONGEST_NAME:  # what a client says may be long: it is not kept
        return _named(kind, reference)
    return named_id(NAMESPACE, f"{kind}:{reference}".encode())


@lru_cache(maxsize=10_000)
def _named(kind: str, name: str) -> UUID:
    """Return the id of a name: asked for several times in each request."""
    return named_id(NAMESPACE, f"{kind}:{name}".encode())


def check_name(name: str) -> str:
    """Return the name, or raise Invalid where it may not name a thing."""
    if not NAME.match(name) or UUID_FORM.match(name):
        raise Invalid(
            "A name is 1 to 63 characters a-z, 0-9, '_', '.' or '-', starts with a letter or digit, "
            "and does not look like a UUID.",
            code="invalid_name",
            pointer="/name",
        )
    return name


def places(definition: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, container, key) of each value at a path such as `variants/*/model`."""
    head, _, rest = path.partition("/")
    keys: Iterable[Any] = (head,) if head in definition else ()
    if head == "*":
        keys = range(len(definition)) if isinstance(definition, list) else tuple(definition)
    for key in keys:
        value = definition[key]
        if not rest:
            if value is not None:
                yield f"/{escaped(key)}", definition, key
        elif isinstance(value, Mapping | list):
            for pointer, container, place in places(value, rest):
                yield f"/{escaped(key)}{pointer}", container, place


def escaped(part: object) -> str:
    """Return a key or index as part of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")
