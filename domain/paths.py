"""Places in JSON values, named by dotted paths."""

from collections.abc import Mapping
from typing import Any


def at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path, None where nothing does; a key that has dots itself comes first.

    A part that is a number is an item of a list; the empty path is the whole.
    """
    if not path:
        return value
    if isinstance(value, Mapping) and path in value:
        return value[path]
    node = value
    for part in path.split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
