"""Finding plugins: entry points of installed packages, and modules that the operator names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, distributions, version
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
    built_in: bool = False


def coming_along(group: str, objects: Sequence[type[Any]]) -> Iterator[Found]:
    """Yield our own plugins, which come by the same door as others."""
    for each in objects:
        yield Found(
            group=group,
            name=_name(each),
            package="magnet",
            version=version("magnet"),
            load=partial(_same, each),
            built_in=True,
        )


def installed() -> Iterator[Found]:
    """Yield the entry points of all installed packages; of one that several directories have, the one that is imported."""
    seen = set()
    for distribution in distributions():
        directory = str(getattr(getattr(distribution, "_path", None), "name", distribution))
        name = directory.partition("-")[0].lower()  # its metadata hold the name too, but reading all of them takes long
        if name in seen:
            continue
        seen.add(name)
        try:
            points = [each for each in distribution.entry_points if each.group in METHODS]
            for point in sorted(points, key=lambda each: (each.group, each.name)):
                yield _of(point, str(distribution.name), str(distribution.version))
        except Exception as error:
            yield Found(group="", name=directory, package=directory, version=None, load=partial(_raise, error))


def of_module(module: str) -> Sequence[Found]:
    """Return what a module names in its attribute; raise whatever goes wrong with importing it."""
    named = import_module(module)
    groups = getattr(named, ATTRIBUTE, None)
    if not isinstance(groups, Mapping):
        raise NoPlugin(f"it has no mapping {ATTRIBUTE} from groups to lists of objects")
    told = getattr(named, "__version__", None)
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
                version=told if isinstance(told, str) else None,
                load=partial(_same, each),
            )
            for each in objects
        ]
    return found


def _of(point: EntryPoint, package: str, version: str) -> Found:
    return Found(
        group=point.group, name=point.name, package=package, version=version, load=point.load, named=point.name
    )


def _name(found: Any) -> str:
    try:
        name = getattr(found, "name", None)
    except Exception:  # a stranger's property may raise anything: it is told when the object is checked
        name = None
    return name if isinstance(name, str) else str(getattr(found, "__name__", type(found).__name__))


def _same(found: Any) -> Any:
    return found


def _raise(error: Exception) -> Any:
    raise error
