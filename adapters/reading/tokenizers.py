"""Tokenizers that are installed here: of OpenAI's models, and of models in directories. Nothing is fetched.

The vocabulary of OpenAI's embedding models comes with LlamaIndex; where it doesn't, tokens are estimated.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import llama_index

from commands.knowledge.reading import Tokenizer
from commands.knowledge.tokenizing import TokenizerGone
from commands.ports import Things
from domain.errors import NotFound
from domain.model import Model
from domain.provider import Provider, directory_of

CL100K = "cl100k_base"
OPENAI_MODELS = frozenset({"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"})
"""Those whose vocabulary is cl100k_base, by their provider's names."""

CACHED = "core/_static/tiktoken_cache/9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""Where LlamaIndex keeps that vocabulary: tiktoken names files by the SHA-1 of their address."""

CL100K_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
DIRECTORY = "tokenizer.json@sha256:"
"""What the names of tokenizers begin with that lie in a model's directory."""

LARGEST = 100_000_000


class InstalledTokenizers:
    """Finds them by the model; each is read once."""

    def __init__(self, things: Things, vocabulary: Path | None = None) -> None:
        self._things = things
        self._vocabulary = vocabulary or Path(next(iter(llama_index.__path__))) / CACHED
        self._known: dict[str, Tokenizer] = {}

    async def of(self, model: UUID) -> str | None:
        """Return the name of the tokenizer of an embedding model; None: it is not known here."""
        found = await self._found(model)
        return None if found is None else found.name

    async def load(self, name: str, model: UUID) -> Tokenizer:
        """Return a tokenizer of a model by the name that it had, or raise TokenizerGone."""
        if name in self._known:
            return self._known[name]
        found = await self._found(model)
        if found is None or found.name != name:
            raise TokenizerGone(
                f"The texts of this index are counted by the tokenizer {name}, which is not here any more: "
                "put it back, or change the source's chunking or model, so that another index begins."
            )
        return found

    async def _found(self, id: UUID) -> Tokenizer | None:
        try:
            model = await self._things.newest(Model, id)
            provider = await self._things.newest(Provider, UUID(model.definition["provider"]))
        except NotFound:
            return None
        if provider.definition["type"] == "local":
            path = Path(directory_of(provider.definition["base_url"])) / "tokenizer.json"
            return await asyncio.to_thread(self._read, path, lambda data: f"{DIRECTORY}{sha256(data).hexdigest()}")
        if model.definition["model"] in OPENAI_MODELS:
            if CL100K in self._known:
                return self._known[CL100K]
            return await asyncio.to_thread(self._read, self._vocabulary, openai_name)
        return None

    def _read(self, path: Path, name_of: Callable[[bytes], str | None]) -> Tokenizer | None:
        try:
            data = path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST else b""
        except OSError:
            return None  # it is on another machine than this one
        name = name_of(data) if data else None
        if name is None:
            return None
        return self._known.setdefault(name, Tokenizer(name=name, data=data))


def openai_name(data: bytes) -> str | None:
    """Return the name of OpenAI's vocabulary, where this is it."""
    return CL100K if sha256(data).hexdigest() == CL100K_SHA256 else None
