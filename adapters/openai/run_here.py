"""Models that are asked in this process, or beside it, and not over the wire."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapters.model_catalogue import CalledModel, CalledProvider
from commands.models.model_calls import RerankRequest
from domain.pricing import Usage


class RunsHere(Protocol):
    """Runs the models of one type of providers. Every error is a Failure."""

    async def embed(self, model: CalledModel, texts: Sequence[str]) -> tuple[list[bytes], Usage]:
        """Return the texts' vectors, little-endian float32, and what they took."""

    async def rerank(self, model: CalledModel, request: RerankRequest) -> tuple[list[float | None], Usage]:
        """Return each document's score, and what it took."""

    async def names(self, provider: CalledProvider) -> list[str]:
        """Return the names of the models that a provider offers."""


RunHere = Mapping[str, RunsHere]
"""By the type of provider."""
