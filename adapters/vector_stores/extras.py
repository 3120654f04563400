"""Packages that are not installed with Magnet itself."""

from importlib.util import find_spec


def must_be_installed(extra: str, *modules: str) -> None:
    """Raise ValueError where one of an extra's modules is missing."""
    if not all(map(_found, modules)):
        raise ValueError(f"its packages are not installed: pip install 'magnet[{extra}]'")


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False
