"""Readers of LlamaIndex as plugins have them: imported by what uses them alone, since that takes a second."""

from collections.abc import Callable, Iterable

from llama_index.core.readers import SimpleDirectoryReader, StringIterableReader
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document as LoadedDocument
from pydantic import SecretStr


class WikiReader(BaseReader):
    """Pages of a wiki.

    More of it.
    """

    def __init__(self, token: str, space: str = "all", hook: Callable[[str], str] | None = None) -> None:
        self.token, self.space = token, space

    def lazy_load_data(self, limit: int = 2, json: bool = False) -> Iterable[LoadedDocument]:
        for number in range(limit):
            metadata = {"url": f"https://wiki.example/{self.space}/{number}", "title": f"Page {number}"}
            yield LoadedDocument(text=f"page {number} {len(self.token)}", metadata=metadata)
        yield LoadedDocument(text="")


class Sealed(BaseReader):
    def load_data(self, pin: SecretStr) -> list[LoadedDocument]:
        return [LoadedDocument(text=pin.get_secret_value()[:6], id_="one")]


class AsyncReader(BaseReader):
    async def aload_data(self, name: str) -> list[LoadedDocument]:
        return [LoadedDocument(text=name, id_=name)]


class Picky(BaseReader):
    def __init__(self, hook: Callable[[str], str]) -> None:
        self.hook = hook

    def load_data(self) -> list[LoadedDocument]:
        return [LoadedDocument(text=self.hook("made"), id_="one")]


__all__ = [
    "AsyncReader",
    "BaseReader",
    "Picky",
    "Sealed",
    "SimpleDirectoryReader",
    "StringIterableReader",
    "WikiReader",
]
