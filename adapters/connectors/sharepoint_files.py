"""The files of a document library, as Microsoft Graph tells them: things in folders, by their ids."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from adapters.connectors.given_values import id_of, mapping, text
from commands.knowledge.connectors import SourceUnavailable

ID = re.compile(r"[A-Za-z0-9!_~-][A-Za-z0-9!_~.,-]{0,299}\Z")
"""What an id of a drive or of a thing in it looks like."""

DEEPEST = 500


@dataclass(frozen=True, kw_only=True)
class File:
    """A file or package; `path` is that below the library, `tag` changes with it, `size` 0: there is nothing in it."""

    id: str
    path: str
    tag: str
    size: int
    is_package: bool


def files_of(told: Mapping[str, Mapping[str, Any]]) -> Iterator[File]:
    """Yield the files among all things of a library, by their ids."""
    for id, item in told.items():
        if "deleted" in item or "root" in item or "folder" in item:
            continue
        size = item.get("size")
        yield File(
            id=id,
            path=path_of(id, told),
            tag=text(item.get("eTag")) or text(item.get("cTag")),
            size=size if isinstance(size, int) else 0,
            is_package="file" not in item,
        )


def path_of(id: str, told: Mapping[str, Mapping[str, Any]]) -> str:
    """Return where a thing lies below the library, or raise SourceUnavailable where folders lie in each other."""
    names: list[str] = []
    while id in told and "root" not in told[id]:
        if len(names) == DEEPEST:
            raise SourceUnavailable("Folders of the library lie in each other, or too deep: this can't be right.")
        item = told[id]
        names.insert(0, text(item.get("name")))
        above = mapping(item.get("parentReference"))
        id = text(above.get("id"))
        if id not in told:
            return "/".join([*folder_of(item), *names])
    return "/".join(names)


def folder_of(item: Mapping[str, Any]) -> list[str]:
    """Return the folders that a thing says it lies in; empty where it does not say."""
    _, _, folder = text(mapping(item.get("parentReference")).get("path")).partition("root:")
    return [unquote(name) for name in folder.split("/") if name]


def noted(told: dict[str, Mapping[str, Any]], item: Any) -> None:
    """Take in what a list tells of a thing: what comes last holds."""
    told[id_of(item)] = mapping(item)
