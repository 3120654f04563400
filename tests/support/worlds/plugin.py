"""A plugin's source, whose documents lie in the memory of the test."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from adapters.plugins.document import Document
from tests.support.worlds import CANARY, World


class ShelfConfig(BaseModel, extra="forbid"):
    """A shelf of documents."""

    shelf: str


class Shelf:
    """Documents of a test, as a plugin gives them."""

    name = "shelf"
    Config = ShelfConfig
    secrets: Mapping[str, str] = {"token": "What opens it."}

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.left: int | None = None

    def load(self, config: ShelfConfig, secrets: Mapping[str, str]) -> Iterator[Document]:
        for number, (name, text) in enumerate(self.documents.items()):
            if self.left is not None and number >= self.left:
                raise ConnectionError(f"The {config.shelf} is away for {secrets['token']}.")
            yield Document(id=name, text=text)


class PluginWorld(World):
    type = "shelf"
    secrets: Mapping[str, str] = {"token": CANARY}
    plugins = "shelf_of_a_test"

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    @property
    def config(self) -> dict[str, Any]:
        return {"shelf": "upper one"}

    async def put(self, name: str, text: str) -> None:
        self.shelf.documents[name] = text

    async def remove(self, name: str) -> None:
        del self.shelf.documents[name]

    async def leave(self, *, after: int = 0) -> None:
        self.shelf.left = after

    async def come_back(self) -> None:
        self.shelf.left = None
