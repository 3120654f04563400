"""Embedding by the models of local providers: a directory each, its weights pinned by their hash."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from adapters.local_embeddings.process import EmbeddingProcess, ProcessEnded
from adapters.model_catalogue import CalledModel, CalledProvider
from adapters.openai import failures
from adapters.openai.failures import Failure, Kind
from adapters.openai.text import write_json
from commands.models.model_calls import RerankRequest
from domain.pricing import Usage
from domain.provider import directory_of

PINNED = re.compile(r".+@sha256:(?P<sha256>[0-9a-f]{64})", re.DOTALL)
PART, PART_CHARACTERS = 32, 3000
"""Texts that are embedded in one go, and their length: so long a question waits while documents are being indexed."""

WIDTH = 4
"""Bytes of a float32."""


class LocalEmbeddings:
    """Embeds on this machine. Every error is a Failure."""

    def __init__(self) -> None:
        self._process = EmbeddingProcess()

    async def embed(self, model: CalledModel, texts: Sequence[str]) -> tuple[list[bytes], Usage]:
        """Return the texts' vectors and how many tokens they had."""
        pinned = PINNED.fullmatch(model.definition.model)
        if pinned is None:
            raise unusable(
                "runs models that are named by their weights, such as my-model@sha256:0123..., the SHA-256 of "
                "model.safetensors: its available-models show the name",
                "model_not_pinned",
            )
        vectors: list[bytes] = []
        tokens = 0
        for part in parts_of(texts):
            found, packed, counted = await self._ask(model.provider, pinned["sha256"], part)
            expected = model.definition.dimensions
            if expected not in (None, found):
                raise unusable(f"gives vectors of length {found} where the model's settings say {expected}")
            width = found * WIDTH
            vectors += [packed[at : at + width] for at in range(0, len(packed), width)]
            tokens += counted
        return vectors, Usage(input=tokens)

    async def rerank(self, model: CalledModel, request: RerankRequest) -> tuple[list[float | None], Usage]:
        """Raise Failure: its directories hold embedding models."""
        raise unusable("runs embedding models only: no passages are scored by it")

    async def names(self, provider: CalledProvider) -> list[str]:
        """Return the one name of the model that is there, once it was read."""
        directory = directory_of(provider.definition.base_url)
        told = await self._told(write_json({"directory": directory, "sha256": None}), 0)
        return [f"{PurePosixPath(directory).name}@sha256:{told[0]['sha256']}"]

    async def close(self) -> None:
        """End the process."""
        await self._process.close()

    async def _ask(self, provider: CalledProvider, sha256: str, texts: Sequence[str]) -> tuple[int, bytes, int]:
        directory = directory_of(provider.definition.base_url)
        request = write_json({"directory": directory, "sha256": sha256, "texts": list(texts)})
        told, vectors = await self._told(request, sum(map(len, texts)))
        return told["dimensions"], vectors, told["tokens"]

    async def _told(self, request: bytes, size: int) -> tuple[dict[str, Any], bytes]:
        try:
            told, vectors = await self._process.ask(request, size)
        except ProcessEnded:
            raise failures.broken("runs here, in a process that ended before it answered") from None
        if "code" in told:
            raise unusable(told["message"], told["code"])
        return told, vectors


def parts_of(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in parts, in their order; a long text is a part of its own."""
    part: list[str] = []
    length = 0
    for text in texts:
        if part and (len(part) == PART or length + len(text) > PART_CHARACTERS):
            yield part
            part, length = [], 0
        part.append(text)
        length += len(text)
    if part:
        yield part


def unusable(message: str, code: str = "local_model_unusable") -> Failure:
    """Return the failure of a model that somebody has to change something for."""
    return Failure(kind=Kind.DENIED, code=code, message=message)
