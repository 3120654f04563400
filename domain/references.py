"""References between things: how one is named, and where a definition holds them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

from domain.errors import Invalid

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
    return uuid5(NAMESPACE, f"{kind}:{reference}")


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


def places(definition: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, container, key) of each value at a path such as `variants/*/model`."""

    def walk(node: Any, parts: list[str], pointer: str) -> Iterator[tuple[str, Any, Any]]:
        head, *rest = parts
        if head == "*":
            keys = range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ()
        else:
            keys = (head,) if isinstance(node, Mapping) and head in node else ()
        for key in keys:
            here = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if rest:
                yield from walk(node[key], rest, here)
            elif node[key] is not None:
                yield here, node, key

    yield from walk(definition, path.split("/"), "")
