"""Modules that MAGNET_PLUGINS may name, made for a test out of objects."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def module_of(name: str, groups: Any) -> Iterator[str]:
    """Let there be a module whose plugins these are, while the block lasts; return its name."""
    made = ModuleType(name)
    vars(made)["MAGNET_PLUGINS"] = groups
    sys.modules[name] = made
    try:
        yield name
    finally:
        del sys.modules[name]
