"""Finding plugins: entry points of installed packages, and modules that the operator names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from adapters.plugins.checking import METHODS, NoPlugin

ATTRIBUTE = "MAGNET_PLUGINS"
"""In a module that is named: group -> list of objects."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A plugin that may be loaded; `package` is where it comes from."""

    group: str
    name: str
    package: str
    version: str | None
    load: Callable[[], Any]
    named: str | None = None


def installed() -> Iterator[Found]:
    """Yield the entry points of all installed packages, in the order of their names."""
    for distribution in _distributions():
        try:
            package, version = str(distribution.name), str(distribution.version)
            points = [each for each in distribution.entry_points if each.group in METHODS]
        except Exception as error:
            yield Found(group="", name=_place(distribution), package="", version=None, load=partial(_raise, error))
            continue
        for point in sorted(points, key=lambda each: (each.group, each.name)):
            yield _of(point, package, version)


def of_module(module: str) -> Sequence[Found]:
    """Return what a module names in its attribute; raise whatever goes wrong with importing it."""
    named = import_module(module)
    groups = getattr(named, ATTRIBUTE, None)
    if not isinstance(groups, Mapping):
        raise NoPlugin(f"it has no mapping {ATTRIBUTE} from groups to lists of objects")
    version = getattr(named, "__version__", None)
    found = []
    for group, objects in groups.items():
        if group not in METHODS:
            raise NoPlugin(f"{ATTRIBUTE} names the group {group!r}; there are {', '.join(METHODS)}")
        if not isinstance(objects, list | tuple):
            raise NoPlugin(f"{ATTRIBUTE} has no list for {group}")
        found += [
            Found(
                group=group,
                name=_name(each),
                package=module,
                version=version if isinstance(version, str) else None,
                load=partial(_same, each),
            )
            for each in objects
        ]
    return found


def _distributions() -> Iterator[Distribution]:
    """Yield each installed package once: the one that is imported, where several directories have it."""
    seen = set()
    for each in distributions():
        try:
            name = each.name
        except Exception:
            yield each  # what is wrong with it is told where its entry points are asked for
            continue
        if name not in seen:
            seen.add(name)
            yield each


def _of(point: EntryPoint, package: str, version: str) -> Found:
    return Found(
        group=point.group, name=point.name, package=package, version=version, load=point.load, named=point.name
    )


def _place(distribution: Distribution) -> str:
    return str(getattr(getattr(distribution, "_path", None), "name", "unknown"))


def _name(found: Any) -> str:
    name = getattr(found, "name", None)
    return name if isinstance(name, str) else str(getattr(found, "__name__", type(found).__name__))


def _same(found: Any) -> Any:
    return found


def _raise(error: Exception) -> Any:
    raise error
